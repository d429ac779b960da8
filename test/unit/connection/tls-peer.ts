import { once } from "node:events";
import { connect, createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { ConnectionOptions, TLSSocket } from "node:tls";

import { systemClock } from "../../../src/core/clock.ts";
import { TimerWheel } from "../../../src/core/timer-wheel.ts";
import { inspectClientHello } from "../../../src/connection/client-hello.ts";
import { HandshakeLimiter } from "../../../src/connection/handshake-limiter.ts";
import { terminateTls } from "../../../src/connection/tls-server.ts";
import type { Terminating, TerminateOptions } from "../../../src/connection/tls-server.ts";
import type { IssuedCertificate } from "../../../src/identity/development-ca.ts";
import type { PeerRefused } from "../../../src/identity/peer-refused.ts";
import type { TlsIdentity } from "../../../src/identity/tls-identity.ts";
import type { TlsFacts } from "../../../src/message/connection-facts.ts";

export interface Outcome {
  readonly refused: PeerRefused | null;
  readonly socket: TLSSocket | null;
  readonly facts: TlsFacts | null;
}

/** A listener that inspects first bytes and terminates TLS as the inbound path does; every outcome is queued. */
export class TlsTestServer {
  readonly timers = new TimerWheel(systemClock);
  readonly handshakes: HandshakeLimiter;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #outcomes: Outcome[] = [];
  readonly #waiting: ((outcome: Outcome) => void)[] = [];
  last: Terminating | null = null;

  private constructor(identity: TlsIdentity, options: Partial<TerminateOptions>) {
    this.handshakes = options.handshakes ?? new HandshakeLimiter();
    this.#server = createServer({ allowHalfOpen: true }, (socket) => {
      this.#sockets.add(socket);
      socket.on("error", () => socket.destroy());
      socket.on("close", () => this.#sockets.delete(socket));
      let bytes = Buffer.alloc(0);
      const read = (chunk: Buffer): void => {
        bytes = Buffer.concat([bytes, chunk]);
        const hello = inspectClientHello(bytes);
        if (hello.kind !== "hello") return;
        socket.off("data", read);
        socket.pause();
        socket.unshift(bytes);
        this.last = terminateTls(socket, {
          identity, hello, trustDomains: ["cluster.local"], alpnPreference: ["h2", "http/1.1"], timers: this.timers, handshakes: this.handshakes, ...options,
        }, (refused, tls, facts) => this.#settle({ refused, socket: tls, facts }));
      };
      socket.on("data", read);
    });
  }

  static async listen(identity: TlsIdentity, options: Partial<TerminateOptions> = {}): Promise<TlsTestServer> {
    const server = new TlsTestServer(identity, options);
    server.#server.listen(0, "127.0.0.1");
    await once(server.#server, "listening");
    return server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** How many outcomes nobody asked for yet. */
  get pending(): number {
    return this.#outcomes.length;
  }

  /** The next connection's outcome. */
  next(): Promise<Outcome> {
    const outcome = this.#outcomes.shift();
    return outcome === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(outcome);
  }

  /** A plain connection to it. */
  dial(): Socket {
    return connect(this.port, "127.0.0.1").on("error", () => undefined);
  }

  /** A TLS connection with a certificate, or without. */
  dialTls(issued: IssuedCertificate | null, options: ConnectionOptions = {}): TLSSocket {
    const own = issued === null ? {} : { cert: issued.certificateChainPem, key: issued.privateKeyPem };
    return connectTls({
      host: "127.0.0.1", port: this.port, rejectUnauthorized: false, checkServerIdentity: () => undefined,
      servername: "outbound_.80_.v1_.reviews.default.svc.cluster.local", ...own, ...options,
    }).on("error", () => undefined);
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }

  #settle(outcome: Outcome): void {
    outcome.socket?.on("error", () => undefined);
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#outcomes.push(outcome);
    else waiting(outcome);
  }
}
