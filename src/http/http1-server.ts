import type { Socket } from "node:net";
import { OutputBuffer } from "../codec/http1-output.ts";
import { Http1RequestParser, type Http1RequestSink } from "../codec/http1-request-parser.ts";
import { resetConnection } from "../core/reset-connection.ts";
import { StallWatch } from "../core/stall-watch.ts";
import { authorityOfAddress } from "../message/authority.ts";
import type { ConnectionFacts } from "../message/connection-facts.ts";
import type { RequestHead } from "../message/head.ts";
import type { HeaderList } from "../message/header-list.ts";
import { ProxyError } from "../message/proxy-error.ts";
import type { HttpHandler } from "../message/stream.ts";
import { type BodySource, Http1BodyPatience } from "./http1-body-patience.ts";
import { Http1Deadline } from "./http1-deadline.ts";
import { Http1DelayedClose } from "./http1-delayed-close.ts";
import { errorReplyText } from "./http1-error-reply.ts";
import { Http1HeldBytes } from "./http1-held-bytes.ts";
import { DEFAULT_HTTP1_SERVER_LIMITS, type Http1ServerLimits, type Http1ServerOptions } from "./http1-server-limits.ts";
import { Http1ServerStream, type Http1StreamHost } from "./http1-server-stream.ts";

/** `http`: requests one at a time. `tunnel`: after 101. `lingering`: our last byte is written; what comes is discarded. */
type Phase = "http" | "tunnel" | "lingering" | "closed";

/**
 * The server side of one HTTP/1 connection. Requests are handed to the handler one at a time; bytes of later ones wait
 * unparsed. What is malformed is answered here and the connection closed: in a head, the handler hears `malformed`; in
 * a body, the stream's receiver hears `reset` with the error whose status is sent, and need not answer.
 *
 * A peer that has sent its FIN still gets its response, if that begins soon, unless it is a proxy of the mesh. A response
 * that ends before its request does ends the stream: the receiver hears nothing more, and the connection closes.
 */
export class Http1Server implements Http1RequestSink, Http1StreamHost, BodySource {
  readonly connection: ConnectionFacts;
  readonly output: OutputBuffer;
  readonly stalls: StallWatch;
  readonly #socket: Socket;
  readonly #handler: HttpHandler;
  readonly #limits: Http1ServerLimits;
  readonly #parser: Http1RequestParser;
  readonly #deadline: Http1Deadline;
  readonly #patience: Http1BodyPatience;
  readonly #close: Http1DelayedClose;
  #phase: Phase = "http";
  #stream: Http1ServerStream | null = null;
  readonly #held = new Http1HeldBytes();
  #hasStarted = false;
  #isParsing = false;
  #isRequestEnded = true;
  #isPausedByHandler = false;
  #isReadingPaused = false;
  #hasPeerEnded = false;
  #isDraining = false;
  #awaitsHead = false;

  constructor(socket: Socket, facts: ConnectionFacts, handler: HttpHandler, options: Http1ServerOptions) {
    const limits = options.limits ?? DEFAULT_HTTP1_SERVER_LIMITS;
    this.connection = facts;
    this.output = new OutputBuffer(socket);
    this.#socket = socket;
    this.#handler = handler;
    this.#limits = limits;
    this.#parser = new Http1RequestParser(this, limits.codec, { isTls: facts.tls !== null, defaultAuthority: authorityOfAddress(facts.local) });
    this.#deadline = new Http1Deadline(options.timers, options.clock, () => this.#onDeadline());
    this.#close = new Http1DelayedClose(socket, this.#deadline);
    this.#patience = new Http1BodyPatience(limits.bodyRate, this, options.timers, options.clock);
    this.stalls = new StallWatch(options.timers, limits.stalledResponseMs, this.output, () => this.#guard(() => this.#failRequest(new ProxyError("response_stalled"))));
  }

  // === The owner ===

  /** Takes the socket over; `firstBytes` were read from it already and belong to the connection from now on. */
  start(firstBytes?: Buffer): void {
    const socket = this.#socket;
    this.#hasStarted = true;
    // Set before 'end' can be emitted: a peer that has sent all it will may still wait for its answer.
    socket.allowHalfOpen = true;
    // 'close' follows every error and tells the handler.
    socket.on("error", () => undefined);
    socket.on("close", () => this.#onClose());
    socket.on("end", () => this.#guard(() => this.#onEnd()));
    socket.on("drain", () => this.#guard(() => this.#onDrain()));
    socket.on("data", (chunk: Buffer) => this.#onData(chunk));
    if (socket.destroyed) {
      if (socket.closed) process.nextTick(() => this.#onClose());
      return;
    }
    this.#deadline.set(this.#limits.idleTimeoutMs);
    if (firstBytes !== undefined && firstBytes.length > 0) this.#onData(firstBytes);
    if (!this.#isReadingPaused) socket.resume();
  }

  /**
   * Closes the connection with the response under way or, if none is, with the next one: to close it while it is idle
   * would fail the request that may be on its way. Without one it closes after a while.
   */
  drain(): void {
    this.#isDraining = true;
    const isIdle = this.#phase === "http" && this.#stream === null && !this.#parser.hasPartialHead && this.#held.isEmpty;
    if (this.#hasStarted && isIdle) this.#deadline.set(Math.min(this.#limits.idleTimeoutMs || Infinity, this.#limits.drainIdleTimeoutMs));
  }

  /** Takes no further request: closes now if none is under way, else after its response. A tunnel is cut and hears `error`. */
  finish(error: ProxyError): void {
    this.#isDraining = true;
    if (this.#phase === "tunnel") this.destroy(error);
    else if (this.#stream === null) this.#guard(() => this.#linger());
    else this.#stream.keepsAlive = false;
  }

  /** Closes the connection at once; a response under way is cut and hears `error`. */
  destroy(error = new ProxyError("downstream_disconnect")): void {
    if (this.#stream === null) this.#close.finish();
    else this.#guard(() => this.#failRequest(error));
  }

  // === The socket ===

  #onData(chunk: Buffer): void {
    try {
      if (this.#phase === "lingering") this.#close.discard(chunk);
      else if (this.#phase === "tunnel") this.#stream?.receiver?.data(chunk);
      else if (this.#phase === "closed") return;
      else if (!this.#held.isEmpty || this.#mustHold) this.#hold(chunk, false);
      else this.#parse(chunk);
    } catch (error) {
      this.#onException(error);
    }
  }

  #onDrain(): void {
    this.stalls.moved();
    if (this.#stream !== null) this.#stream.drained();
    else if (this.#phase === "http") this.#goOn();
  }

  #onEnd(): void {
    this.#hasPeerEnded = true;
    if (this.#phase === "tunnel") {
      this.#stream?.receiver?.end(null);
      return;
    }
    if (this.#phase !== "http") return;
    if (this.#stream === null) this.#linger();
    // A request cut short; Content-Length or the last chunk would have told otherwise. And no proxy closes its half to
    // wait for an answer: inside the mesh a FIN says that the caller has given up. (A tunnel's is the application's own.)
    else if (!this.#isRequestEnded || (this.connection.tls !== null && this.connection.tunnel === undefined)) this.#socket.destroy();
    else if (this.#stream.isUnanswered) this.#deadline.set(this.#limits.halfClosedMs);
  }

  #onClose(): void {
    if (this.#phase === "closed") return;
    const hasEndedInOrder = this.#phase === "tunnel" && this.#hasPeerEnded && (this.#stream?.isDone ?? false);
    this.#phase = "closed";
    this.#parser.stop();
    this.#deadline.dispose();
    this.#patience.stop();
    this.stalls.stop();
    this.#held.clear();
    const stream = this.#stream;
    this.#stream = null;
    this.#guard(() => {
      if (stream !== null && !hasEndedInOrder) {
        stream.detach();
        stream.receiver?.reset(new ProxyError("downstream_disconnect"));
      }
      this.#handler.closed();
    });
  }

  // === Parsing ===

  #parse(chunk: Buffer): void {
    let index = 0;
    this.#isParsing = true;
    for (;;) {
      index = this.#parser.push(chunk, index);
      // A request answered within the call makes room for the next one.
      if (this.#stream !== null || this.#phase !== "http" || !this.#parser.isComplete) break;
      this.#parser.next();
      if (index === chunk.length || this.output.isOverWatermark) break;
    }
    this.#isParsing = false;
    if (this.#phase !== "http") {
      // A 101 within the call: what follows its request belongs to the tunnel.
      if (this.#phase === "tunnel" && index < chunk.length) this.#stream?.receiver?.data(chunk.subarray(index));
      return;
    }
    if (index < chunk.length) this.#hold(index === 0 ? chunk : chunk.subarray(index), true);
    this.#updateReading();
    if (this.#stream === null) this.#awaitRequest();
    else if (!this.#isRequestEnded) this.#patience.start();
  }

  onRequestHead(head: RequestHead, hasBody: boolean): void {
    this.#deadline.set(this.#hasPeerEnded ? this.#limits.halfClosedMs : 0);
    this.#awaitsHead = false;
    this.#isRequestEnded = !hasBody;
    this.#isPausedByHandler = false;
    const stream = new Http1ServerStream(this, head);
    this.#stream = stream;
    const receiver = this.#handler.request(head, !hasBody && head.upgrade === null, stream);
    // Answered or lost within the call: nobody is left to hear the rest.
    if (this.#stream === stream && !stream.isReset) stream.receiver = receiver;
  }

  onBodyData(chunk: Buffer): void {
    this.#patience.received(chunk.length);
    this.#stream?.receiver?.data(chunk);
  }

  onBodyEnd(trailers: HeaderList | null): void {
    this.#isRequestEnded = true;
    this.#patience.stop();
    this.#stream?.receiver?.end(trailers);
  }

  onMalformed(error: ProxyError): void {
    if (this.#stream === null) {
      this.#handler.malformed(error, this.connection, "HTTP/1.1");
      this.#reply(error);
    } else {
      this.#failRequest(error);
    }
  }

  /** Bytes of later requests; `isFirst` when they come before those held already. */
  #hold(chunk: Buffer, isFirst: boolean): void {
    this.#held.put(chunk, isFirst);
    this.#updateReading();
  }

  /** Goes on to the next request, or waits for one. */
  #goOn(): void {
    while (this.#phase === "http" && !this.#mustHold) {
      const chunk = this.#held.take();
      if (chunk === undefined) break;
      this.#parse(chunk);
    }
    this.#updateReading();
    if (this.#phase !== "http") return;
    if (this.#stream === null) this.#awaitRequest();
    // The rest of a request does not come from a peer that has sent its FIN.
    else if (this.#hasPeerEnded && !this.#isRequestEnded) this.#socket.destroy();
  }

  /**
   * True while the next request has to wait: one is being answered, or the peer has not read enough of the answers it
   * has. Else whoever sends requests and reads nothing could make us hold answers without end (A56, CVE-2020-8661).
   */
  get #mustHold(): boolean {
    return this.#stream === null ? this.output.isOverWatermark : this.#isRequestEnded;
  }

  // === The stream ===

  get mayKeepAlive(): boolean {
    return !this.#isDraining && this.#parser.keepsAlive;
  }

  responseDone(stream: Http1ServerStream): void {
    if (this.#stream !== stream) return;
    this.#stream = null;
    this.#isPausedByHandler = false;
    this.#patience.stop();
    if (!stream.keepsAlive || !this.#isRequestEnded) {
      this.#linger();
      return;
    }
    // While parsing, the loop there goes on; it must not nest, however many requests one segment holds.
    if (this.#isParsing) return;
    this.#parser.next();
    this.#goOn();
  }

  cut(): void {
    this.#phase = this.#phase === "closed" ? "closed" : "lingering";
    this.#parser.stop();
    resetConnection(this.#socket);
  }

  pauseReading(): void {
    this.#isPausedByHandler = true;
    this.#patience.held();
    this.#updateReading();
  }

  resumeReading(): void {
    if (!this.#isPausedByHandler) return;
    this.#isPausedByHandler = false;
    this.#updateReading();
  }

  openTunnel(): void {
    this.#phase = "tunnel";
    for (let chunk = this.#held.take(); chunk !== undefined; chunk = this.#held.take()) this.#stream?.receiver?.data(chunk);
    this.#updateReading();
    if (this.#hasPeerEnded) this.#stream?.receiver?.end(null);
  }

  endTunnel(): void {
    this.output.flush();
    this.#socket.end();
  }

  // === Waiting and closing ===

  get isHeldByUs(): boolean {
    return this.#isPausedByHandler || (this.#stream?.awaitsContinue ?? false);
  }

  onBodyTooSlow(): void {
    this.#guard(() => this.#failRequest(new ProxyError("body_rate")));
  }

  /** Between requests, or in the middle of a head. */
  #awaitRequest(): void {
    const { hasPartialHead } = this.#parser;
    // With bytes held there is a next request: it begins when the peer has read what came before.
    if (this.#held.isEmpty && (this.#hasPeerEnded || (this.#isDraining && !hasPartialHead))) this.#linger();
    else if (!hasPartialHead) this.#deadline.set(this.#limits.idleTimeoutMs);
    else if (!this.#awaitsHead) this.#deadline.set(this.#limits.headTimeoutMs);
    this.#awaitsHead = hasPartialHead;
  }

  #onDeadline(): void {
    this.#guard(() => {
      if (this.#phase === "lingering") this.#close.finish();
      // The FIN of a peer that is done sending, and of one that is gone, look the same: it has had its time.
      else if (this.#stream?.isUnanswered === true) this.#failRequest(new ProxyError("downstream_disconnect"));
      else if (this.#stream !== null) return;
      else if (this.#awaitsHead) this.onMalformed(new ProxyError("header_timeout"));
      else this.#linger();
    });
  }

  /** The request under way is void. It is answered here if it was not yet and there is something to say, else cut. */
  #failRequest(error: ProxyError): void {
    const stream = this.#stream;
    const isAnswered = stream === null || !stream.isUnanswered || error.attributes.status === 0;
    this.#stream = null;
    stream?.detach();
    this.#parser.stop();
    stream?.receiver?.reset(error);
    if (isAnswered) this.cut();
    else this.#reply(error);
  }

  /** Answers a message that cannot be served and closes. */
  #reply(error: ProxyError): void {
    if (this.#phase !== "http") return;
    this.output.text(errorReplyText(error));
    this.#linger();
  }

  /** Closes after what was written. */
  #linger(): void {
    if (this.#phase === "closed" || this.#phase === "lingering") return;
    this.#phase = "lingering";
    this.#parser.stop();
    this.#patience.stop();
    this.stalls.stop();
    this.#held.clear();
    this.#isPausedByHandler = false;
    this.#updateReading();
    this.output.flush();
    this.#close.begin();
  }

  #updateReading(): void {
    const isBackedUp = this.#phase === "http" && this.#stream === null && this.output.isOverWatermark;
    if (isBackedUp) this.stalls.start();
    const shouldPause = isBackedUp || this.#isPausedByHandler || this.#held.bytes > this.#limits.maxHeldBytes;
    if (shouldPause === this.#isReadingPaused) return;
    this.#isReadingPaused = shouldPause;
    if (shouldPause) this.#socket.pause();
    else this.#socket.resume();
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
    this.#isParsing = false;
    const stream = this.#stream;
    this.#stream = null;
    stream?.detach();
    this.#parser.stop();
    resetConnection(this.#socket);
    const error = new ProxyError("internal", String(cause), { cause });
    const receiver = stream?.receiver ?? null;
    if (receiver === null) this.#handler.malformed(error, this.connection, "HTTP/1.1");
    else receiver.reset(error);
  }
}
