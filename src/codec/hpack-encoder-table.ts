import type { EncoderName } from "./hpack-encoder-name.ts";

/** The encoder's view of the peer's dynamic table: what was inserted, so that the same is evicted. */
export class EncoderTable {
  /** Number of the newest entry; entries are numbered from 1 by insertion. */
  newest = 0;
  /** Number of the oldest entry still there; `newest + 1` when there is none. */
  oldest = 1;
  #size = 0;
  #maxSize: number;
  /** Names and sizes of the entries, by number modulo their length. */
  #names: (EncoderName | null)[] = [];
  #sizes: number[] = [];

  constructor(maxSize: number) {
    this.#maxSize = maxSize;
  }

  get maxSize(): number {
    return this.#maxSize;
  }

  get size(): number {
    return this.#size;
  }

  /** Adds an entry, no larger than the table, and returns its number. */
  insert(name: EncoderName, size: number): number {
    this.#evict(this.#maxSize - size);
    if (this.newest - this.oldest + 1 === this.#names.length) this.#grow();
    const number = ++this.newest;
    const slot = number & (this.#names.length - 1);
    this.#names[slot] = name;
    this.#sizes[slot] = size;
    this.#size += size;
    return number;
  }

  resize(maxSize: number): void {
    this.#maxSize = maxSize;
    this.#evict(maxSize);
  }

  #evict(size: number): void {
    while (this.#size > size) {
      const slot = this.oldest & (this.#names.length - 1);
      this.#size -= this.#sizes[slot] as number;
      this.#names[slot]?.forget(this.oldest);
      this.#names[slot] = null;
      this.oldest++;
    }
  }

  #grow(): void {
    const slots = Math.max(32, this.#names.length * 2);
    const names: (EncoderName | null)[] = Array.from({ length: slots }, () => null);
    const sizes: number[] = Array.from({ length: slots }, () => 0);
    for (let number = this.oldest; number <= this.newest; number++) {
      names[number & (slots - 1)] = this.#names[number & (this.#names.length - 1)] as EncoderName | null;
      sizes[number & (slots - 1)] = this.#sizes[number & (this.#names.length - 1)] as number;
    }
    this.#names = names;
    this.#sizes = sizes;
  }
}
