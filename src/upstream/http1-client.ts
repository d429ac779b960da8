import type { Socket } from "node:net";
import { DEFAULT_HTTP1_LIMITS, type Http1Limits } from "../codec/http1-limits.ts";
import { OutputBuffer } from "../codec/http1-output.ts";
import { Http1ResponseParser, type Http1ResponseSink } from "../codec/http1-response-parser.ts";
import { writeRequestHead } from "../codec/http1-writer.ts";
import { StallWatch } from "../core/stall-watch.ts";
import type { TimerWheel } from "../core/timer-wheel.ts";
import type { RequestHead, ResponseHead } from "../message/head.ts";
import type { HeaderList } from "../message/header-list.ts";
import { fromNodeError } from "../message/node-error.ts";
import { ProxyError } from "../message/proxy-error.ts";
import type { ResponseReceiver, UpstreamConnection, UpstreamConnectionOwner, UpstreamStream } from "../message/stream.ts";
import { peerInMessages, type UpstreamFacts } from "./connector.ts";
import { type Http1ClientHost, Http1ClientStream } from "./http1-client-stream.ts";

/** How long an upstream may take nothing at all of a request body of which more waits than the watermark (F25). */
const STALLED_REQUEST_MS = 300_000;

export interface Http1ClientOptions {
  readonly timers: TimerWheel;
  readonly limits?: Http1Limits;
}

/**
 * The client side of one HTTP/1.1 connection: one request at a time, and another only after a response whose end is
 * certain. Whatever the peer says that no request asked for ends the connection and is never taken for an answer
 * (A57, CVE-2026-48931). A request that the peer stops reading is given up with `request_stalled`; a tunnel never is.
 */
export class Http1Client implements UpstreamConnection, Http1ResponseSink, Http1ClientHost {
  readonly output: OutputBuffer;
  readonly stalls: StallWatch;
  /** `timeout` of the peer's last Keep-Alive field in milliseconds; null when it sent none. */
  idleLimitMs: number | null = null;
  readonly #socket: Socket;
  readonly #peer: string;
  readonly #owner: UpstreamConnectionOwner;
  readonly #parser: Http1ResponseParser;
  #stream: Http1ClientStream | null = null;
  #isReused = false;
  #isRetiring = false;
  #isClosed = false;
  #isReadingPaused = false;
  #failure: Error | null = null;
  /** The head of a complete response without a body, until it is handed on. */
  #lastHead: ResponseHead | null = null;
  #trailers: HeaderList | null = null;

  constructor(socket: Socket, facts: Pick<UpstreamFacts, "remote" | "doubt">, owner: UpstreamConnectionOwner, options: Http1ClientOptions) {
    this.output = new OutputBuffer(socket);
    this.stalls = new StallWatch(options.timers, STALLED_REQUEST_MS, this.output, () => this.#guard(() => this.#onStalled()));
    this.#socket = socket;
    this.#peer = peerInMessages(facts);
    this.#owner = owner;
    this.#parser = new Http1ResponseParser(this, options.limits ?? DEFAULT_HTTP1_LIMITS);
    // A FIN must not end a request that is still being sent, nor the other half of a tunnel.
    socket.allowHalfOpen = true;
    socket.on("error", (error: Error) => {
      this.#failure = error;
    });
    socket.on("close", () => this.#guard(() => this.#onClose()));
    socket.on("end", () => this.#guard(() => this.#onEnd()));
    socket.on("drain", () => this.#guard(() => this.#onDrain()));
    socket.on("data", (chunk: Buffer) => this.#onData(chunk));
    if (socket.closed) process.nextTick(() => this.#onClose());
    else socket.resume();
  }

  // === The owner ===

  get isReused(): boolean {
    return this.#isReused;
  }

  request(head: RequestHead, end: boolean, receiver: ResponseReceiver): UpstreamStream {
    const stream = new Http1ClientStream(this, head, end, receiver);
    if (this.#isClosed || this.#stream !== null || !this.#socket.writable) {
      stream.failLater(new ProxyError("upstream_disconnect", `${this.#peer}: connection closed`, { onReusedConnection: this.#isReused, isUnsent: true }));
      return stream;
    }
    let text: string;
    try {
      text = writeRequestHead(head);
    } catch (error) {
      stream.failLater(error as ProxyError);
      this.destroy();
      return stream;
    }
    this.#stream = stream;
    this.#parser.expect(head.method, head.upgrade);
    this.output.text(text);
    return stream;
  }

  retire(): void {
    this.#isRetiring = true;
    if (this.#stream === null) this.#close();
  }

  destroy(): void {
    this.#close();
  }

  // === The socket ===

  #onData(chunk: Buffer): void {
    try {
      const taken = this.#parser.push(chunk);
      if (this.#isClosed) return;
      if (this.#stream === null) this.#close();
      else if (this.#parser.isIdle) this.#exchangeDone(this.#stream, taken === chunk.length);
    } catch (error) {
      this.#onException(error);
    }
  }

  #onDrain(): void {
    this.stalls.moved();
    this.#stream?.drained();
  }

  #onEnd(): void {
    const stream = this.#stream;
    if (stream !== null && this.#parser.endOfConnection()) {
      stream.hasResponseEnded = true;
      stream.receiver?.end(null);
      // The other half of a tunnel lives on.
      if (stream.isTunnel) return;
    }
    this.#onClose();
  }

  #onClose(): void {
    if (this.#isClosed) return;
    const isReused = this.#isReused;
    const error = this.#failure === null
      ? new ProxyError("upstream_disconnect", `${this.#peer}: connection closed by peer`, { onReusedConnection: isReused })
      : fromNodeError(this.#failure, this.#peer, "established", isReused);
    this.#fail(error);
  }

  #onStalled(): void {
    this.#fail(new ProxyError("request_stalled", `${this.#peer}: took nothing of the request for ${STALLED_REQUEST_MS / 1_000} s`));
  }

  // === The parser ===

  onInformational(head: ResponseHead): void {
    this.#stream?.receiver?.informational(head);
  }

  onResponseHead(head: ResponseHead, hasBody: boolean): void {
    const stream = this.#stream;
    if (stream === null) return;
    const seconds = this.#parser.keepAliveSeconds;
    if (seconds >= 0) this.idleLimitMs = seconds * 1_000;
    if (head.status === 101) stream.openTunnel();
    if (hasBody) stream.receiver?.head(head, false);
    else this.#lastHead = head;
  }

  onBodyData(chunk: Buffer): void {
    this.#stream?.receiver?.data(chunk);
  }

  onBodyEnd(trailers: HeaderList | null): void {
    this.#trailers = trailers;
  }

  onMalformed(error: ProxyError): void {
    this.#fail(error);
  }

  // === The stream ===

  abandon(stream: Http1ClientStream): void {
    if (this.#stream !== stream) return;
    this.#stream = null;
    stream.failLater(new ProxyError("internal", "request body of another length than announced"));
    this.#close();
  }

  pauseReading(): void {
    if (this.#isReadingPaused) return;
    this.#isReadingPaused = true;
    this.#socket.pause();
  }

  resumeReading(): void {
    if (!this.#isReadingPaused) return;
    this.#isReadingPaused = false;
    this.#socket.resume();
  }

  endTunnel(): void {
    this.output.flush();
    this.#socket.end();
  }

  // === The end ===

  /**
   * The response is complete. The connection is free before its receiver hears the end, which may bring the next request
   * within the call; `isAlone` false: more came behind the response, which is nobody's.
   */
  #exchangeDone(stream: Http1ClientStream, isAlone: boolean): void {
    const canReuse = isAlone && stream.isSent && this.#parser.keepsAlive && !this.#isRetiring && this.#socket.writable;
    const head = this.#lastHead;
    const trailers = this.#trailers;
    const receiver = stream.detach();
    this.#lastHead = null;
    this.#trailers = null;
    this.#stream = null;
    if (canReuse) {
      this.#isReused = true;
      this.resumeReading();
      this.#owner.idle(this);
    } else {
      this.#close();
    }
    if (head === null) receiver?.end(trailers);
    else receiver?.head(head, true);
  }

  #fail(error: ProxyError): void {
    const receiver = this.#stream?.detach() ?? null;
    this.#close();
    receiver?.reset(error);
  }

  /** Closes at once; the owner hears of it, a stream under way does not. */
  #close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#parser.stop();
    this.stalls.stop();
    this.#stream?.detach();
    this.#stream = null;
    this.#socket.destroy();
    this.#owner.closed(this);
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
    const receiver = this.#stream?.detach() ?? null;
    this.#close();
    receiver?.reset(new ProxyError("internal", String(cause), { cause }));
  }
}
