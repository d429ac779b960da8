import type { Http2SessionStream } from "./http2-session-stream.ts";

const FIRST_SLOTS = 16;
/** 2^32 divided by the golden ratio: ids that follow one another spread over the slots (Knuth, TAOCP 6.4). */
const MULTIPLIER = 0x9e3779b1;

/**
 * The streams of a connection by id: open addressing with linear probing, entries moved back on removal (Knuth,
 * TAOCP 6.4, algorithm R), so that there are no tombstones and nothing is allocated while streams come and go.
 *
 * A `Map` under this churn is renewed every few streams, and V8 links each discarded table to the next: once one of
 * them reached the old generation, it kept all that followed, and the streams in them, until the next full collection.
 */
export class Http2StreamTable {
  #slots: (Http2SessionStream | null)[] = empty(FIRST_SLOTS);
  #shift = 32 - Math.log2(FIRST_SLOTS);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(id: number): Http2SessionStream | undefined {
    return this.#slots[this.#find(id)] ?? undefined;
  }

  has(id: number): boolean {
    return this.#slots[this.#find(id)] !== null;
  }

  /** Adds a stream whose id is not in the table. */
  add(stream: Http2SessionStream): void {
    if (this.#size * 2 >= this.#slots.length) this.#grow();
    this.#slots[this.#find(stream.id)] = stream;
    this.#size++;
  }

  /** False when it was not there. */
  delete(id: number): boolean {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let hole = this.#find(id);
    if (slots[hole] === null) return false;
    this.#size--;
    for (let index = (hole + 1) & mask; ; index = (index + 1) & mask) {
      const stream = slots[index] as Http2SessionStream | null;
      if (stream === null) break;
      // It may move back into the hole unless its home lies behind it.
      if (((index - this.#home(stream.id)) & mask) >= ((index - hole) & mask)) {
        slots[hole] = stream;
        hole = index;
      }
    }
    slots[hole] = null;
    return true;
  }

  /** The streams there are now, in no order; the table may change while the list is walked. */
  list(): Http2SessionStream[] {
    return this.#slots.filter((stream) => stream !== null);
  }

  clear(): void {
    this.#slots.fill(null);
    this.#size = 0;
  }

  /** Where `id` is, or the free slot where it would be. */
  #find(id: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let index = this.#home(id);
    for (let stream = slots[index] as Http2SessionStream | null; stream !== null && stream.id !== id; stream = slots[index] as Http2SessionStream | null) index = (index + 1) & mask;
    return index;
  }

  #home(id: number): number {
    return Math.imul(id, MULTIPLIER) >>> this.#shift;
  }

  #grow(): void {
    const streams = this.list();
    this.#slots = empty(this.#slots.length * 2);
    this.#shift--;
    for (const stream of streams) this.#slots[this.#find(stream.id)] = stream;
  }
}

function empty(slots: number): null[] {
  return Array.from({ length: slots }, () => null);
}
