import type { Socket } from "node:net";
import { isHop } from "../cluster/http-offer.ts";
import { PREFACE } from "../codec/http2-frame.ts";
import type { Clock } from "../core/clock.ts";
import type { DefectObserver } from "../core/defect.ts";
import { GradualVisit } from "../core/gradual-visit.ts";
import type { TimerWheel } from "../core/timer-wheel.ts";
import type { FilterChain } from "../filter/filter-chain.ts";
import type { ConnectionFacts } from "../message/connection-facts.ts";
import type { HttpVersion, RequestHead } from "../message/head.ts";
import { toLocalReply } from "../message/local-reply.ts";
import { ProxyError } from "../message/proxy-error.ts";
import type { DownstreamStream, HttpHandler, RequestReceiver } from "../message/stream.ts";
import { type Direction, StreamInfo, type StreamObserver } from "../message/stream-info.ts";
import type { Router } from "../router/router.ts";
import { DismissedConnections } from "./dismissed-connections.ts";
import { ForwardedClientCert } from "./forwarded-client-cert.ts";
import { Http1Server } from "./http1-server.ts";
import { Http2Server } from "./http2-server.ts";
import { HttpStream, type StreamOwner, type StreamPolicy, type StreamRouting } from "./http-stream.ts";

export interface HttpParts {
  readonly clock: Clock;
  readonly timers: TimerWheel;
  readonly observers: readonly StreamObserver[];
  readonly defect: DefectObserver;
}

/** One downstream connection, of whatever version. */
interface HttpServer {
  readonly connection: ConnectionFacts;
  start(firstBytes?: Buffer): void;
  drain(): void;
  finish(error: ProxyError): void;
  destroy(error: ProxyError): void;
}

/**
 * HTTP connections of one direction. Each request becomes a stream that passes hygiene, filters, route and router, in
 * this order; the manager holds what all of them share and tells the observers at the end of each.
 */
export class HttpConnectionManager implements StreamOwner {
  readonly direction: Direction;
  readonly filters: FilterChain;
  readonly router: Router;
  readonly clock: Clock;
  readonly #parts: HttpParts;
  readonly #connections = new Set<HttpServer>();
  readonly #dismissed: DismissedConnections<HttpServer>;
  readonly #recheck: GradualVisit<HttpServer>;
  readonly #drainSome: GradualVisit<HttpServer>;
  #policy: StreamPolicy | null = null;
  #activeStreams = 0;
  #isDraining = false;

  constructor(direction: Direction, filters: FilterChain, router: Router, parts: HttpParts) {
    this.direction = direction;
    this.filters = filters;
    this.router = router;
    this.clock = parts.clock;
    this.#parts = parts;
    this.#dismissed = new DismissedConnections(parts, (server) => this.#connections.has(server));
    this.#recheck = new GradualVisit(parts.clock);
    this.#drainSome = new GradualVisit(parts.clock);
  }

  /** Streams under way. */
  get activeStreamCount(): number {
    return this.#activeStreams;
  }

  /** The policy in force; there is one before the first listener accepts. */
  get policy(): StreamPolicy {
    if (this.#policy === null) throw new Error("no snapshot has been applied");
    return this.#policy;
  }

  apply(policy: StreamPolicy): void {
    this.#policy = policy;
  }

  /**
   * Serves an HTTP connection until it closes; `firstBytes` were already read from it. Its version is what ALPN agreed
   * on, and without ALPN what the first bytes say, which then hold the whole preface if there is one.
   */
  serve(socket: Socket, firstBytes: Buffer | null, facts: ConnectionFacts, routing: StreamRouting): void {
    const connection = new HttpConnection(this, routing, facts);
    const server = this.#openServer(socket, firstBytes, facts, connection);
    connection.onClosed = () => this.#connections.delete(server);
    this.#connections.add(server);
    if (this.#isDraining) server.drain();
    server.start(firstBytes ?? undefined);
  }

  #openServer(socket: Socket, firstBytes: Buffer | null, facts: ConnectionFacts, handler: HttpHandler): HttpServer {
    const options = { clock: this.clock, timers: this.#parts.timers };
    const alpn = facts.tls?.alpn ?? null;
    if (isHop(alpn)) return new Http2Server(socket, facts, handler, { ...options, hop: true });
    const isHttp2 = alpn === "h2" || (alpn === null && firstBytes !== null && beginsWithPreface(firstBytes));
    return isHttp2 ? new Http2Server(socket, facts, handler, options) : new Http1Server(socket, facts, handler, options);
  }

  /** From now on every response closes its connection, and connections without a stream close. */
  drain(): void {
    this.#isDraining = true;
    for (const server of this.#connections) server.drain();
  }

  /** Asks for the end of the connections that are meant: they close with the response under way, or with the next. */
  drainSome(isMeant: (facts: ConnectionFacts) => boolean): void {
    this.#drainSome.begin(this.#connections, (server) => {
      if (this.#connections.has(server) && isMeant(server.connection)) server.drain();
    });
  }

  /**
   * Asks about every open connection whether it may go on: `denied` gives the reason why not, or null. One that may not
   * gets no further request: it closes at once, or with the response under way if that ends soon.
   */
  recheck(denied: (facts: ConnectionFacts) => string | null): void {
    this.#recheck.begin(this.#connections, (server) => {
      const reason = this.#dismissed.has(server) || !this.#connections.has(server) ? null : denied(server.connection);
      if (reason !== null) this.#dismissed.add(server, new ProxyError("no_longer_accepted", reason));
    });
  }

  /** A request arrived: its stream lives until `streamEnded`. */
  streamStarted(): void {
    this.#activeStreams++;
  }

  streamEnded(info: StreamInfo): void {
    this.#activeStreams--;
    this.#observe(info);
  }

  /** An exception of ours ended a stream or a connection. */
  defect(cause: unknown): void {
    this.#parts.defect(`${this.direction}_http`, cause);
  }

  /** A request that never became a stream. */
  malformed(error: ProxyError, connection: ConnectionFacts, version: HttpVersion): void {
    if (error.code === "internal") {
      // It was not a request, and what it was is in the log.
      this.defect(error.cause);
      return;
    }
    const info = new StreamInfo(this.direction, connection, this.clock.monotonicMs());
    const reply = toLocalReply(error);
    info.version = version;
    info.status = reply.status;
    info.details = reply.details;
    info.addFlag(reply.flag);
    info.transportFailure = error.reason === "" ? null : error.reason;
    this.#observe(info);
  }

  #observe(info: StreamInfo): void {
    const endedAtMs = this.clock.monotonicMs();
    const observers = this.#parts.observers;
    for (let index = 0; index < observers.length; index++) (observers[index] as StreamObserver).done(info, endedAtMs);
  }
}

/** The codec's counterpart for one connection. */
class HttpConnection implements HttpHandler {
  readonly #manager: HttpConnectionManager;
  readonly #routing: StreamRouting;
  /** Inbound, what the application hears of its peer; outbound, hygiene takes out what the application claims. */
  readonly #clientCert: ForwardedClientCert | null;
  onClosed: () => void = () => undefined;

  constructor(manager: HttpConnectionManager, routing: StreamRouting, facts: ConnectionFacts) {
    this.#manager = manager;
    this.#routing = routing;
    // In a tunnel there is no proxy of the caller's that would have taken out what its application made up.
    const mode = facts.tunnel === undefined ? "APPEND_FORWARD" : "SANITIZE_SET";
    this.#clientCert = manager.direction === "inbound" ? new ForwardedClientCert(facts.tls, mode) : null;
  }

  request(head: RequestHead, end: boolean, downstream: DownstreamStream): RequestReceiver {
    const stream = new HttpStream(head, end, downstream, this.#manager);
    this.#manager.streamStarted();
    try {
      stream.start(this.#routing, this.#clientCert);
    } catch (cause) {
      stream.breakOff(cause);
    }
    return stream;
  }

  malformed(error: ProxyError, connection: ConnectionFacts, version: HttpVersion): void {
    this.#manager.malformed(error, connection, version);
  }

  closed(): void {
    this.onClosed();
  }
}

/** RFC 9113 section 3.4: how a client says HTTP/2 without having been asked. */
function beginsWithPreface(bytes: Buffer): boolean {
  return bytes.length >= PREFACE.length && bytes.compare(PREFACE, 0, PREFACE.length, 0, PREFACE.length) === 0;
}
