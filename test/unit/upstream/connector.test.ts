import { once } from "node:events";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";

import { afterEach, describe, expect, it } from "vitest";

import type { UpstreamTlsSpec } from "../../../src/config/snapshot.ts";
import { systemClock } from "../../../src/core/clock.ts";
import { TimerWheel } from "../../../src/core/timer-wheel.ts";
import type { CertificateRequest } from "../../../src/identity/development-ca.ts";
import { TlsIdentity } from "../../../src/identity/tls-identity.ts";
import type { ProxyError } from "../../../src/message/proxy-error.ts";
import { toLocalReply } from "../../../src/message/local-reply.ts";
import { Connector } from "../../../src/upstream/connector.ts";
import type { ConnectTarget, UpstreamFacts } from "../../../src/upstream/connector.ts";
import { TlsTestServer } from "../connection/tls-peer.ts";
import { idOf, identityOf, materialOf, newCa } from "../identity/test-mesh.ts";

const ca = newCa();
const timers = new TimerWheel(systemClock);
const NAME = "outbound_.80_.v1_.reviews.default.svc.cluster.local";

interface Result {
  readonly error: ProxyError | null;
  readonly socket: Socket | null;
  readonly facts: UpstreamFacts | null;
}

const cleanup: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of cleanup.splice(0)) await step();
});

function dial(target: Partial<ConnectTarget> & { port: number }, identity = identityOf(ca, "caller"), trustDomains = ["cluster.local"]): Promise<Result> {
  const connector = new Connector({ identity, timers, trustDomains: () => trustDomains });
  return new Promise((resolve) => {
    connector.connect({ address: "127.0.0.1", fromLoopbackSource: false, connectTimeoutMs: 5000, tls: null, alpn: [], ...target }, (error, socket, facts) => {
      if (socket !== null) cleanup.push(() => socket.destroy());
      resolve({ error, socket, facts });
    });
  });
}

function meshTls(...expectedIdentities: string[]): UpstreamTlsSpec {
  return { mode: "ISTIO_MUTUAL", serverName: NAME, expectedIdentities };
}

async function tlsUpstream(request: CertificateRequest = {}, from = ca): Promise<TlsTestServer> {
  const identity = new TlsIdentity(systemClock);
  const good = materialOf(from.issue(idOf("reviews", from.trustDomain)), 1, [{ trustDomain: ca.trustDomain, pem: ca.rootPem }]);
  const issued = from.issue(idOf("reviews", from.trustDomain), request);
  identity.apply({ ...good, certificateChainPem: issued.certificateChainPem, privateKeyPem: issued.privateKeyPem });
  const server = await TlsTestServer.listen(identity);
  cleanup.push(() => server.close());
  return server;
}

async function tcpUpstream(onConnection: (socket: Socket) => void): Promise<Server> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    onConnection(socket);
  }).listen(0, "127.0.0.1");
  cleanup.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  await once(server, "listening");
  return server;
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

/** A port nobody listens on. */
async function closedPort(): Promise<number> {
  const server = await tcpUpstream(() => undefined);
  const port = portOf(server);
  server.close();
  await once(server, "close");
  return port;
}

describe("Connector over plaintext", () => {
  it("hands out a connected socket", async () => {
    const server = await tcpUpstream((socket) => socket.pipe(socket));
    const { error, socket, facts } = await dial({ port: portOf(server) });
    expect(error).toBeNull();
    expect(facts).toMatchObject({ remote: { address: "127.0.0.1", port: portOf(server) }, local: { address: "127.0.0.1" }, peerSpiffeId: null, alpn: null });
    socket?.write("ping");
    expect(String((await once(socket as Socket, "data"))[0])).toBe("ping");
    expect(socket?.allowHalfOpen).toBe(true);
    expect(socket?.listenerCount("error")).toBeGreaterThan(0);
  });

  it("dials the application from 127.0.0.6, which the capture rules let through", async () => {
    const seen = new Promise<string | undefined>((resolve) => void tcpUpstream((socket) => resolve(socket.remoteAddress)).then((server) => dial({ port: portOf(server), fromLoopbackSource: true })));
    expect(await seen).toBe("127.0.0.6");
  });

  it("looks up a host name", async () => {
    const server = await tcpUpstream(() => undefined);
    expect((await dial({ address: "localhost", port: portOf(server) })).error).toBeNull();
    expect((await dial({ address: "no-such-host.invalid", port: 80 })).error?.code).toBe("connect_failure");
  });

  it.runIf(process.platform === "linux")("asks the kernel for the keepalive it is told (spec/04 4.3), or for its own", async () => {
    const koffi = createRequire(import.meta.url)("koffi") as typeof import("koffi");
    const getSockOpt = koffi.load(null).func("int getsockopt(int fd, int level, int option, void *value, void *length)");
    const server = await tcpUpstream(() => undefined);
    const keepAliveOf = async (target: Partial<ConnectTarget>): Promise<number[]> => {
      const { socket } = await dial({ port: portOf(server), ...target });
      const { fd } = (socket as unknown as { _handle: { fd: number } })._handle;
      // SO_KEEPALIVE, then TCP_KEEPIDLE, TCP_KEEPINTVL and TCP_KEEPCNT.
      return [[1, 9], [6, 4], [6, 5], [6, 6]].map(([level, option]) => {
        const value = new Int32Array(1);
        getSockOpt(fd, level, option, value, new Uint32Array([4]));
        return value[0] ?? -1;
      });
    };
    expect(await keepAliveOf({ keepAlive: { timeMs: 45_000, intervalMs: 7_000, probes: 4 } })).toEqual([1, 45, 7, 4]);
    expect(await keepAliveOf({})).toEqual([1, 15, 1, 10]);
  });

  it("says who refused", async () => {
    const port = await closedPort();
    const { error } = await dial({ port });
    expect(error).toMatchObject({ code: "connect_failure", reason: `127.0.0.1:${port}: connection refused` });
    expect(toLocalReply(error as ProxyError)).toMatchObject({ status: 503, flag: "UF" });
  });

  it("turns what Node refuses at once into the same kind of error, in a later turn", async () => {
    expect((await dial({ port: 70_000 })).error?.code).toBe("connect_failure");
  });

  it("is not called back once cancelled", async () => {
    const accepted = new Promise<Socket>((resolve) => void tcpUpstream(resolve).then((server) => {
      const connector = new Connector({ identity: identityOf(ca, "caller"), timers, trustDomains: () => [] });
      const target = { address: "127.0.0.1", port: portOf(server), fromLoopbackSource: false, connectTimeoutMs: 0, tls: null, alpn: [] };
      connector.connect(target, () => expect.unreachable("cancelled")).cancel();
      connector.connect(target, (_, socket) => socket?.destroy());
    }));
    const socket = (await accepted).resume();
    await new Promise((resolve) => socket.on("close", resolve));
  });
});

describe("Connector over mesh TLS", () => {
  it("shows its certificate, its server name and its ALPN, and proves who the peer is", async () => {
    const server = await tlsUpstream();
    const dialled = dial({ port: server.port, tls: meshTls(idOf("other"), idOf("reviews")), alpn: ["istio-http/1.1", "istio", "http/1.1"] });
    const outcome = await server.next();
    expect(outcome.facts).toMatchObject({ serverName: NAME, alpn: "http/1.1", peer: { spiffeId: idOf("caller") } });
    const { error, socket, facts } = await dialled;
    expect(error).toBeNull();
    expect(facts).toMatchObject({ peerSpiffeId: idOf("reviews"), alpn: "http/1.1", generation: 1, remote: { address: "127.0.0.1", port: server.port } });
    outcome.socket?.write("hello");
    expect(String((await once(socket as Socket, "data"))[0])).toBe("hello");
  });

  it("takes any identity of our trust domain where none is expected", async () => {
    const server = await tlsUpstream();
    expect((await dial({ port: server.port, tls: meshTls() })).facts?.peerSpiffeId).toBe(idOf("reviews"));
  });

  it("takes a federated trust domain under its own bundle only", async () => {
    const other = newCa("other.example");
    const server = await tlsUpstream({}, other);
    const identity = identityOf(ca, "caller", [{ trustDomain: "other.example", pem: other.rootPem }]);
    expect((await dial({ port: server.port, tls: meshTls(idOf("reviews", "other.example")) }, identity)).facts?.peerSpiffeId).toBe(idOf("reviews", "other.example"));
    // Where nobody is named, whoever is federated could answer for a workload of ours.
    const unnamed = await dial({ port: server.port, tls: meshTls() }, identity);
    expect(unnamed.error?.reason).toMatch(/^tls_peer_identity_mismatch: .*of a federated trust domain, and nothing names it/);
    const alias = await dial({ port: server.port, tls: meshTls() }, identity, ["new.example", "other.example"]);
    expect(alias.facts?.peerSpiffeId).toBe(idOf("reviews", "other.example"));
    const confused = identityOf(ca, "caller", [{ trustDomain: "other.example", pem: newCa("other.example").rootPem }]);
    expect((await dial({ port: server.port, tls: meshTls() }, confused)).error?.reason).toContain("tls_peer_unknown_ca");
    expect((await dial({ port: server.port, tls: meshTls() })).error?.reason).toContain("tls_peer_wrong_trust_domain");
  });

  it("refuses the wrong workload, naming both and us", async () => {
    const server = await tlsUpstream();
    const { error } = await dial({ port: server.port, tls: meshTls(idOf("ratings")) });
    expect(error?.code).toBe("tls_failure");
    for (const part of ["tls_peer_identity_mismatch", idOf("reviews"), idOf("ratings"), idOf("caller"), `127.0.0.1:${server.port}`]) expect(error?.reason).toContain(part);
    expect(toLocalReply(error as ProxyError)).toMatchObject({ status: 503, flag: "UF" });
  });

  it.each<[string, string, CertificateRequest]>([
    ["expired", "tls_peer_expired", { notBeforeMs: -7_200_000, lifetimeMs: -3_600_000 }],
    ["with two identities", "tls_peer_two_uri_sans", { uris: [idOf("reviews"), idOf("ratings")] }],
    ["of a CA", "tls_peer_ca_leaf", { isCa: true }],
    ["without identity", "tls_peer_no_uri_san", { uris: [], dnsNames: [NAME] }],
  ])("refuses a certificate %s", async (_, reason, request) => {
    const server = await tlsUpstream(request);
    const { error } = await dial({ port: server.port, tls: meshTls() });
    expect(error).toMatchObject({ code: "tls_failure" });
    expect(error?.reason).toContain(reason);
  });

  it("refuses an unknown CA", async () => {
    const server = await tlsUpstream({}, newCa());
    expect((await dial({ port: server.port, tls: meshTls() })).error?.reason).toContain("tls_peer_unknown_ca");
  });

  it("never falls back to plaintext", async () => {
    const received: string[] = [];
    const server = await tcpUpstream((socket) => socket.on("data", (bytes: Buffer) => {
      received.push(bytes.toString("latin1"));
      socket.end("HTTP/1.1 200 OK\r\n\r\n");
    }));
    const { error } = await dial({ port: portOf(server), tls: meshTls() });
    expect(error?.code).toBe("tls_failure");
    expect(received.every((bytes) => bytes.charCodeAt(0) === 22)).toBe(true);
  });

  it.each<[string, (socket: Socket) => void]>([
    ["closes", (socket) => socket.once("data", () => socket.end())],
    ["resets", (socket) => socket.once("data", () => socket.resetAndDestroy())],
  ])("says so when the peer %s during the handshake", async (_, behave) => {
    const server = await tcpUpstream(behave);
    const { error } = await dial({ port: portOf(server), tls: meshTls() });
    expect(error?.code).toBe("tls_failure");
    expect(error?.reason).toContain("tls_handshake_closed");
  });

  it("gives up on a peer that never answers", async () => {
    const server = await tcpUpstream((socket) => socket.resume());
    const { error } = await dial({ port: portOf(server), tls: meshTls(), connectTimeoutMs: 50 });
    expect(error).toMatchObject({ code: "connect_timeout", reason: `127.0.0.1:${portOf(server)}: TLS handshake not finished within 50 ms` });
  });

  it("connects to nobody without a certificate of its own, and tells refusal of TCP from refusal of TLS", async () => {
    expect((await dial({ port: 1, tls: meshTls() }, new TlsIdentity(systemClock))).error?.reason).toContain("tls_no_identity");
    expect((await dial({ port: await closedPort(), tls: meshTls() })).error).toMatchObject({ code: "connect_failure" });
  });

  it("shows the new certificate after a rotation, and names its generation", async () => {
    const server = await tlsUpstream();
    const identity = identityOf(ca, "caller");
    const first = await dial({ port: server.port, tls: meshTls() }, identity);
    identity.apply(materialOf(ca.issue(idOf("caller")), 2));
    const second = await dial({ port: server.port, tls: meshTls() }, identity);
    expect([first.facts?.generation, second.facts?.generation]).toEqual([1, 2]);
    const [one, two] = [await server.next(), await server.next()];
    expect(one.facts?.peer?.hash).not.toBe(two.facts?.peer?.hash);
    first.socket?.write("still there");
    expect(String((await once(one.socket as Socket, "data"))[0])).toBe("still there");
  });
});
