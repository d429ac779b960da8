import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { meshClient } from "../integration/mesh-client.ts";
import { eventually, statusOf } from "../integration/proxy-under-test.ts";
import { alpnExtension, clientHello, inRecords, sniExtension } from "../unit/connection/hello-bytes.ts";
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

describe("server names (CVE-2021-31921, CVE-2026-21637)", () => {
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
