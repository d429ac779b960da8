import { isBodiless } from "../codec/http1-response-head.ts";
import { Http2ErrorCode } from "../codec/http2-error-code.ts";
import type { Http2Cut, Http2SessionStream, Http2StreamUser } from "../codec/http2-session-stream.ts";
import type { ConnectionFacts } from "../message/connection-facts.ts";
import type { RequestHead, ResponseHead } from "../message/head.ts";
import type { HeaderList } from "../message/header-list.ts";
import { localReplyHead, toLocalReply } from "../message/local-reply.ts";
import { ProxyError } from "../message/proxy-error.ts";
import type { DownstreamStream, RequestReceiver } from "../message/stream.ts";
import { cutRequest } from "./http2-downstream-error.ts";

/**
 * - `waiting`: no final response yet.
 * - `body`: its head was written.
 * - `bodiless`: so was all of it; what is still said of its body is passed over.
 * - `tunnel`: each half ends by itself.
 * - `done`: nothing more is written; calls do nothing.
 */
type Phase = "waiting" | "body" | "bodiless" | "tunnel" | "done";

/**
 * The response side of one HTTP/2 request. A head that cannot be written, and a body that is not as long as announced,
 * reset the stream (F02): the peer must not take the response for whole, and the receiver hears of it as of a lost
 * connection.
 */
export class Http2ServerStream implements DownstreamStream, Http2StreamUser {
  readonly connection: ConnectionFacts;
  /** Who hears the rest of the request; null until the handler gave it, and once it need hear nothing more. */
  receiver: RequestReceiver | null = null;
  readonly #stream: Http2SessionStream;
  readonly #method: string;
  readonly #upgrade: string | null;
  #phase: Phase = "waiting";
  #isPaused = false;
  /** What comes for the tunnel before there is one waits: nobody may take it for a body (CVE-2025-64763; A51). */
  #awaitsTunnel: boolean;
  /** Octets of the announced body not yet written; -1 when nothing was announced. */
  #left = -1;

  constructor(stream: Http2SessionStream, request: RequestHead, connection: ConnectionFacts) {
    this.#stream = stream;
    this.#method = request.method;
    this.#upgrade = request.upgrade;
    this.#awaitsTunnel = stream.isTunnel;
    this.connection = connection;
    if (stream.isTunnel) stream.pause();
  }

  /** True when nothing more is written. */
  get isDone(): boolean {
    return this.#phase === "done";
  }

  // === The response ===

  informational(head: ResponseHead): void {
    if (this.#phase === "waiting") this.#send(head, -1, false);
  }

  respond(head: ResponseHead, end: boolean): void {
    if (this.#phase !== "waiting") return;
    const { status } = head;
    if (this.#awaitsTunnel && (status === 101 || status < 300)) this.#openTunnel(head);
    else if (status === 101) this.#cut("101 to a request that asked for nothing");
    else this.#respond(head, end);
  }

  write(chunk: Buffer): boolean {
    if (this.#phase === "body") {
      if (this.#left >= 0) {
        this.#left -= chunk.length;
        if (this.#left < 0) {
          this.#cut("a response longer than announced");
          return true;
        }
      }
    } else if (this.#phase !== "tunnel") {
      return true;
    }
    return this.#stream.write(chunk);
  }

  end(trailers: HeaderList | null): void {
    const phase = this.#phase;
    if (phase === "waiting" || phase === "done") return;
    if (phase === "body" && this.#left > 0) {
      this.#cut("a response shorter than announced");
      return;
    }
    this.#phase = "done";
    // Of a tunnel, the peer's half goes on.
    if (phase !== "tunnel") this.receiver = null;
    if (phase !== "bodiless") this.#stream.end(trailers);
  }

  reset(error: ProxyError): void {
    if (this.#phase === "done" && this.receiver === null) return;
    this.#phase = "done";
    this.receiver = null;
    this.#stream.reset(this.#resetCodeFor(error));
  }

  /** What a tunnel leads to was reset: RFC 9113 section 8.5. */
  #resetCodeFor({ attributes: { source } }: ProxyError): Http2ErrorCode {
    if (source === "downstream") return Http2ErrorCode.cancel;
    return this.#method === "CONNECT" ? Http2ErrorCode.connectError : Http2ErrorCode.internalError;
  }

  pause(): void {
    this.#isPaused = true;
    this.#stream.pause();
  }

  resume(): void {
    this.#isPaused = false;
    if (!this.#awaitsTunnel) this.#stream.resume();
  }

  // === The request ===

  onHead(): void {
    // A request's head comes before its stream.
  }

  onData(chunk: Buffer): void {
    this.receiver?.data(chunk);
  }

  onEnd(trailers: HeaderList | null): void {
    this.receiver?.end(trailers);
  }

  onDrain(): void {
    this.receiver?.drain();
  }

  onCut(cut: Http2Cut): void {
    const { receiver } = this;
    this.#phase = "done";
    this.receiver = null;
    receiver?.reset(cutRequest(cut));
  }

  // === Writing heads ===

  #respond(head: ResponseHead, end: boolean): void {
    this.#stream.isTunnel = false;
    if (isBodiless(this.#method, head.status)) {
      this.#phase = end ? "done" : "bodiless";
      this.#send(head, head.status === 204 ? -1 : head.contentLength, true);
    } else if (!end) {
      this.#phase = "body";
      this.#left = head.contentLength;
      this.#send(head, head.contentLength, false);
    } else if (head.contentLength > 0) {
      this.#cut("a response without the body it announces");
    } else {
      this.#phase = "done";
      this.#send(head, 0, true);
    }
    if (this.#phase === "done") this.receiver = null;
  }

  /** In answer to CONNECT a success opens a tunnel; in answer to an upgrade only what was a 101 does (CVE-2024-23326). */
  #openTunnel(head: ResponseHead): void {
    if ((head.status === 101) !== (this.#upgrade !== null)) {
      this.#respond(localReplyHead({ ...toLocalReply(new ProxyError("upstream_protocol")), body: "" }), true);
      return;
    }
    this.#phase = "tunnel";
    this.#awaitsTunnel = false;
    this.#send(head, -1, false);
    if (!this.#isPaused) this.#stream.resume();
  }

  #send(head: ResponseHead, contentLength: number, end: boolean): void {
    try {
      this.#stream.respond(head, contentLength, end);
    } catch (error) {
      this.#cut(error instanceof Error ? error.message : String(error));
    }
  }

  #cut(reason: string): void {
    this.#phase = "done";
    this.#stream.reset(Http2ErrorCode.internalError);
    process.nextTick(tellReset, this, new ProxyError("downstream_disconnect", reason));
  }
}

/** Once the call that is under way is over: the caller is not prepared to hear of it within. */
function tellReset(stream: Http2ServerStream, error: ProxyError): void {
  const { receiver } = stream;
  stream.receiver = null;
  receiver?.reset(error);
}
