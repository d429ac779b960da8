/** Copies under way at once in one data thread. */
const MAX_ACTIVE = 256;
/** Bytes of body that copies hold back because their upstream does not take them: of one, and of all in one data thread. */
const MAX_BYTES_EACH = 1_048_576;
const MAX_BYTES = 16_777_216;

/** What copies of requests may take of a data thread. Whatever is beyond is not sent: the copy gives way, never the original. */
export class MirrorLimits {
  readonly #maxActive: number;
  readonly #maxBytes: number;
  #active = 0;
  #bytes = 0;

  constructor(maxActive = MAX_ACTIVE, maxBytes = MAX_BYTES) {
    this.#maxActive = maxActive;
    this.#maxBytes = maxBytes;
  }

  get active(): number {
    return this.#active;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Counts one more copy; false when there are too many. */
  tryBegin(): boolean {
    if (this.#active >= this.#maxActive) return false;
    this.#active++;
    return true;
  }

  end(): void {
    this.#active--;
  }

  /** Counts bytes that a copy has to hold; `held`: those it holds already. False when that would be too much. */
  tryHold(bytes: number, held: number): boolean {
    if (held + bytes > MAX_BYTES_EACH || this.#bytes + bytes > this.#maxBytes) return false;
    this.#bytes += bytes;
    return true;
  }

  release(bytes: number): void {
    this.#bytes -= bytes;
  }
}
