import { ProxyError } from "../message/proxy-error.ts";
import { findHeadEnd, type HeadSearch } from "./http1-head-end.ts";

const FIRST_CARRY_BYTES = 1024;

/**
 * Finds whole heads in the chunks of a connection. A head that lies in one chunk is left where it is; only one that is
 * split is copied together, up to the limit.
 */
export class Http1HeadBuffer {
  /** The buffer the head found lies in, from `start` to `end` (past the empty line); valid until the next `take`. */
  bytes: Buffer = Buffer.alloc(0);
  start = 0;
  end = 0;
  /** Entries of `lineEnds` that belong to it. */
  lines = 0;
  readonly #maxBytes: number;
  readonly #maxLines: number;
  readonly #search: HeadSearch = { end: -1, lines: 0, scannedTo: 0 };
  #carry: Buffer | null = null;
  #carried = 0;

  constructor(maxBytes: number, maxLines: number) {
    this.#maxBytes = maxBytes;
    this.#maxLines = maxLines;
  }

  /** True while a head has begun and not ended. */
  get hasPart(): boolean {
    return this.#carried > 0;
  }

  /** What there is of a head that has not ended, for a better error than "too large". */
  get part(): Buffer {
    return this.#carry === null ? Buffer.alloc(0) : this.#carry.subarray(0, this.#carried);
  }

  /**
   * Takes bytes of `chunk` from `offset` on. Returns the offset after the head's end, or -1 when the head goes on
   * beyond the chunk, all of which was then taken.
   *
   * @throws ProxyError as `findHeadEnd` does, and `headers_too_large` when the head is longer than the limit.
   */
  take(chunk: Buffer, offset: number): number {
    return this.#carried === 0 ? this.#takeWhole(chunk, offset) : this.#takeRest(chunk, offset);
  }

  #takeWhole(chunk: Buffer, offset: number): number {
    const search = this.#search;
    findHeadEnd(chunk, offset, offset, this.#maxLines, search);
    if (search.end < 0) {
      this.#keep(chunk, offset, Math.min(chunk.length, offset + this.#maxBytes + 1));
      if (this.#carried > this.#maxBytes) throw new ProxyError("headers_too_large", "head too long");
      search.scannedTo -= offset;
      return -1;
    }
    this.bytes = chunk;
    this.start = offset;
    this.end = search.end;
    this.lines = search.lines;
    if (this.end - offset > this.#maxBytes) throw new ProxyError("headers_too_large", "head too long");
    return search.end;
  }

  #takeRest(chunk: Buffer, offset: number): number {
    const before = this.#carried;
    const search = this.#search;
    this.#keep(chunk, offset, Math.min(chunk.length, offset + this.#maxBytes + 1 - before));
    const part = this.part;
    findHeadEnd(part, 0, search.scannedTo, this.#maxLines, search);
    if (search.end < 0) {
      if (this.#carried > this.#maxBytes) throw new ProxyError("headers_too_large", "head too long");
      return -1;
    }
    if (search.end > this.#maxBytes) throw new ProxyError("headers_too_large", "head too long");
    // The search was resumed in the middle: walk the whole head once more for its lines.
    findHeadEnd(part, 0, 0, this.#maxLines, search);
    this.bytes = part;
    this.start = 0;
    this.end = search.end;
    this.lines = search.lines;
    this.#carry = null;
    this.#carried = 0;
    return offset + (search.end - before);
  }

  #keep(chunk: Buffer, from: number, to: number): void {
    const needed = this.#carried + to - from;
    if (this.#carry === null || this.#carry.length < needed) {
      const larger = Buffer.allocUnsafe(Math.max(FIRST_CARRY_BYTES, Math.min(needed * 2, this.#maxBytes + 1), needed));
      if (this.#carry !== null) this.#carry.copy(larger, 0, 0, this.#carried);
      this.#carry = larger;
    }
    chunk.copy(this.#carry, this.#carried, from, to);
    this.#carried = needed;
  }
}
