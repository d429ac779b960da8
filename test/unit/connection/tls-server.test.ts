import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { connect as connectTls, createSecureContext } from "node:tls";
import type { TLSSocket } from "node:tls";

import { afterEach, describe, expect, it } from "vitest";

import { systemClock } from "../../../src/core/clock.ts";
import { HandshakeLimiter } from "../../../src/connection/handshake-limiter.ts";
import type { TerminateOptions } from "../../../src/connection/tls-server.ts";
import { DevelopmentCa } from "../../../src/identity/development-ca.ts";
import type { CertificateRequest } from "../../../src/identity/development-ca.ts";
import { TlsIdentity } from "../../../src/identity/tls-identity.ts";
import { idOf, identityOf, materialOf, newCa, TRUST_DOMAIN } from "../identity/test-mesh.ts";
import { TlsTestServer } from "./tls-peer.ts";

const DAY_MS = 86_400_000;
const ca = newCa();
const client = ca.issue(idOf("caller"));

let server: TlsTestServer;
afterEach(() => server.close());

async function serve(options: Partial<TerminateOptions> = {}, identity = identityOf(ca, "server")): Promise<TlsTestServer> {
  server = await TlsTestServer.listen(identity, options);
  return server;
}

async function echoed(tls: TLSSocket, from: TLSSocket): Promise<string> {
  tls.write("ping");
  const [bytes] = (await once(from, "data")) as [Buffer];
  return bytes.toString("latin1");
}

describe("terminateTls", () => {
  it("hands out the connection with the facts of the handshake", async () => {
    await serve();
    const tls = server.dialTls(client, { ALPNProtocols: ["istio-http/1.1", "istio", "http/1.1"] });
    const { refused, socket, facts } = await server.next();
    expect(refused).toBeNull();
    expect(facts).toEqual({
      ownSpiffeId: idOf("server"), alpn: "http/1.1", serverName: "outbound_.80_.v1_.reviews.default.svc.cluster.local",
      peer: expect.objectContaining({ spiffeId: idOf("caller"), subject: "", dnsNames: [] }) as unknown,
    });
    expect(await echoed(tls, socket as TLSSocket)).toBe("ping");
    expect(await echoed(socket as TLSSocket, tls)).toBe("ping");
    expect(tls.alpnProtocol).toBe("http/1.1");
    expect(tls.getProtocol()).toBe("TLSv1.3");
    expect(tls.getCipher().standardName).toBe("TLS_AES_128_GCM_SHA256");
    expect(server.handshakes.active).toBe(0);
  });

  it("prefers its own order of ALPN names to the client's", async () => {
    await serve();
    const tls = server.dialTls(client, { ALPNProtocols: ["http/1.1", "h2"] });
    expect((await server.next()).facts?.alpn).toBe("h2");
    expect(tls.alpnProtocol).toBe("h2");
  });

  it.each([["none it knows", ["istio"]], ["none", []]])("goes on without ALPN when the client offers %s", async (_, offered) => {
    await serve();
    const tls = server.dialTls(client, offered.length === 0 ? {} : { ALPNProtocols: offered });
    const { facts, socket } = await server.next();
    expect(facts?.alpn).toBeNull();
    expect(await echoed(tls, socket as TLSSocket)).toBe("ping");
    expect(tls.alpnProtocol).toBe(false);
  });

  it("speaks TLS 1.2 with forward secrecy and refuses what is older", async () => {
    await serve();
    const tls = server.dialTls(client, { maxVersion: "TLSv1.2" });
    expect((await server.next()).refused).toBeNull();
    expect(tls.getCipher().standardName).toMatch(/^TLS_ECDHE_/);
    server.dialTls(client, { minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" });
    expect((await server.next()).refused?.reason).toMatch(/^tls_(handshake_failed|refused_by_peer)$/);
  });

  it("refuses renegotiation under TLS 1.2", async () => {
    await serve();
    const tls = server.dialTls(client, { maxVersion: "TLSv1.2" });
    await Promise.all([once(tls, "secureConnect"), server.next()]);
    const error = await new Promise<Error | null>((resolve) => {
      tls.on("error", resolve);
      tls.renegotiate({}, resolve);
    });
    expect(error).toMatchObject({ code: "ERR_SSL_NO_RENEGOTIATION" });
  });

  /*
   * Symptom: no client was served any more, `tlsv1 alert internal error`, once a federated bundle came whose roots had names of 64 KiB together.
   * Cause: the names of all roots were told to every client, which TLS gives 64 KiB for. Fix: none are; a client has one certificate.
   */
  it.each(["TLSv1.2", "TLSv1.3"] as const)("serves %s however long the names of the roots are", async (version) => {
    const foreign = newCa("example.org", systemClock, { organization: "x".repeat(70_000) });
    await serve({}, identityOf(ca, "server", [{ trustDomain: "example.org", pem: foreign.rootPem }]));
    server.dialTls(client, { minVersion: version, maxVersion: version });
    expect(await server.next()).toMatchObject({ refused: null, facts: { peer: { spiffeId: idOf("caller") } } });
  });

  it.each(["TLSv1.2", "TLSv1.3"] as const)("serves %s under a root without keyUsage, as plain openssl makes them", async (version) => {
    const plain = newCa(TRUST_DOMAIN, systemClock, { keyUsage: null });
    await serve({}, identityOf(plain, "server"));
    server.dialTls(plain.intermediate("middle").issue(idOf("caller")), { minVersion: version, maxVersion: version });
    expect(await server.next()).toMatchObject({ refused: null, facts: { peer: { spiffeId: idOf("caller") } } });
  });

  it("asks for no certificate where none is required", async () => {
    await serve({ isClientCertificateRequired: false });
    server.dialTls(null);
    const { refused, facts } = await server.next();
    expect(refused).toBeNull();
    expect(facts?.peer).toBeNull();
  });

  it("serves a connection that closes its side after its request", async () => {
    await serve();
    const tls = server.dialTls(client, { allowHalfOpen: true } as object);
    const { socket } = await server.next();
    tls.end("request");
    socket?.resume();
    await once(socket as TLSSocket, "end");
    socket?.end("response");
    const [bytes] = (await once(tls, "data")) as [Buffer];
    expect(bytes.toString()).toBe("response");
  });

  it("reads a hello that comes byte by byte", async () => {
    await serve();
    const slow = createServer((from) => {
      const to = connect(server.port, "127.0.0.1").setNoDelay(true).on("error", () => from.destroy());
      to.pipe(from).on("error", () => to.destroy());
      let isFirst = true;
      from.on("data", (chunk: Buffer) => {
        if (isFirst) for (const byte of chunk) to.write(Buffer.of(byte));
        else to.write(chunk);
        isFirst = false;
      });
      from.on("end", () => to.end());
    }).listen(0, "127.0.0.1");
    await once(slow, "listening");
    const tls = server.dialTls(client, { port: (slow.address() as AddressInfo).port });
    const { facts } = await server.next();
    expect(facts?.peer?.spiffeId).toBe(idOf("caller"));
    tls.destroy();
    slow.close();
  });
});

describe("terminateTls refuses", () => {
  it("a peer without a certificate", async () => {
    await serve();
    const tls = server.dialTls(null);
    const isClosed = closed(tls);
    const { refused, socket } = await server.next();
    expect(refused).toMatchObject({ reason: "tls_peer_no_certificate" });
    expect(socket).toBeNull();
    await isClosed;
  });

  // A bare TLSSocket takes every one of these certificates, whatever rejectUnauthorized says: the checks are ours alone.
  it.each<[string, string, CertificateRequest]>([
    ["two SPIFFE IDs", "tls_peer_two_uri_sans", { uris: [idOf("caller"), idOf("admin")] }],
    ["a NUL in its ID", "tls_peer_bad_san", { uris: [`${idOf("caller")}\0.evil`] }],
    ["CA set", "tls_peer_ca_leaf", { isCa: true }],
    ["a validity that ended", "tls_peer_expired", { notBeforeMs: -2 * DAY_MS, lifetimeMs: -DAY_MS }],
    ["a validity to come", "tls_peer_not_yet_valid", { notBeforeMs: 600_000 }],
    ["server use only", "tls_peer_extended_key_usage", { extendedKeyUsage: ["1.3.6.1.5.5.7.3.1"] }],
    ["another trust domain", "tls_peer_wrong_trust_domain", { uris: [idOf("caller", "evil.example")] }],
  ])("a certificate with %s", async (_, reason, request) => {
    await serve();
    const tls = server.dialTls(ca.issue(idOf("caller"), request));
    const isClosed = closed(tls);
    const { refused } = await server.next();
    expect(refused?.reason).toBe(reason);
    expect(refused?.message).toContain(idOf("server"));
    await isClosed;
    expect(server.handshakes.active).toBe(0);
  });

  it("a certificate of an unknown CA, also of one with our CA's name", async () => {
    await serve();
    server.dialTls(newCa().issue(idOf("caller")));
    expect((await server.next()).refused?.reason).toBe("tls_peer_unknown_ca");
  });

  it("a certificate under an intermediate without keyUsage", async () => {
    await serve();
    server.dialTls(ca.intermediate("unsaid", { keyUsage: null }).issue(idOf("caller")));
    const { refused } = await server.next();
    expect(refused?.reason).toBe("tls_peer_ca_key_usage");
    expect(refused?.message).toContain(`${idOf("caller")}, whose CA has no key usage with keyCertSign`);
  });

  it("a self-signed certificate", async () => {
    await serve();
    const key = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ type: "pkcs8", format: "pem" });
    const own = DevelopmentCa.create(TRUST_DOMAIN, systemClock, {
      privateKeyPem: key, uris: [idOf("caller")], isCa: false, keyUsage: ["digitalSignature"], extendedKeyUsage: null,
    });
    server.dialTls({ certificateChainPem: own.rootPem, privateKeyPem: key, rootPem: own.rootPem });
    expect((await server.next()).refused?.reason).toBe("tls_peer_unknown_ca");
  });

  it("garbage after the hello, and a peer that goes away", async () => {
    await serve();
    const hello = await captureHello();
    const garbage = server.dial();
    garbage.write(Buffer.concat([hello, Buffer.from("GET / HTTP/1.1\r\n\r\n")]));
    expect((await server.next()).refused?.reason).toBe("tls_handshake_failed");
    const gone = server.dial();
    gone.end(hello);
    expect((await server.next()).refused?.reason).toBe("tls_handshake_closed");
    const reset = server.dial();
    reset.write(hello);
    await once(reset, "data");
    reset.resetAndDestroy();
    expect((await server.next()).refused?.reason).toBe("tls_handshake_closed");
    expect(server.handshakes.active).toBe(0);
  });

  it("a peer that stops in the middle, after the time allowed", async () => {
    await serve({ handshakeTimeoutMs: 60 });
    const silent = server.dial();
    silent.write(await captureHello());
    const { refused } = await server.next();
    expect(refused).toMatchObject({ reason: "tls_handshake_timeout" });
    silent.resume();
    await closed(silent);
    expect(server.handshakes.active).toBe(0);
  });

  it("everybody while there is no certificate", async () => {
    await serve({}, new TlsIdentity(systemClock));
    server.dialTls(client);
    expect((await server.next()).refused?.reason).toBe("tls_no_identity");
  });

  it("connections beyond the queue, and takes the queued ones in turn", async () => {
    const handshakes = new HandshakeLimiter(1, 1);
    await serve({ handshakes });
    const hello = await captureHello();
    const first = server.dial();
    first.write(hello);
    await once(first, "data");
    const second = server.dialTls(client);
    await waitFor(() => handshakes.waiting === 1);
    const third = server.dial();
    third.write(hello);
    expect((await server.next()).refused?.reason).toBe("tls_handshake_overload");
    first.destroy();
    expect((await server.next()).refused?.reason).toBe("tls_handshake_closed");
    expect((await server.next()).facts?.peer?.spiffeId).toBe(idOf("caller"));
    expect(handshakes.active).toBe(0);
    second.destroy();
  });

  it("nothing more once it is cancelled", async () => {
    await serve();
    const dialled = server.dial();
    dialled.write(await captureHello());
    await once(dialled, "data");
    server.last?.cancel();
    await closed(dialled);
    expect(server.pending).toBe(0);
    expect(server.handshakes.active).toBe(0);
  });
});

describe("rotation", () => {
  it("leaves connections alone and shows new handshakes the new certificate", async () => {
    const identity = identityOf(ca, "server");
    await serve({}, identity);
    const before = server.dialTls(client);
    const old = await server.next();
    const serial = before.getPeerX509Certificate()?.serialNumber;
    identity.apply(materialOf(ca.issue(idOf("server")), 2));
    expect(identity.generation).toBe(2);
    const after = server.dialTls(client);
    await server.next();
    expect(after.getPeerX509Certificate()?.serialNumber).not.toBe(serial);
    expect(await echoed(before, old.socket as TLSSocket)).toBe("ping");
  });

  it("refuses peers of a root that was removed, also those known from before and those that resume", async () => {
    // Two roots overlap, then the old one goes (fault F12).
    const next = newCa();
    const overlap = { ...next.issue(idOf("server")), rootPem: ca.rootPem + next.rootPem };
    const identity = new TlsIdentity(systemClock);
    identity.apply(materialOf(overlap, 1));
    await serve({}, identity);
    let session: Buffer | undefined;
    for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
      const tls = server.dialTls(client, { maxVersion });
      tls.on("session", (ticket: Buffer) => {
        session = ticket;
      });
      const { socket } = await server.next();
      expect(await echoed(socket as TLSSocket, tls)).toBe("ping");
    }
    identity.apply(materialOf(next.issue(idOf("server")), 2));
    server.dialTls(client, session === undefined ? {} : { session });
    expect((await server.next()).refused?.reason).toBe("tls_peer_unknown_ca");
    server.dialTls(next.issue(idOf("caller")));
    expect((await server.next()).refused).toBeNull();
  });

  it("never resumes a session, so every connection shows its certificate", async () => {
    await serve();
    for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
      const secureContext = createSecureContext({ cert: client.certificateChainPem, key: client.privateKeyPem, maxVersion });
      const first = server.dialTls(null, { secureContext });
      let session: Buffer | undefined;
      first.on("session", (ticket: Buffer) => {
        session = ticket;
      });
      const { socket } = await server.next();
      await echoed(socket as TLSSocket, first);
      const again = server.dialTls(null, { secureContext, ...(session === undefined ? {} : { session }) });
      const second = await server.next();
      expect(second.refused).toBeNull();
      await echoed(second.socket as TLSSocket, again);
      expect(again.isSessionReused()).toBe(false);
    }
  });
});

/** The first bytes of a TLS 1.3 client. */
async function captureHello(): Promise<Buffer> {
  const listener = createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const tls = connectTls({ host: "127.0.0.1", port: (listener.address() as AddressInfo).port, rejectUnauthorized: false });
  tls.on("error", () => undefined);
  const [socket] = (await once(listener, "connection")) as [Socket];
  const [bytes] = (await once(socket, "data")) as [Buffer];
  tls.destroy();
  socket.destroy();
  listener.close();
  return bytes;
}

/** Resolves when a socket has closed, with an error or without. */
function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.on("close", () => resolve()));
}

async function waitFor(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((resolve) => setImmediate(resolve));
}
