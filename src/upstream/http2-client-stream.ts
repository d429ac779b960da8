import { Http2ErrorCode } from "../codec/http2-error-code.ts";
import type { Http2Cut, Http2SessionStream, Http2StreamUser } from "../codec/http2-session-stream.ts";
import type { RequestHead, ResponseHead } from "../message/head.ts";
import type { HeaderList } from "../message/header-list.ts";
import { ProxyError } from "../message/proxy-error.ts";
import type { ResponseReceiver, UpstreamStream } from "../message/stream.ts";

/** The connection, as a stream knows it. */
export interface Http2ClientHost {
  /** What a cut means to whoever waits for the response. */
  toProxyError(cut: Http2Cut, wasReused: boolean): ProxyError;
}

/**
 * - `body`: the request body is being sent.
 * - `sent`: the request is complete.
 * - `upgrading`: an extended CONNECT was sent; nothing may be written before the answer.
 * - `tunnel`: it was accepted.
 * - `done`: calls do nothing.
 */
type Phase = "body" | "sent" | "upgrading" | "tunnel" | "done";

/** The request side of one HTTP/2 exchange: sends the body as its head announced it, and hands the response on. */
export class Http2ClientStream implements UpstreamStream, Http2StreamUser {
  readonly #host: Http2ClientHost;
  readonly #wasReused: boolean;
  #receiver: ResponseReceiver | null;
  /** Null when the request could not be sent. */
  #stream: Http2SessionStream | null = null;
  #phase: Phase;
  #hasEnded = false;
  /** Octets of the announced body not yet written; -1 when nothing was announced. */
  #left: number;

  constructor(host: Http2ClientHost, head: RequestHead, end: boolean, receiver: ResponseReceiver, wasReused: boolean) {
    this.#host = host;
    this.#receiver = receiver;
    this.#wasReused = wasReused;
    this.#left = head.contentLength;
    if (head.upgrade !== null) this.#phase = "upgrading";
    else this.#phase = end ? "sent" : "body";
    if (head.method === "CONNECT") this.#left = -1;
  }

  /** The request was sent on this stream. */
  attach(stream: Http2SessionStream): void {
    this.#stream = stream;
  }

  /** Nothing was sent; the receiver is told when the call under way is over, unless it resets the stream first. */
  failLater(error: ProxyError): void {
    this.#phase = "done";
    process.nextTick(failStream, this, error);
  }

  /** For the scheduled call only. */
  fail(error: ProxyError): void {
    const receiver = this.#receiver;
    this.#receiver = null;
    if (!this.#hasEnded) receiver?.reset(error);
  }

  // === The request ===

  write(chunk: Buffer): boolean {
    if (this.#phase === "body") {
      if (this.#left >= 0) {
        this.#left -= chunk.length;
        if (this.#left < 0) {
          this.#abandon("a request body longer than announced");
          return true;
        }
      }
    } else if (this.#phase !== "tunnel") {
      if (this.#phase === "upgrading" && chunk.length > 0) this.#abandon("data before the upgrade was accepted");
      return true;
    }
    return this.#stream === null || this.#stream.write(chunk);
  }

  end(trailers: HeaderList | null): void {
    if (this.#phase !== "body" && this.#phase !== "tunnel") return;
    if (this.#phase === "body" && this.#left > 0) {
      this.#abandon("a request body shorter than announced");
      return;
    }
    this.#phase = this.#phase === "body" ? "sent" : "done";
    this.#stream?.end(trailers);
  }

  reset(): void {
    if (this.#receiver === null) return;
    this.#receiver = null;
    this.#phase = "done";
    this.#stream?.reset(Http2ErrorCode.cancel);
  }

  pause(): void {
    if (this.#receiver !== null) this.#stream?.pause();
  }

  resume(): void {
    if (this.#receiver !== null) this.#stream?.resume();
  }

  // === The response ===

  onHead(head: ResponseHead, end: boolean): void {
    const receiver = this.#receiver;
    if (head.status < 200 && head.status !== 101) {
      receiver?.informational(head);
      return;
    }
    if (this.#phase === "upgrading") this.#phase = head.status === 101 ? "tunnel" : "sent";
    if (end) this.#ended();
    receiver?.head(head, end);
  }

  onData(chunk: Buffer): void {
    this.#receiver?.data(chunk);
  }

  onEnd(trailers: HeaderList | null): void {
    const receiver = this.#receiver;
    this.#ended();
    receiver?.end(trailers);
  }

  onDrain(): void {
    this.#receiver?.drain();
  }

  onCut(cut: Http2Cut): void {
    const receiver = this.#receiver;
    this.#receiver = null;
    this.#phase = "done";
    if (!this.#hasEnded) receiver?.reset(this.#host.toProxyError(cut, this.#wasReused));
  }

  /** The response is complete. Of a request still being sent, and of a tunnel, the other half goes on. */
  #ended(): void {
    this.#hasEnded = true;
    if (this.#phase === "body" || this.#phase === "tunnel") return;
    this.#receiver = null;
    // A refused upgrade: our half is still open, and nothing will come of it.
    this.#stream?.reset(Http2ErrorCode.cancel);
    this.#phase = "done";
  }

  /** The request cannot be completed. */
  #abandon(reason: string): void {
    this.#stream?.reset(Http2ErrorCode.internalError);
    this.failLater(new ProxyError("internal", reason));
  }
}

function failStream(stream: Http2ClientStream, error: ProxyError): void {
  stream.fail(error);
}
