import { isBodiless } from "../codec/http1-response-head.ts";
import type { OutputBuffer } from "../codec/http1-output.ts";
import { type ConnectionField, writeInformationalHead, writeLastChunk, writeResponseHead } from "../codec/http1-writer.ts";
import type { StallWatch } from "../core/stall-watch.ts";
import type { ConnectionFacts } from "../message/connection-facts.ts";
import type { RequestHead, ResponseHead } from "../message/head.ts";
import type { HeaderList } from "../message/header-list.ts";
import type { ProxyError } from "../message/proxy-error.ts";
import type { DownstreamStream, RequestReceiver } from "../message/stream.ts";

/** The connection, as a stream knows it. */
export interface Http1StreamHost {
  readonly connection: ConnectionFacts;
  readonly output: OutputBuffer;
  /** To be started when the peer falls behind. */
  readonly stalls: StallWatch;
  /** False when the connection closes after this response, whatever the response says. */
  readonly mayKeepAlive: boolean;
  /** The response was written whole. */
  responseDone(stream: Http1ServerStream): void;
  /** The response is void: the peer must be able to tell. */
  cut(): void;
  pauseReading(): void;
  resumeReading(): void;
  /** A 101 was written: bytes go both ways from now on. */
  openTunnel(): void;
  /** Nothing more will be written into the tunnel. */
  endTunnel(): void;
}

/**
 * - `waiting`: no final response yet.
 * - `body`: its head was written.
 * - `tunnel`: 101 was.
 * - `done`: nothing more is written; calls do nothing.
 */
type Phase = "waiting" | "body" | "tunnel" | "done";

/**
 * The response side of one request: frames what it is given as the request's version and the status ask for. A head
 * that cannot be written, and a body that is not as long as announced, cut the connection (F01): the peer must not
 * take the response for whole, and the receiver hears of it as of any lost connection.
 */
export class Http1ServerStream implements DownstreamStream {
  /** Who hears the rest of the request; null until the handler gave it, and once it need hear nothing more. */
  receiver: RequestReceiver | null = null;
  /** Whether another request may follow on the connection. */
  keepsAlive = true;
  /** The handler gave the stream up: its receiver hears nothing more. */
  isReset = false;
  /** A `write` was answered false, and `drain` is due. */
  isBlocked = false;
  readonly #host: Http1StreamHost;
  readonly #method: string;
  readonly #isHttp10: boolean;
  readonly #upgrade: string | null;
  #awaitsContinue: boolean;
  #phase: Phase = "waiting";
  #isChunked = false;
  /** The response has no body whatever is written. */
  #isBodiless = false;
  /** Bytes of the announced body not yet written; -1 when nothing was announced. */
  #left = -1;

  constructor(host: Http1StreamHost, request: RequestHead) {
    this.#host = host;
    this.#method = request.method;
    this.#isHttp10 = request.version === "HTTP/1.0";
    this.#upgrade = request.upgrade;
    this.#awaitsContinue = request.expectsContinue;
  }

  get connection(): ConnectionFacts {
    return this.#host.connection;
  }

  /** True until the head of the final response was written. */
  get isUnanswered(): boolean {
    return this.#phase === "waiting";
  }

  /** True when nothing more is written. */
  get isDone(): boolean {
    return this.#phase === "done";
  }

  /** True while the peer waits for `100 Continue` before it sends its body. */
  get awaitsContinue(): boolean {
    return this.#awaitsContinue;
  }

  informational(head: ResponseHead): void {
    // HTTP/1.0 knows no 1xx (RFC 9110 section 15.2).
    if (this.#phase !== "waiting" || this.#isHttp10) return;
    if (head.status === 100) this.#awaitsContinue = false;
    try {
      this.#host.output.text(writeInformationalHead(head, null));
    } catch {
      this.#cut();
    }
  }

  respond(head: ResponseHead, end: boolean): void {
    if (this.#phase !== "waiting") return;
    if (head.status === 101) {
      this.#switchProtocols(head);
      return;
    }
    this.#isBodiless = isBodiless(this.#method, head.status);
    const length = this.#frame(head, end);
    if (end && length > 0 && !this.#isBodiless) {
      this.#cut();
      return;
    }
    // A peer that was told to wait may or may not send its body now: the next bytes would be ambiguous.
    this.keepsAlive &&= this.#host.mayKeepAlive && !this.#awaitsContinue && this.#upgrade === null;
    const connection: ConnectionField = this.keepsAlive ? (this.#isHttp10 ? "keep-alive" : "none") : "close";
    this.#phase = "body";
    try {
      this.#host.output.text(writeResponseHead(head, length, this.#isChunked, connection));
    } catch {
      this.#cut();
      return;
    }
    if (end) this.#finish();
  }

  write(chunk: Buffer): boolean {
    if (this.#phase === "waiting" || this.#phase === "done" || this.#isBodiless || chunk.length === 0) return true;
    const { output } = this.#host;
    if (this.#left >= 0) {
      this.#left -= chunk.length;
      if (this.#left < 0) {
        this.#cut();
        return true;
      }
    }
    if (this.#isChunked) {
      output.text(`${chunk.length.toString(16)}\r\n`);
      output.bytes(chunk);
      output.text("\r\n");
    } else {
      output.bytes(chunk);
    }
    this.isBlocked = output.isOverWatermark;
    // Who tunnels may leave what it is sent unread for as long as it likes.
    if (this.isBlocked && this.#phase === "body") this.#host.stalls.start();
    return !this.isBlocked;
  }

  end(trailers: HeaderList | null): void {
    if (this.#phase === "tunnel") {
      this.#phase = "done";
      this.#host.endTunnel();
    } else if (this.#phase === "body") {
      if (this.#left > 0) {
        this.#cut();
        return;
      }
      if (this.#isChunked) this.#host.output.text(writeLastChunk(trailers));
      this.#finish();
    }
  }

  reset(_error: ProxyError): void {
    if (this.#phase === "done") return;
    this.receiver = null;
    this.isReset = true;
    this.#cut();
  }

  pause(): void {
    if (this.#phase !== "done") this.#host.pauseReading();
  }

  resume(): void {
    if (this.#phase !== "done") this.#host.resumeReading();
  }

  /** Falls silent: the connection is lost or answers by itself. */
  detach(): void {
    this.#phase = "done";
  }

  /** The socket took what was buffered. */
  drained(): void {
    if (!this.isBlocked) return;
    this.isBlocked = false;
    this.receiver?.drain();
  }

  /** Decides how the body is framed (RFC 9112 section 6) and returns the length to announce, or -1. */
  #frame(head: ResponseHead, end: boolean): number {
    if (this.#isBodiless) return head.status === 204 ? -1 : head.contentLength;
    if (end) return Math.max(head.contentLength, 0);
    this.#left = head.contentLength;
    if (this.#left < 0) {
      this.#isChunked = !this.#isHttp10;
      if (this.#isHttp10) this.keepsAlive = false;
    }
    return this.#left;
  }

  #switchProtocols(head: ResponseHead): void {
    if (this.#upgrade === null) {
      this.#cut();
      return;
    }
    this.#phase = "tunnel";
    try {
      this.#host.output.text(writeInformationalHead(head, this.#upgrade));
    } catch {
      this.#cut();
      return;
    }
    this.#host.openTunnel();
  }

  #finish(): void {
    this.#phase = "done";
    this.#host.responseDone(this);
  }

  #cut(): void {
    this.#phase = "done";
    this.#host.cut();
  }
}
