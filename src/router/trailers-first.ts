import type { ResponseHead } from "../message/head.ts";
import type { HeaderList } from "../message/header-list.ts";
import type { ProxyError } from "../message/proxy-error.ts";
import type { ResponseReceiver } from "../message/stream.ts";

/**
 * Tells a gRPC answer without messages as one with its status in the head ("trailers-only"), which is the same to a
 * gRPC client, and early enough to try again and to count against the endpoint. The price is that a head is held back
 * until the first message, so it is done only where a VirtualService asks for it (`outrider.io/grpc-trailers`).
 */
export class TrailersFirst implements ResponseReceiver {
  readonly #next: ResponseReceiver;
  #held: ResponseHead | null = null;

  constructor(next: ResponseReceiver) {
    this.#next = next;
  }

  informational(head: ResponseHead): void {
    this.#next.informational(head);
  }

  head(head: ResponseHead, end: boolean): void {
    if (end || head.status !== 200) this.#next.head(head, end);
    else this.#held = head;
  }

  data(chunk: Buffer): void {
    this.#letGo();
    this.#next.data(chunk);
  }

  end(trailers: HeaderList | null): void {
    const head = this.#held;
    if (head === null || trailers === null || !trailers.has("grpc-status")) {
      this.#letGo();
      this.#next.end(trailers);
      return;
    }
    this.#held = null;
    head.headers.appendAll(trailers);
    head.contentLength = 0;
    this.#next.head(head, true);
  }

  drain(): void {
    this.#next.drain();
  }

  /** With the head still held nobody has heard of the answer: it counts as none. */
  reset(error: ProxyError): void {
    this.#held = null;
    this.#next.reset(error);
  }

  #letGo(): void {
    const head = this.#held;
    this.#held = null;
    if (head !== null) this.#next.head(head, false);
  }
}
