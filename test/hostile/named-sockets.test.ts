import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import type { TunnelSpec } from "../../src/config/snapshot-cluster.ts";
import { inspectClientHello } from "../../src/connection/client-hello.ts";
import { HandshakeLimiter } from "../../src/connection/handshake-limiter.ts";
import { terminateTls, type Terminating } from "../../src/connection/tls-server.ts";
import { TunnelSocket } from "../../src/connection/tunnel-socket.ts";
import { systemClock } from "../../src/core/clock.ts";
import { TimerWheel } from "../../src/core/timer-wheel.ts";
import { Http1Server } from "../../src/http/http1-server.ts";
import { Http2Server } from "../../src/http/http2-server.ts";
import { Listener } from "../../src/listener/listener.ts";
import type { ConnectionFacts } from "../../src/message/connection-facts.ts";
import type { DownstreamStream, HttpHandler } from "../../src/message/stream.ts";
import { type ConnectTarget, Connector } from "../../src/upstream/connector.ts";
import { Http1Client } from "../../src/upstream/http1-client.ts";
import { Http2Client } from "../../src/upstream/http2-client.ts";
import { PostTunnel } from "../../src/upstream/post-tunnel.ts";
import { TlsTestServer } from "../unit/connection/tls-peer.ts";
import { clientHello, inRecords, sniExtension } from "../unit/connection/hello-bytes.ts";
import { idOf, identityOf, newCa } from "../unit/identity/test-mesh.ts";
import { SocketWatch } from "./socket-watch.ts";

/*
 * CVE-2025-59465, and `Unhandled 'error'` in proxies made of Node's parts: a reset ends the process when nobody listens
 * for errors of that socket. A socket passes through several hands, and most leave a listener behind, so that one that is forgotten
 * shows in no test of the whole. Here each gets a socket that nobody has listened to.
 */

const ca = newCa();
const caller = ca.issue(idOf("caller"));
const timers = new TimerWheel(systemClock);
const FACTS: ConnectionFacts = { remote: { address: "10.0.0.9", port: 4000 }, local: { address: "10.0.0.7", port: 80 }, isCaptured: false, tls: null };
const NOBODY: HttpHandler = {
  request: () => ({ data: () => undefined, end: () => undefined, drain: () => undefined, reset: () => undefined }),
  malformed: () => undefined,
  closed: () => undefined,
};
const OWNER = { idle: () => undefined, closed: () => undefined, capacityGrew: () => undefined, goingAway: () => undefined };
const TUNNEL: TunnelSpec = { protocol: "POST", targetHost: "a.test", targetPort: 80 };

let watch: SocketWatch;
let server: Server;
const far: Socket[] = [];

beforeEach(async () => {
  watch = new SocketWatch();
  server = createServer({ allowHalfOpen: true, pauseOnConnect: true }).listen(0, "127.0.0.1");
  await once(server, "listening");
});
afterEach(() => {
  for (const socket of [...watch.sockets, ...far.splice(0)]) socket.on("error", () => undefined).destroy();
  watch.stop();
  server.close();
});

const port = (): number => (server.address() as AddressInfo).port;

/** One end of a connection, which nobody listens to. */
async function bareSocket(): Promise<Socket> {
  const accepted = once(server, "connection");
  far.push(connect(port(), "127.0.0.1").on("error", () => undefined));
  const [socket] = (await accepted) as [Socket];
  expect(socket.listenerCount("error")).toBe(0);
  return socket;
}

/** Somebody listens for its errors, and takes one. */
function expectGuarded(socket: Pick<Socket, "listenerCount" | "emit">): void {
  expect(socket.listenerCount("error")).toBeGreaterThan(0);
  expect(() => socket.emit("error", Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" }))).not.toThrow();
}

describe("CVE-2025-59465: whoever takes a socket over listens for its errors", () => {
  it.each([
    ["the server's side of HTTP/1", (socket: Socket) => new Http1Server(socket, FACTS, NOBODY, { clock: systemClock, timers }).start()],
    ["the server's side of HTTP/2", (socket: Socket) => new Http2Server(socket, FACTS, NOBODY, { clock: systemClock, timers }).start()],
    ["the client's side of HTTP/1", (socket: Socket) => new Http1Client(socket, FACTS, OWNER, { timers })],
    ["the client's side of HTTP/2", (socket: Socket) => new Http2Client(socket, FACTS, OWNER, { clock: systemClock, timers })],
    ["a tunnel through a forward proxy", (socket: Socket) => new PostTunnel(socket, TUNNEL, "proxy", () => undefined).begin()],
  ])("%s", async (_who, take) => {
    const socket = await bareSocket();
    take(socket);
    expectGuarded(socket);
  });

  it("a socket that is made of a tunnel, either way", async () => {
    const stream: DownstreamStream = {
      connection: FACTS, informational: () => undefined, respond: () => undefined, write: () => true, end: () => undefined, reset: () => undefined, pause: () => undefined, resume: () => undefined,
    };
    expectGuarded(new TunnelSocket(stream, { timers, hasEnded: false, answered: () => undefined }).asSocket());
    expectGuarded(new PostTunnel(await bareSocket(), TUNNEL, "proxy", () => undefined));
  });

  it("a listener, from the moment of accepting", async () => {
    const accepted = Promise.withResolvers<Socket>();
    const listener = new Listener(
      { name: "test", address: "127.0.0.1", port: 0, reusePort: false, originalDestination: null, maxConnections: 10 },
      (socket) => accepted.resolve(socket), { accepted: () => undefined, closed: () => undefined, refused: () => undefined, defect: () => undefined },
    );
    far.push(connect(await listener.listen(), "127.0.0.1").on("error", () => undefined));
    expectGuarded(await accepted.promise);
    listener.close();
  });

  /** Begins to terminate TLS on a socket that nobody listens to; `outcome` is what comes of it. */
  async function terminate(handshakes = new HandshakeLimiter()): Promise<{ readonly socket: Socket; readonly underWay: Terminating; readonly outcome: Promise<Socket | string> }> {
    const socket = await bareSocket();
    const hello = inspectClientHello(inRecords(clientHello([sniExtension("a.test")])));
    if (hello.kind !== "hello") throw new Error("no hello");
    const outcome = Promise.withResolvers<Socket | string>();
    const options = { identity: identityOf(ca, "server"), hello, trustDomains: ["cluster.local"], alpnPreference: [], timers, handshakes };
    const underWay = terminateTls(socket, options, (refused, secured) => {
      expectGuarded(socket);
      outcome.resolve(secured ?? refused?.reason ?? "nothing");
    });
    return { socket, underWay, outcome: outcome.promise };
  }

  it("a TLS handshake, and what it hands out", async () => {
    const { outcome } = await terminate();
    connectTls({ socket: far.at(-1) as Socket, cert: caller.certificateChainPem, key: caller.privateKeyPem, rejectUnauthorized: false, checkServerIdentity: () => undefined }).on("error", () => undefined);
    const secured = await outcome;
    if (typeof secured === "string") throw new Error(secured);
    expectGuarded(secured);
  });

  it("a TLS handshake that fails", async () => {
    const { outcome } = await terminate();
    far.at(-1)?.write("\x16\x03\x01\x00\x05hello");
    expect(await outcome).toBe("tls_handshake_failed");
  });

  it("a TLS handshake that waits for its turn, and is given up", async () => {
    const handshakes = new HandshakeLimiter(1);
    handshakes.enter(() => undefined);
    const waiting = await terminate(handshakes);
    expect(handshakes.waiting).toBe(1);
    expectGuarded(waiting.socket);
    expect(await waiting.outcome).toBe("tls_handshake_closed");
    const { socket, underWay } = await terminate(handshakes);
    underWay.cancel();
    expectGuarded(socket);
  });

  const connector = new Connector({ identity: identityOf(ca, "caller"), timers, trustDomains: () => ["cluster.local"] });
  const target = (change: Partial<ConnectTarget> = {}): ConnectTarget => ({ address: "127.0.0.1", port: port(), fromLoopbackSource: false, connectTimeoutMs: 5_000, tls: null, alpn: [], ...change });
  /** The socket a dial has just made. */
  const dialled = (): Socket => [...watch.sockets].at(-1) as Socket;

  it("a dial under way, given up, and done", async () => {
    const dial = connector.connect(target(), () => undefined);
    expect(dialled().listenerCount("error")).toBeGreaterThan(0);
    dial.cancel();
    expectGuarded(dialled());
    const done = new Promise<Socket | null>((resolve) => {
      connector.connect(target(), (_error, socket) => resolve(socket));
    });
    const socket = await done;
    if (socket === null) throw new Error("not connected");
    expectGuarded(socket);
  });

  it.each([["breaks off", ""], ["answers what is no TLS", "HTTP/1.0 400 Bad Request\r\n\r\n"]])("a dial with TLS to somebody who %s", async (_what, answer) => {
    server.once("connection", (socket: Socket) => {
      socket.on("error", () => undefined);
      if (answer === "") socket.resetAndDestroy();
      else socket.end(answer);
    });
    const error = await new Promise((resolve) => {
      connector.connect(target({ tls: { mode: "ISTIO_MUTUAL", serverName: "a.test", expectedIdentities: [] } }), (failure) => resolve(failure));
    });
    expect(error).not.toBeNull();
    for (const socket of watch.sockets) if (socket.remotePort === port()) expectGuarded(socket);
  });

  it("a dial with TLS that is done", async () => {
    const peer = await TlsTestServer.listen(identityOf(ca, "server"));
    try {
      const socket = await new Promise<Socket | null>((resolve) => {
        connector.connect(target({ port: peer.port, tls: { mode: "ISTIO_MUTUAL", serverName: "a.test", expectedIdentities: [] } }), (_error, secured) => resolve(secured));
      });
      if (socket === null) throw new Error("not connected");
      expectGuarded(socket);
      for (const transport of watch.sockets) if (transport.remotePort === peer.port) expectGuarded(transport);
    } finally {
      await peer.close();
    }
  });
});
