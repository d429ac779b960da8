import type { ResponseHead } from "../message/head.ts";
import type { HeaderList } from "../message/header-list.ts";
import type { Http2BodyLength } from "./http2-body-length.ts";
import { Http2ReceiveWindow } from "./http2-receive-window.ts";
import type { Http2Answered } from "./http2-response-head.ts";
import { Http2SendWindow } from "./http2-send-window.ts";
import { ByteQueue } from "../core/byte-queue.ts";
import type { Http2Late, Http2StreamPatience } from "./http2-stream-patience.ts";

/** Why a stream ended before its time. */
export interface Http2Cut {
  /**
   * - `reset`: the peer sent RST_STREAM.
   * - `unprocessed`: the peer has not begun with it and will not (RFC 9113 section 8.7): it may be sent again.
   * - `fault`: the peer broke a rule on this stream.
   * - `connection`: the connection is lost.
   * - `dismissed`: we closed the connection although its peer would have kept it.
   * - `unsendable`: what we were given to send cannot be written.
   * - `slow-body`, `stalled`: we gave it up, since the peer kept it waiting for too long.
   */
  readonly kind: "reset" | "unprocessed" | "fault" | "connection" | "dismissed" | "unsendable" | Http2Late;
  /** RFC 9113 section 7; of a lost connection, what it was closed with. */
  readonly code: number;
  readonly reason: string;
}

/** Who hears the peer's half of a stream: heads, data, then `onEnd` or `onCut`. Nothing after it resets the stream. */
export interface Http2StreamUser {
  /** Client side: an informational response, or the final one. `end` true: `onEnd` will not follow. */
  onHead(head: ResponseHead, end: boolean): void;
  onData(chunk: Buffer): void;
  onEnd(trailers: HeaderList | null): void;
  /** Less waits to be sent than when `write` answered false. */
  onDrain(): void;
  onCut(cut: Http2Cut): void;
}

/** The session, as a stream knows it. */
export interface Http2StreamHost {
  /** @throws ProxyError `internal` when the head cannot be written; nothing was. */
  sendResponse(stream: Http2SessionStream, head: ResponseHead, contentLength: number, end: boolean): void;
  send(stream: Http2SessionStream, chunk: Buffer): boolean;
  sendEnd(stream: Http2SessionStream, trailers: HeaderList | null): void;
  sendReset(stream: Http2SessionStream, code: number): void;
  /** `bytes` of the stream were passed on: its window may open. */
  passedOn(stream: Http2SessionStream, bytes: number): void;
  /** Octets that wait for slow readers have become more or fewer. */
  heldChanged(bytes: number): void;
}

/**
 * One stream of a session: what waits to be sent, what waits for its reader, and how far both halves have come. Of the
 * states of RFC 9113 section 5.1, none closed is "open", one closed is "half-closed", both closed is "closed"; an idle
 * stream has no object.
 */
export class Http2SessionStream {
  readonly id: number;
  readonly answered: Http2Answered;
  readonly sendWindow: Http2SendWindow;
  readonly receiveWindow: Http2ReceiveWindow;
  /** Null until the user is known, and once it need hear nothing more. */
  user: Http2StreamUser | null = null;
  /** What we may still send; `head`, of a server: the final response head first. */
  local: "head" | "open" | "closed" = "open";
  /** What the peer may still send; `head`: the final response head first. */
  remote: "head" | "open" | "closed" = "open";
  /** Each half ends by itself: a tunnel, or a CONNECT. */
  isTunnel = false;
  /** Data that waits for its windows, its turn, or the socket; null when there never was any. */
  waiting: ByteQueue | null = null;
  /** The end is due when nothing waits any more. */
  endsAfterWaiting = false;
  trailers: HeaderList | null = null;
  /** A `write` was answered false, and `drain` is due. */
  isBlocked = false;
  /** In the line of those that wait for their turn, and who comes next. */
  isInLine = false;
  next: Http2SessionStream | null = null;
  /** Informational responses so far. */
  informationalCount = 0;
  /** Holds the peer's data against what it announced. */
  expected: Http2BodyLength | null = null;
  /** The peer waits for `100 Continue` before it sends its body. */
  awaitsContinue = false;
  /** With a peer that owes something; null while it has not been found to. */
  patience: Http2StreamPatience | null = null;
  readonly #host: Http2StreamHost;
  #isPaused = false;
  #isDelivering = false;
  #held: ByteQueue | null = null;
  #heldEnd = false;
  #heldTrailers: HeaderList | null = null;

  constructor(host: Http2StreamHost, id: number, answered: Http2Answered, sendWindowBytes: number, receiveWindowBytes: number) {
    this.#host = host;
    this.id = id;
    this.answered = answered;
    this.sendWindow = new Http2SendWindow(sendWindowBytes);
    this.receiveWindow = new Http2ReceiveWindow(receiveWindowBytes);
  }

  /** Neither half carries anything any more. */
  get isClosed(): boolean {
    return this.local === "closed" && this.remote === "closed";
  }

  /** Octets that wait to be sent. */
  get waitingBytes(): number {
    return this.waiting === null ? 0 : this.waiting.bytes;
  }

  /** Octets that wait for the reader. */
  get heldBytes(): number {
    return this.#held === null ? 0 : this.#held.bytes;
  }

  /** What comes is not passed on for the time being. */
  get isHeld(): boolean {
    return this.#isPaused || this.heldBytes > 0;
  }

  // === Sending ===

  /** Sends a response head; `contentLength` is what is announced, -1 for nothing. Throws as the host does. */
  respond(head: ResponseHead, contentLength: number, end: boolean): void {
    if (this.local !== "closed") this.#host.sendResponse(this, head, contentLength, end);
  }

  /** Sends data. False: the source should pause until `drain`. */
  write(chunk: Buffer): boolean {
    if (this.local === "closed" || this.endsAfterWaiting || chunk.length === 0) return true;
    return this.#host.send(this, chunk);
  }

  /** Ends our half, behind what waits. */
  end(trailers: HeaderList | null): void {
    if (this.local !== "closed" && !this.endsAfterWaiting) this.#host.sendEnd(this, trailers);
  }

  /** Ends both halves; the user hears nothing more. */
  reset(code: number): void {
    this.user = null;
    this.drop();
    if (!this.isClosed) this.#host.sendReset(this, code);
  }

  // === Receiving ===

  /** What comes from now on waits here, and the peer is not allowed more than the window. */
  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    if (this.#isDelivering) return;
    if (this.#held !== null) this.#deliverHeld(this.#held);
    if (this.#heldEnd && !this.#isPaused) this.#deliverEnd();
  }

  /** From the session: data came. */
  receive(chunk: Buffer): void {
    if (!this.#isPaused && this.heldBytes === 0) {
      this.user?.onData(chunk);
      this.#host.passedOn(this, chunk.length);
      return;
    }
    // Nobody will hear of it.
    if (this.user === null) return;
    this.#held ??= new ByteQueue();
    this.#held.push(chunk);
    this.#host.heldChanged(chunk.length);
  }

  /** From the session: the peer's half ended. */
  receiveEnd(trailers: HeaderList | null): void {
    this.#heldEnd = true;
    this.#heldTrailers = trailers;
    if (!this.#isPaused && this.heldBytes === 0) this.#deliverEnd();
  }

  /**
   * From the session: the stream is over and what was to be sent is void. A message that had come whole is still
   * delivered to a slow reader, if the session wants it so; else the user is told of the cut.
   */
  over(cut: Http2Cut | null): void {
    this.local = "closed";
    this.waiting?.clear();
    this.trailers = null;
    this.isBlocked = false;
    if (this.remote === "closed" && cut === null) return;
    this.remote = "closed";
    const { user } = this;
    this.user = null;
    this.drop();
    if (cut !== null) user?.onCut(cut);
  }

  /** Lets go of what waits for the reader. */
  drop(): void {
    this.#heldEnd = false;
    this.#heldTrailers = null;
    if (this.#held === null || this.#held.bytes === 0) return;
    const { bytes } = this.#held;
    this.#held.clear();
    this.#host.heldChanged(-bytes);
  }

  #deliverHeld(held: ByteQueue): void {
    this.#isDelivering = true;
    try {
      while (held.bytes > 0 && !this.#isPaused && this.user !== null) {
        const chunk = held.take(held.bytes);
        this.#host.heldChanged(-chunk.length);
        this.user.onData(chunk);
        this.#host.passedOn(this, chunk.length);
      }
    } finally {
      this.#isDelivering = false;
    }
  }

  #deliverEnd(): void {
    const { user } = this;
    const trailers = this.#heldTrailers;
    this.#heldEnd = false;
    this.#heldTrailers = null;
    user?.onEnd(trailers);
  }
}
