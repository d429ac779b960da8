import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { meshClient } from "../integration/mesh-client.ts";
import { eventually, statusOf } from "../integration/proxy-under-test.ts";
import { alpnExtension, clientHello, extension, inRecords, sniExtension } from "../unit/connection/hello-bytes.ts";
import { HostileProxy } from "./hostile-proxy.ts";
import { SocketWatch } from "./socket-watch.ts";

/* Rows of hostile.md about connections before, or instead of, a request. */

const STRICT = `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: default }
spec: { mtls: { mode: STRICT } }
`;
const REQUEST = "GET /inside HTTP/1.1\r\nHost: app\r\n\r\n";

/** Resolves when the proxy has let go of a connection that `bytes` were sent on. */
function sendAndWait(hostile: HostileProxy, bytes: Buffer | string): Promise<void> {
  return new Promise((resolve) => {
    const socket = hostile.connect("inbound");
    socket.on("error", () => undefined);
    socket.on("close", () => resolve());
    socket.resume();
    socket.write(bytes);
    socket.end();
  });
}

async function expectServed(hostile: HostileProxy): Promise<void> {
  const socket = meshClient(hostile.connect("inbound"), { alpn: ["istio-http/1.1", "istio", "http/1.1"] });
  const answer = await new Promise<string>((resolve, reject) => {
    let received = "";
    socket.on("error", reject);
    socket.on("data", (chunk: Buffer) => {
      received += chunk.toString("latin1");
      if (received.endsWith("ok")) resolve(received);
    });
    socket.write(REQUEST);
  });
  expect(statusOf(answer)).toBe(200);
  socket.destroy();
}

describe("server names (B13, CVE-2021-31921, CVE-2026-21637)", () => {
  let hostile: HostileProxy;
  beforeAll(async () => {
    hostile = await HostileProxy.start({ extraYaml: STRICT });
  });
  beforeEach(() => hostile.backend.forget());
  afterAll(() => hostile.stop());

  /** As a gateway for several clusters would be told of them, and whatever else may stand in a hello. */
  const NAMES = [
    "outbound_.9080_._.payments.bank.svc.cluster.local", "outbound.9080..payments.bank.svc.cluster.local", "outbound|9080||payments.bank.svc.cluster.local",
    "a.test", "unknown.test", "*", "*.local", ".", "..", "__proto__", "constructor", "localhost", "127.0.0.1", "a".repeat(255), "\u00ff\u00fe", "a b", "a\r\nb", "\u0085",
  ];

  it.each(NAMES)("%j leads nowhere: inbound the destination is the port that was dialled, and TLS ends here", async (name) => {
    // The hello is complete, and no handshake comes of it: had its name chosen a route, its bytes would arrive there.
    await sendAndWait(hostile, inRecords(clientHello([sniExtension(name), alpnExtension("h2", "http/1.1")])));
    await sendAndWait(hostile, inRecords(clientHello([sniExtension(name), alpnExtension("istio", "istio-http/1.1")])));
    expect(hostile.backend.received).toBe("");
    expect(hostile.backend.connections.every(({ receivedBytes }) => receivedBytes === 0)).toBe(true);
    await expectServed(hostile);
  });
});

describe("connections that speak nothing we know (CVE-2021-22883), or break off (CVE-2025-59465)", () => {
  let hostile: HostileProxy;
  let watch: SocketWatch;
  beforeEach(async () => {
    watch = new SocketWatch();
    hostile = await HostileProxy.start({ extraYaml: STRICT });
  });
  afterEach(() => {
    hostile.stop();
    watch.stop();
  });

  it("CVE-2021-22883: an ALPN nobody serves, and no protocol at all: nothing is left of hundreds of them", async () => {
    for (let round = 0; round < 10; round++) {
      await Promise.all(Array.from({ length: 20 }, (_, index) => sendAndWait(hostile, index % 2 === 0
        ? inRecords(clientHello([sniExtension("app"), alpnExtension("spdy/3", "unknown")])) : Buffer.from([index, 1, 2, 3]))));
    }
    await expectServed(hostile);
    await eventually(() => watch.open((socket) => hostile.backend.connections.some((connection) => connection.socket === socket)).length <= 2, "nothing is left open");
    expect(hostile.proxy.activeCount()).toBe(0);
  });

  it("CVE-2025-59465: malformed HEADERS, and a reset at any moment, end their connection alone; no socket is without a listener for errors", async () => {
    const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    const settings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    const malformed = Buffer.concat([preface, settings, Buffer.from([0, 0, 4, 1, 4, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff])]);
    const before = hostile.backend.connections.length;
    for (let cut = 1; cut <= malformed.length; cut += 5) {
      for (const isReset of [true, false]) {
        const socket = meshClient(hostile.connect("inbound"), { alpn: ["istio-h2", "istio", "h2"] });
        socket.on("error", () => undefined);
        const isClosed = new Promise((resolve) => {
          socket.on("close", resolve);
        });
        socket.resume();
        await new Promise((resolve) => {
          socket.write(malformed.subarray(0, cut), resolve);
        });
        if (isReset) socket.destroy();
        else socket.end();
        await isClosed;
      }
    }
    await expectServed(hostile);
    expect(hostile.backend.connections.length - before).toBeLessThanOrEqual(1);
    await eventually(() => hostile.proxy.activeCount() === 0, "no stream is left");
    expect(watch.deaf()).toEqual([]);
  });
});

describe("B23: what a ClientHello may offer", () => {
  let hostile: HostileProxy;
  beforeAll(async () => {
    hostile = await HostileProxy.start({ extraYaml: STRICT });
  });
  afterAll(() => hostile.stop());

  const number16 = (...values: number[]): Buffer => Buffer.concat(values.map((value) => Buffer.from([value >> 8, value & 255])));
  const listed = (...values: number[]): Buffer => Buffer.concat([number16(2 * values.length), number16(...values)]);
  const SIGNATURES = extension(13, listed(0x0403, 0x0804));
  const GROUPS = extension(10, listed(0x0017));
  const POINTS = extension(11, Buffer.from([1, 0]));
  /** Where the methods of compression stand: behind version, random, session and three ciphers. */
  const COMPRESSION_AT = 1 + 3 + 2 + 32 + 1 + 32 + 2 + 6;

  /** A hello of TLS 1.2 that offers compression before none. */
  function compressing(): Buffer {
    const hello = clientHello([sniExtension("app.test"), alpnExtension("istio"), SIGNATURES, GROUPS, POINTS]);
    expect([...hello.subarray(COMPRESSION_AT, COMPRESSION_AT + 2)]).toEqual([1, 0]);
    const longer = Buffer.concat([hello.subarray(0, COMPRESSION_AT), Buffer.from([2, 1, 0]), hello.subarray(COMPRESSION_AT + 2)]);
    longer.writeUIntBE(longer.length - 4, 1, 3);
    return longer;
  }

  it("compression (CRIME): the server's hello chooses none", async () => {
    const answer = await new Promise<Buffer>((resolve) => {
      const socket = hostile.connect("inbound");
      socket.on("error", () => undefined);
      socket.once("data", (chunk: Buffer) => {
        resolve(chunk);
        socket.destroy();
      });
      socket.write(inRecords(compressing()));
    });
    // A handshake record with a ServerHello: behind random and session stand the cipher and the method.
    expect([answer[0], answer[5]]).toEqual([22, 2]);
    const behindSession = 5 + 4 + 2 + 32 + 1 + (answer[5 + 4 + 2 + 32] ?? 0);
    expect([answer.readUInt16BE(behindSession), answer[behindSession + 2]]).toEqual([0xc02b, 0]);
  });

  it("early data (0-RTT): what comes behind a hello that announces it is read by nobody", async () => {
    const versions = extension(43, Buffer.from([2, 3, 4]));
    const hello = inRecords(clientHello([sniExtension("app.test"), alpnExtension("istio-http/1.1"), versions, SIGNATURES, GROUPS, extension(51, listed()), extension(42, Buffer.alloc(0))]));
    const early = Buffer.concat([Buffer.from([23, 3, 3]), number16(REQUEST.length), Buffer.from(REQUEST)]);
    await sendAndWait(hostile, Buffer.concat([hello, early]));
    expect(hostile.backend.received).toBe("");
    await expectServed(hostile);
  });
});
