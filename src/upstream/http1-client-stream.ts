import type { OutputBuffer } from "../codec/http1-output.ts";
import { writeLastChunk } from "../codec/http1-writer.ts";
import type { StallWatch } from "../core/stall-watch.ts";
import type { RequestHead } from "../message/head.ts";
import type { HeaderList } from "../message/header-list.ts";
import type { ProxyError } from "../message/proxy-error.ts";
import type { ResponseReceiver, UpstreamStream } from "../message/stream.ts";

/** The connection, as a stream knows it. */
export interface Http1ClientHost {
  readonly output: OutputBuffer;
  /** To be started when the peer falls behind. */
  readonly stalls: StallWatch;
  /** The request cannot be completed: the connection is void. */
  abandon(stream: Http1ClientStream): void;
  pauseReading(): void;
  resumeReading(): void;
  /** Nothing more will be written into the tunnel. */
  endTunnel(): void;
}

/**
 * - `body`: the request body is being sent.
 * - `sent`: the request is complete.
 * - `upgrading`: the head of an upgrade was sent; nothing may be written before the answer.
 * - `tunnel`: 101 was received.
 * - `done`: calls do nothing.
 */
type Phase = "body" | "sent" | "upgrading" | "tunnel" | "done";

/** The request side of one exchange: frames the body as its head announced it. */
export class Http1ClientStream implements UpstreamStream {
  /** Who hears the response; null once it need hear nothing more. */
  receiver: ResponseReceiver | null;
  /** Whether the receiver was told of the response's end; it then hears of nothing but `drain`. */
  hasResponseEnded = false;
  /** A `write` was answered false, and `drain` is due. */
  isBlocked = false;
  readonly #host: Http1ClientHost;
  #phase: Phase;
  readonly #isChunked: boolean;
  /** Bytes of the announced body not yet written. */
  #left: number;

  constructor(host: Http1ClientHost, head: RequestHead, end: boolean, receiver: ResponseReceiver) {
    this.#host = host;
    this.receiver = receiver;
    this.#isChunked = head.contentLength < 0;
    this.#left = head.contentLength;
    if (head.upgrade !== null) this.#phase = "upgrading";
    else this.#phase = end ? "sent" : "body";
  }

  /** True when the request went out whole, so that its connection may carry another. */
  get isSent(): boolean {
    return this.#phase === "sent";
  }

  get isTunnel(): boolean {
    return this.#phase === "tunnel";
  }

  write(chunk: Buffer): boolean {
    if (chunk.length === 0) return true;
    const { output } = this.#host;
    if (this.#phase === "tunnel") {
      output.bytes(chunk);
    } else if (this.#phase === "body") {
      if (this.#isChunked) {
        output.text(`${chunk.length.toString(16)}\r\n`);
        output.bytes(chunk);
        output.text("\r\n");
      } else {
        this.#left -= chunk.length;
        if (this.#left < 0) {
          this.#host.abandon(this);
          return true;
        }
        output.bytes(chunk);
      }
    } else {
      if (this.#phase === "upgrading") this.#host.abandon(this);
      return true;
    }
    this.isBlocked = output.isOverWatermark;
    if (this.isBlocked && this.#phase === "body") this.#host.stalls.start();
    return !this.isBlocked;
  }

  end(trailers: HeaderList | null): void {
    if (this.#phase === "tunnel") {
      this.#phase = "done";
      this.#host.endTunnel();
    } else if (this.#phase === "body") {
      if (this.#isChunked) this.#host.output.text(writeLastChunk(trailers));
      else if (this.#left > 0) {
        this.#host.abandon(this);
        return;
      }
      this.#phase = "sent";
    }
  }

  reset(): void {
    if (this.receiver === null) return;
    this.receiver = null;
    this.#phase = "done";
    this.#host.abandon(this);
  }

  pause(): void {
    if (this.receiver !== null) this.#host.pauseReading();
  }

  resume(): void {
    if (this.receiver !== null) this.#host.resumeReading();
  }

  /** The upstream switched protocols. */
  openTunnel(): void {
    this.#phase = "tunnel";
  }

  /** The exchange is over: calls do nothing from now on. Returns who is still to be told so. */
  detach(): ResponseReceiver | null {
    const { receiver } = this;
    this.receiver = null;
    this.#phase = "done";
    return this.hasResponseEnded ? null : receiver;
  }

  /** Nothing more is sent; the receiver is told why when the call under way is over, unless it resets the stream first. */
  failLater(error: ProxyError): void {
    this.#phase = "done";
    process.nextTick(failStream, this, error);
  }

  /** The socket took what was buffered. */
  drained(): void {
    if (!this.isBlocked) return;
    this.isBlocked = false;
    this.receiver?.drain();
  }
}

function failStream(stream: Http1ClientStream, error: ProxyError): void {
  stream.detach()?.reset(error);
}
