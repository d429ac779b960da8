import { ByteQueue } from "../core/byte-queue.ts";
import type { ShownBody } from "../filter/ext-authz-outcome.ts";
import type { HeaderList } from "../message/header-list.ts";
import type { DownstreamStream } from "../message/stream.ts";

/** Bytes that wait while a request is decided about, before its sender is told to wait as well. */
const MAX_HELD_BYTES = 65_536;

/** Whom the body goes to in the end. */
interface BodyReceiver {
  requestData(chunk: Buffer): void;
  requestEnd(trailers: HeaderList | null): void;
}

/**
 * The body of a request that a gate is still deciding about: held, shown if it is asked for, and passed on as it came. It is
 * read no further than the bound, but that far: a connection that is not read does not tell that its peer has gone.
 */
export class HeldBody {
  readonly #downstream: Pick<DownstreamStream, "pause" | "resume">;
  readonly #waiting = new ByteQueue();
  #trailers: HeaderList | null = null;
  #isEnded = false;
  #isPaused = false;
  #isLeaving = false;
  #maxBytes = MAX_HELD_BYTES;
  #wanted = 0;
  #shown: ((body: ShownBody) => void) | null = null;

  constructor(downstream: Pick<DownstreamStream, "pause" | "resume">) {
    this.#downstream = downstream;
  }

  /** The body when it is there, or its first `maxBytes` when there is more of it. */
  read(maxBytes: number): Promise<ShownBody> {
    return new Promise((resolve) => {
      this.#wanted = maxBytes;
      this.#shown = resolve;
      this.#maxBytes = Math.max(this.#maxBytes, maxBytes + 1);
      this.#showIfThere();
    });
  }

  data(chunk: Buffer): void {
    if (chunk.length === 0) return;
    this.#waiting.push(chunk);
    this.#showIfThere();
    if (this.#waiting.bytes < this.#maxBytes || this.#isPaused || this.#isLeaving) return;
    this.#isPaused = true;
    this.#downstream.pause();
  }

  end(trailers: HeaderList | null): void {
    this.#isEnded = true;
    this.#trailers = trailers;
    this.#showIfThere();
  }

  /**
   * Passes on all that has come. Reading goes on before: what it brings at once comes after what is held, and whether it
   * is to stop again is then for the receiver to say.
   */
  passOn(receiver: BodyReceiver): void {
    this.letGo();
    // What comes while it is passed on is passed on last.
    while (this.#waiting.bytes > 0) receiver.requestData(this.#waiting.take(Infinity));
    if (this.#isEnded) receiver.requestEnd(this.#trailers);
  }

  /** Nobody needs it: reading goes on, and whoever does decides what for. */
  letGo(): void {
    this.#isLeaving = true;
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#downstream.resume();
  }

  #showIfThere(): void {
    const shown = this.#shown;
    const { bytes } = this.#waiting;
    if (shown === null || (!this.#isEnded && bytes <= this.#wanted)) return;
    this.#shown = null;
    shown({ bytes: this.#waiting.peek(this.#wanted), isWhole: bytes <= this.#wanted });
  }
}
