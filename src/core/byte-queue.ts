/** Smaller pieces are put together in blocks of this size. */
const BLOCK_BYTES = 4096;
/** A piece is kept as it came if it is at least this part of the memory it would keep alive. */
const MIN_SHARE = 4;

/**
 * Data of one sender that waits, in order. What it keeps alive is bounded by what it holds: a peer that sends octets one
 * by one, each a view of a large buffer, must not cost a buffer each (CVE-2020-8659; A22).
 */
export class ByteQueue {
  /** Octets that wait. */
  bytes = 0;
  #chunks: Buffer[] = [];
  /** Index of the first chunk that waits. */
  #first = 0;
  /** The block the last chunk is a part of, and how much of it is filled; null when the last chunk is no part of one. */
  #block: Buffer | null = null;
  #filled = 0;

  /** Adds `chunk`, which must not be empty and belongs to the queue from then on. */
  push(chunk: Buffer): void {
    this.bytes += chunk.length;
    if (chunk.length >= BLOCK_BYTES) {
      this.#block = null;
      this.#chunks.push(chunk.length * MIN_SHARE < chunk.buffer.byteLength ? copyOf(chunk) : chunk);
    } else {
      this.#pack(chunk);
    }
  }

  /** Takes the first octets off, at most `maxBytes` of them and not necessarily all there are. The queue is not empty. */
  take(maxBytes: number): Buffer {
    const chunk = this.#chunks[this.#first] as Buffer;
    // What is packed next must not grow a chunk that was handed out.
    if (this.#first === this.#chunks.length - 1) this.#block = null;
    if (chunk.length > maxBytes) {
      this.#chunks[this.#first] = chunk.subarray(maxBytes);
      this.bytes -= maxBytes;
      return chunk.subarray(0, maxBytes);
    }
    this.bytes -= chunk.length;
    this.#first++;
    if (this.#first === this.#chunks.length) {
      this.#chunks = [];
      this.#first = 0;
    } else if (this.#first === 64) {
      this.#chunks.splice(0, 64);
      this.#first = 0;
    }
    return chunk;
  }

  /** A copy of the first octets, at most `maxBytes` of them; all of them stay. */
  peek(maxBytes: number): Buffer {
    const waiting = this.#first === 0 ? this.#chunks : this.#chunks.slice(this.#first);
    return Buffer.concat(waiting, Math.min(maxBytes, this.bytes));
  }

  /** All that waits, in pieces and in order; all of it stays, and the list is not touched by what becomes of the queue. */
  pieces(): readonly Buffer[] {
    return this.#chunks.slice(this.#first);
  }

  /** Drops everything. */
  clear(): void {
    this.#chunks = [];
    this.#first = 0;
    this.#block = null;
    this.bytes = 0;
  }

  #pack(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#block === null || this.#filled === BLOCK_BYTES) {
        this.#block = Buffer.allocUnsafeSlow(BLOCK_BYTES);
        this.#filled = 0;
        this.#chunks.push(this.#block.subarray(0, 0));
      }
      const last = this.#chunks.length - 1;
      const start = this.#filled - (this.#chunks[last] as Buffer).length;
      const count = chunk.copy(this.#block, this.#filled, at);
      at += count;
      this.#filled += count;
      this.#chunks[last] = this.#block.subarray(start, this.#filled);
    }
  }
}

function copyOf(chunk: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(chunk.length);
  chunk.copy(copy);
  return copy;
}
