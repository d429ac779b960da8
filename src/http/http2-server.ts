import type { Socket } from "node:net";
import { Http2ErrorCode } from "../codec/http2-error-code.ts";
import type { Http2Fault } from "../codec/http2-fault.ts";
import { Http2Output } from "../codec/http2-output.ts";
import { DEFAULT_HTTP2_SESSION_OPTIONS, HOP_HTTP2_SESSION_OPTIONS, type Http2SessionOptions } from "../codec/http2-session-options.ts";
import { type Http2ServerOwner, Http2ServerSession } from "../codec/http2-session-server.ts";
import type { Http2SessionStream, Http2StreamUser } from "../codec/http2-session-stream.ts";
import { DEFAULT_HTTP2_KEEP_ALIVE, type Http2KeepAlive, Http2SessionWatch } from "../codec/http2-session-watch.ts";
import type { Clock } from "../core/clock.ts";
import { resetConnection } from "../core/reset-connection.ts";
import type { TimerWheel } from "../core/timer-wheel.ts";
import type { ConnectionFacts } from "../message/connection-facts.ts";
import type { RequestHead } from "../message/head.ts";
import { ProxyError } from "../message/proxy-error.ts";
import type { HttpHandler } from "../message/stream.ts";
import { Http1Deadline } from "./http1-deadline.ts";
import { Http1DelayedClose } from "./http1-delayed-close.ts";
import { brokenRule, malformedRequest } from "./http2-downstream-error.ts";
import { Http2ServerStream } from "./http2-server-stream.ts";

export interface Http2ServerOptions {
  readonly clock: Clock;
  readonly timers: TimerWheel;
  /** The peer is one of us (ALPN `outrider`): HTTP/1 messages get their spelling, order and version back. */
  readonly hop?: boolean;
  /** Default: by `hop`. */
  readonly session?: Http2SessionOptions;
  readonly keepAlive?: Http2KeepAlive;
  /** Without streams; 0: no limit. Default 1 h (spec/07 section 7.7). */
  readonly idleTimeoutMs?: number;
  /** Between the two GOAWAYs of a drain, unless the peer is seen to have read the first. Default 5 s (spec/07 section 7.13). */
  readonly drainGraceMs?: number;
}

/**
 * - `open`: streams are taken.
 * - `announced`: the peer was told that no more will be.
 * - `draining`: no more are; it closes when those under way are done.
 * - `lingering`: our last byte is written; what comes is discarded.
 * - `closed`.
 */
type Phase = "open" | "announced" | "draining" | "lingering" | "closed";

const IDLE_TIMEOUT_MS = 3_600_000;
const DRAIN_GRACE_MS = 5_000;

/**
 * The server side of one HTTP/2 connection: many streams at once, each handed to the handler as it comes. A request that
 * cannot be read is reset or answered here, and the handler hears `malformed`; a peer that breaks a rule of the connection,
 * or does too often what is allowed, is told so by GOAWAY and loses it.
 */
export class Http2Server implements Http2ServerOwner {
  readonly connection: ConnectionFacts;
  readonly #socket: Socket;
  readonly #handler: HttpHandler;
  readonly #session: Http2ServerSession;
  readonly #watch: Http2SessionWatch;
  readonly #deadline: Http1Deadline;
  readonly #close: Http1DelayedClose;
  readonly #idleTimeoutMs: number;
  readonly #drainGraceMs: number;
  #phase: Phase = "open";
  #hasStarted = false;

  constructor(socket: Socket, facts: ConnectionFacts, handler: HttpHandler, options: Http2ServerOptions) {
    const { clock, timers, hop = false } = options;
    this.connection = facts;
    this.#socket = socket;
    this.#handler = handler;
    this.#idleTimeoutMs = options.idleTimeoutMs ?? IDLE_TIMEOUT_MS;
    this.#drainGraceMs = options.drainGraceMs ?? DRAIN_GRACE_MS;
    const output = new Http2Output(socket);
    const session = options.session ?? (hop ? HOP_HTTP2_SESSION_OPTIONS : DEFAULT_HTTP2_SESSION_OPTIONS);
    this.#session = new Http2ServerSession(output, this, session, clock);
    const keepAlive = options.keepAlive ?? { ...DEFAULT_HTTP2_KEEP_ALIVE, isPatient: hop };
    this.#watch = new Http2SessionWatch(this.#session, keepAlive, timers, clock, () => this.destroy());
    this.#deadline = new Http1Deadline(timers, clock, () => this.#guard(() => this.#onDeadline()));
    this.#close = new Http1DelayedClose(socket, this.#deadline);
  }

  /** Streams under way. */
  get activeStreams(): number {
    return this.#session.streamCount;
  }

  // === The owner ===

  /** Takes the socket over; `firstBytes` were read from it already and belong to the connection from now on. */
  start(firstBytes?: Buffer): void {
    const socket = this.#socket;
    this.#hasStarted = true;
    socket.on("error", ignoreError);
    socket.on("close", () => this.#onClose());
    socket.on("end", () => this.#guard(() => this.#onEnd()));
    socket.on("drain", () => this.#guard(() => this.#session.drained()));
    socket.on("data", (chunk: Buffer) => this.#onData(chunk));
    if (socket.destroyed) {
      if (socket.closed) process.nextTick(() => this.#onClose());
      return;
    }
    this.#session.start();
    this.#watch.start();
    this.#deadline.set(this.#idleTimeoutMs);
    const isDue = this.#phase !== "open";
    this.#phase = "open";
    if (firstBytes !== undefined && firstBytes.length > 0) this.#onData(firstBytes);
    if (isDue) this.drain();
    socket.resume();
  }

  /** Takes no more streams and closes the connection when those under way are done (RFC 9113 section 6.8). */
  drain(): void {
    if (this.#phase !== "open") return;
    this.#phase = "announced";
    if (!this.#hasStarted) return;
    this.#session.announceShutdown();
    this.#deadline.set(this.#drainGraceMs);
  }

  /** Takes no further stream, now: the peer hears which were the last. Closes when those under way are done. */
  finish(): void {
    if (this.#phase === "open" || this.#phase === "announced") this.#guard(() => this.#refuseNewStreams());
  }

  /** Closes the connection at once; responses under way are cut and hear `error`, or else that the peer is gone. */
  destroy(error: ProxyError | null = null): void {
    const isIdle = this.#session.streamCount === 0;
    if (error !== null) this.#guard(() => this.#session.abandon({ kind: "dismissed", code: Http2ErrorCode.noError, reason: error.reason }));
    if (isIdle) this.#socket.destroy();
    else resetConnection(this.#socket);
  }

  // === The socket ===

  #onData(chunk: Buffer): void {
    if (this.#phase === "lingering") {
      this.#close.discard(chunk);
      return;
    }
    try {
      this.#session.read(chunk);
      this.#watch.received();
    } catch (error) {
      this.#onException(error);
    }
  }

  /** HTTP/2 knows no half-closed connection: whoever has ended it does not wait for answers. */
  #onEnd(): void {
    if (this.#phase === "lingering") return;
    if (this.#session.streamCount === 0) this.#linger();
    else this.#socket.destroy();
  }

  #onClose(): void {
    if (this.#phase === "closed") return;
    this.#phase = "closed";
    this.#watch.stop();
    this.#deadline.dispose();
    this.#guard(() => {
      this.#session.abandon({ kind: "connection", code: Http2ErrorCode.noError, reason: "connection closed" });
      this.#handler.closed();
    });
  }

  // === The session ===

  request(head: RequestHead, end: boolean, sessionStream: Http2SessionStream): Http2StreamUser {
    const stream = new Http2ServerStream(sessionStream, head, this.connection);
    this.#watch.streamOpened();
    const receiver = this.#handler.request(head, end, stream);
    // Answered or lost within the call: nobody is left to hear the rest.
    if (!stream.isDone) stream.receiver = receiver;
    return stream;
  }

  malformed(error: ProxyError): void {
    this.#handler.malformed(malformedRequest(error), this.connection, "HTTP/2");
  }

  failed(fault: Http2Fault): void {
    const isFault = fault.code !== Http2ErrorCode.noError;
    this.#handler.malformed(brokenRule(fault), this.connection, "HTTP/2");
    this.#session.abandon({ kind: isFault ? "fault" : "connection", code: fault.code, reason: fault.reason });
    this.#linger();
  }

  streamClosed(): void {
    if (this.#session.streamCount > 0) return;
    if (this.#phase === "draining") this.#linger();
    else if (this.#phase === "open") this.#deadline.set(this.#idleTimeoutMs);
  }

  settingsChanged(): void {
    // What a server does does not depend on them beyond what the session sees to.
  }

  pingAcked(): void {
    // What follows our first GOAWAY was sent by a peer that has read it.
    if (this.#phase === "announced") this.#refuseNewStreams();
  }

  // === Closing ===

  #onDeadline(): void {
    if (this.#phase === "lingering") this.#close.finish();
    else if (this.#phase === "announced") this.#refuseNewStreams();
    else if (this.#phase === "open" && this.#session.streamCount === 0) this.drain();
  }

  #refuseNewStreams(): void {
    this.#phase = "draining";
    this.#deadline.clear();
    this.#session.refuseNewStreams();
    if (this.#session.streamCount === 0) this.#linger();
  }

  /** Closes after what was written. */
  #linger(): void {
    if (this.#phase === "closed" || this.#phase === "lingering") return;
    this.#phase = "lingering";
    this.#watch.stop();
    this.#session.abandon({ kind: "connection", code: Http2ErrorCode.noError, reason: "connection closed" });
    this.#session.output.flush();
    this.#close.begin();
  }

  // === Exceptions: a defect of ours costs this connection and no other ===

  #guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#onException(error);
    }
  }

  #onException(cause: unknown): void {
    const error = new ProxyError("internal", String(cause), { cause });
    resetConnection(this.#socket);
    this.#handler.malformed(error, this.connection, "HTTP/2");
  }
}

function ignoreError(): void {
  // 'close' follows every error and tells the handler.
}
