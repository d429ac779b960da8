import type { Socket } from "node:net";
import { Http2ErrorCode, http2ErrorName } from "../codec/http2-error-code.ts";
import type { Http2Fault } from "../codec/http2-fault.ts";
import { Http2Output } from "../codec/http2-output.ts";
import { type Http2ClientSessionOwner, Http2ClientSession } from "../codec/http2-session-client.ts";
import { DEFAULT_HTTP2_SESSION_OPTIONS, HOP_HTTP2_SESSION_OPTIONS, type Http2SessionOptions } from "../codec/http2-session-options.ts";
import type { Http2Cut } from "../codec/http2-session-stream.ts";
import { DEFAULT_HTTP2_KEEP_ALIVE, type Http2KeepAlive, Http2SessionWatch } from "../codec/http2-session-watch.ts";
import type { Clock } from "../core/clock.ts";
import type { TimerWheel } from "../core/timer-wheel.ts";
import type { RequestHead } from "../message/head.ts";
import { fromNodeError } from "../message/node-error.ts";
import { ProxyError } from "../message/proxy-error.ts";
import type { MultiplexedConnection, MultiplexedConnectionOwner, ResponseReceiver, UpstreamStream } from "../message/stream.ts";
import { peerInMessages, type UpstreamFacts } from "./connector.ts";
import { type Http2ClientHost, Http2ClientStream } from "./http2-client-stream.ts";

export interface Http2ClientOptions {
  readonly clock: Clock;
  readonly timers: TimerWheel;
  /** The peer is one of us (ALPN `outrider`): HTTP/1 messages carry their spelling, order and version. */
  readonly hop?: boolean;
  /** Default: by `hop`. */
  readonly session?: Http2SessionOptions;
  /** PINGs as configured (`spec/04` 4.3); null or absent: when the peer is silent while something is expected of it. */
  readonly keepAlive?: Pick<Http2KeepAlive, "intervalMs" | "timeoutMs"> | null;
}

const FAREWELL_MS = 1_000;

/**
 * - `open`: streams may be opened, as far as the peer takes them.
 * - `retiring`: none are; it closes when those under way are done.
 * - `closed`.
 */
type Phase = "open" | "retiring" | "closed";

/**
 * The client side of one HTTP/2 connection: as many requests at once as the peer takes. It speaks first, as soon as it
 * is made. Requests the peer has not begun with when it refuses them or goes away fail with `refused_stream`.
 */
export class Http2Client implements MultiplexedConnection, Http2ClientSessionOwner, Http2ClientHost {
  readonly #socket: Socket;
  readonly #peer: string;
  readonly #owner: MultiplexedConnectionOwner;
  readonly #session: Http2ClientSession;
  readonly #watch: Http2SessionWatch;
  readonly #timers: TimerWheel;
  #phase: Phase = "open";
  #hasToldGoingAway = false;
  #requests = 0;
  #maxStreams: number;
  #failure: Error | null = null;

  constructor(socket: Socket, facts: Pick<UpstreamFacts, "remote" | "doubt">, owner: MultiplexedConnectionOwner, options: Http2ClientOptions) {
    const { clock, timers, hop = false } = options;
    this.#socket = socket;
    this.#timers = timers;
    this.#peer = peerInMessages(facts);
    this.#owner = owner;
    const output = new Http2Output(socket);
    this.#session = new Http2ClientSession(output, this, options.session ?? (hop ? HOP_HTTP2_SESSION_OPTIONS : DEFAULT_HTTP2_SESSION_OPTIONS), clock);
    this.#maxStreams = this.#session.maxStreams;
    const configured = options.keepAlive ?? null;
    const keepAlive = configured === null ? { ...DEFAULT_HTTP2_KEEP_ALIVE, isPatient: hop } : { ...configured, isPatient: true };
    this.#watch = new Http2SessionWatch(this.#session, keepAlive, timers, clock, () => this.#guard(() => this.#onSilent()));
    socket.on("error", (error: Error) => {
      this.#failure = error;
    });
    socket.on("close", () => this.#guard(() => this.#lost()));
    socket.on("end", () => this.#guard(() => this.#lost()));
    socket.on("drain", () => this.#guard(() => this.#session.drained()));
    socket.on("data", (chunk: Buffer) => this.#onData(chunk));
    if (socket.closed) {
      process.nextTick(() => this.#lost());
      return;
    }
    this.#session.start();
    this.#watch.start();
    socket.resume();
  }

  // === The owner ===

  get isReused(): boolean {
    return this.#requests > 0;
  }

  get activeStreams(): number {
    return this.#session.streamCount;
  }

  get maxStreams(): number {
    return this.#session.maxStreams;
  }

  get canTake(): boolean {
    return this.#phase === "open" && this.#session.canOpen && this.#socket.writable;
  }

  get isBackedUp(): boolean {
    return this.#session.output.isOverWatermark;
  }

  /** True when the peer takes an upgrade as an extended CONNECT (RFC 8441). */
  get canUpgrade(): boolean {
    return this.#session.peerSettings.enableConnectProtocol;
  }

  request(head: RequestHead, end: boolean, receiver: ResponseReceiver): UpstreamStream {
    const stream = new Http2ClientStream(this, head, end, receiver, this.isReused);
    if (!this.canTake) {
      stream.failLater(new ProxyError("refused_stream", `${this.#peer}: the connection takes no more streams`));
      return stream;
    }
    if (head.upgrade !== null && !this.canUpgrade) {
      stream.failLater(new ProxyError("upstream_protocol", `${this.#peer}: takes no upgrade over HTTP/2`));
      return stream;
    }
    try {
      stream.attach(this.#session.open(head, end && head.upgrade === null, stream));
    } catch (error) {
      stream.failLater(error instanceof ProxyError ? error : new ProxyError("internal", String(error), { cause: error }));
      return stream;
    }
    this.#requests++;
    this.#watch.streamOpened();
    if (this.#session.isGoingAway) this.#goAway();
    return stream;
  }

  retire(): void {
    if (this.#phase !== "open") return;
    this.#phase = "retiring";
    if (this.#session.streamCount === 0) this.#closeInOrder();
  }

  destroy(): void {
    this.#close({ kind: "connection", code: Http2ErrorCode.cancel, reason: "closed by us" });
  }

  // === The socket ===

  #onData(chunk: Buffer): void {
    try {
      this.#session.read(chunk);
      this.#watch.received();
    } catch (error) {
      this.#onException(error);
    }
  }

  #lost(): void {
    this.#close({ kind: "connection", code: Http2ErrorCode.noError, reason: "connection closed by peer" });
  }

  /** The peer has not answered a PING: its connection is dead, or it is. */
  #onSilent(): void {
    this.#failure ??= Object.assign(new Error("no answer to PING"), { code: "ETIMEDOUT" });
    this.#lost();
  }

  // === The session ===

  streamClosed(): void {
    if (this.#phase === "retiring") {
      if (this.#session.streamCount === 0) this.#closeInOrder();
    } else if (this.#phase === "open") {
      this.#owner.capacityGrew(this);
    }
  }

  settingsChanged(): void {
    const before = this.#maxStreams;
    this.#maxStreams = this.#session.maxStreams;
    if (this.#phase === "open" && this.#maxStreams > before) this.#owner.capacityGrew(this);
  }

  pingAcked(): void {
    // A sign of life, which the watch has seen.
  }

  goingAway(): void {
    this.#goAway();
  }

  failed(fault: Http2Fault): void {
    this.#close({ kind: "fault", code: fault.code, reason: fault.reason });
  }

  toProxyError(cut: Http2Cut, wasReused: boolean): ProxyError {
    const reason = `${this.#peer}: ${cut.reason}`;
    switch (cut.kind) {
      case "unprocessed":
        return new ProxyError("refused_stream", reason);
      case "reset":
        return new ProxyError("upstream_reset", reason, { onReusedConnection: wasReused });
      case "fault":
        return new ProxyError("upstream_protocol", `${reason} (${http2ErrorName(cut.code)})`);
      case "stalled":
        return new ProxyError("request_stalled", reason);
      case "unsendable":
        return new ProxyError("internal", cut.reason);
      default:
        return this.#failure === null
          ? new ProxyError("upstream_disconnect", reason, { onReusedConnection: wasReused })
          : fromNodeError(this.#failure, this.#peer, "established", wasReused);
    }
  }

  // === The end ===

  #goAway(): void {
    if (this.#phase === "open") this.#phase = "retiring";
    if (!this.#hasToldGoingAway) {
      this.#hasToldGoingAway = true;
      this.#owner.goingAway(this);
    }
    if (this.#session.streamCount === 0) this.#closeInOrder();
  }

  #closeInOrder(): void {
    this.#session.sayGoodbye();
    this.#close({ kind: "connection", code: Http2ErrorCode.noError, reason: "closed by us" });
  }

  /** Closes at once; the owner hears of it before the streams do. */
  #close(cut: Http2Cut): void {
    if (this.#phase === "closed") return;
    this.#phase = "closed";
    this.#watch.stop();
    this.#session.output.flush();
    this.#closeSocket();
    this.#owner.closed(this);
    this.#session.abandon(cut);
  }

  /** A last word of ours is given a while to leave. */
  #closeSocket(): void {
    const socket = this.#socket;
    if (socket.writableLength === 0 || this.#failure !== null) {
      socket.destroy();
      return;
    }
    const timer = this.#timers.schedule(FAREWELL_MS, () => socket.destroy());
    socket.on("close", () => timer.cancel());
    socket.destroySoon();
  }

  #guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#onException(error);
    }
  }

  /** A defect of ours costs this connection and no other. */
  #onException(cause: unknown): void {
    this.#failure ??= cause instanceof Error ? cause : new Error(String(cause));
    this.#close({ kind: "unsendable", code: Http2ErrorCode.internalError, reason: String(cause) });
  }
}
