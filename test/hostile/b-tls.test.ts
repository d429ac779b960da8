import { connect as connectTls, type ConnectionOptions, type TLSSocket } from "node:tls";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually, statusOf, testCa } from "../integration/proxy-under-test.ts";
import { alpnExtension, clientHello, inRecords, sniExtension } from "../unit/connection/hello-bytes.ts";
import { HostileProxy } from "./hostile-proxy.ts";

/* hostile.md B22 and B23: what a TLS client may try to get around the handshake. */

const STRICT = `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: default }
spec: { mtls: { mode: STRICT } }
`;
const REQUEST = "GET /inside HTTP/1.1\r\nHost: app\r\n\r\n";
const caller = testCa.issue("spiffe://cluster.local/ns/default/sa/caller");

let hostile: HostileProxy;
beforeAll(async () => {
  hostile = await HostileProxy.start({ extraYaml: STRICT });
});
afterAll(() => hostile.stop());

/** A client with a good certificate; resolves once the handshake is done, rejects when it is refused. */
function handshake(options: ConnectionOptions = {}): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({
      socket: hostile.connect("inbound"), cert: caller.certificateChainPem, key: caller.privateKeyPem, rejectUnauthorized: false,
      ALPNProtocols: ["istio-http/1.1", "http/1.1"], servername: "outbound_.9080_._.app.default.svc.cluster.local", ...options,
    });
    socket.on("error", reject);
    socket.on("close", () => reject(new Error("closed")));
    socket.on("secureConnect", () => resolve(socket));
  });
}

/** The status of one request; empty when the connection ends without one. */
function ask(socket: TLSSocket): Promise<number | null> {
  return new Promise((resolve) => {
    let received = "";
    socket.on("data", (chunk: Buffer) => {
      received += chunk.toString("latin1");
      if (received.includes("\r\n\r\n")) resolve(statusOf(received));
    });
    socket.on("close", () => resolve(null));
    socket.write(REQUEST);
  });
}

describe("B23 TLS older than 1.2, renegotiation, compression, early data", () => {
  it.each(["TLSv1", "TLSv1.1"] as const)("%s is refused", async (version) => {
    // OpenSSL speaks them at this level only.
    await expect(handshake({ minVersion: version, maxVersion: version, ciphers: "DEFAULT:@SECLEVEL=0" })).rejects.toThrow();
    expect(hostile.backend.received).toBe("");
  });

  it.each(["TLSv1.2", "TLSv1.3"] as const)("%s is served", async (version) => {
    const socket = await handshake({ minVersion: version, maxVersion: version });
    expect(socket.getProtocol()).toBe(version);
    expect(await ask(socket)).toBe(200);
    socket.destroy();
  });

  it("a client that renegotiates gets no second handshake", async () => {
    const socket = await handshake({ maxVersion: "TLSv1.2" });
    let isRenegotiated = false;
    socket.renegotiate({ rejectUnauthorized: false }, (error) => {
      isRenegotiated ||= error === null;
    });
    // The answer to it, if there were one, would be there before those to whoever came later.
    for (let round = 0; round < 3; round++) {
      const other = await handshake();
      expect(await ask(other)).toBe(200);
      other.destroy();
    }
    expect(isRenegotiated).toBe(false);
    socket.destroy();
  });

  it("a flood of handshakes that are begun and left takes nothing from the others", async () => {
    const idle = Array.from({ length: 50 }, () => hostile.connect("inbound"));
    for (const socket of idle) {
      socket.on("error", () => undefined);
      socket.write(Buffer.from([22, 3, 1, 2, 0, 1]));
    }
    const socket = await handshake();
    expect(await ask(socket)).toBe(200);
    socket.destroy();
    for (const left of idle) left.destroy();
  });
});

describe("B22 sessions (CVE-2020-8664, CVE-2022-21654)", () => {
  it("are never resumed: no ticket is given, and one of another server is of no use", async () => {
    for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
      const tickets: Buffer[] = [];
      const first = await handshake({ minVersion: version, maxVersion: version });
      first.on("session", (session: Buffer) => tickets.push(session));
      expect(await ask(first)).toBe(200);
      first.destroy();
      const session = tickets[0] ?? first.getSession();
      const second = await handshake({ minVersion: version, maxVersion: version, ...(session === undefined ? {} : { session }) });
      expect(second.isSessionReused()).toBe(false);
      second.destroy();
    }
  });

  it("with another identity's certificate, a session is no way to be taken for the first", async () => {
    const first = await handshake({ maxVersion: "TLSv1.2" });
    expect(await ask(first)).toBe(200);
    const session = first.getSession();
    first.destroy();
    hostile.backend.forget();
    const other = testCa.issue("spiffe://cluster.local/ns/default/sa/other");
    const second = await handshake({ maxVersion: "TLSv1.2", cert: other.certificateChainPem, key: other.privateKeyPem, ...(session === undefined ? {} : { session }) });
    expect(await ask(second)).toBe(200);
    await eventually(() => hostile.backend.received.includes("/inside"), "the application saw the request");
    expect(hostile.backend.received).toContain("URI=spiffe://cluster.local/ns/default/sa/other");
    second.destroy();
  });
});

describe("TLS alerts", () => {
  it.each([0, 1, 99, 255])("an alert of code %d, known or not, ends its connection and no other (CVE-2021-28683)", async (code) => {
    for (const level of [1, 2, 77]) {
      const socket = hostile.connect("inbound");
      let isClosed = false;
      socket.on("error", () => undefined);
      socket.on("close", () => {
        isClosed = true;
      });
      socket.resume();
      socket.write(inRecords(clientHello([sniExtension("app.test"), alpnExtension("istio")])));
      socket.write(Buffer.from([21, 3, 3, 0, 2, level, code]));
      socket.end();
      await eventually(() => isClosed, "the connection ended");
    }
    const other = await handshake();
    expect(await ask(other)).toBe(200);
    other.destroy();
  });
});
