import type { HpackField } from "./hpack-field.ts";

const FIRST_SLOTS = 64;

/** The decoder's dynamic table (RFC 7541 section 2.3.2): a ring of fields, the newest first, bounded by their sizes. */
export class HpackDynamicTable {
  #slots: (HpackField | null)[] = [];
  /** Slot the next entry goes to. */
  #next = 0;
  #count = 0;
  #size = 0;
  #maxSize: number;

  constructor(maxSize: number) {
    this.#maxSize = maxSize;
  }

  get count(): number {
    return this.#count;
  }

  /** Sum of the sizes of the entries. */
  get size(): number {
    return this.#size;
  }

  get maxSize(): number {
    return this.#maxSize;
  }

  /** Entry `position`, 0 the newest; undefined when there are not that many. */
  at(position: number): HpackField | undefined {
    if (position >= this.#count) return undefined;
    return this.#slots[(this.#next - 1 - position) & (this.#slots.length - 1)] as HpackField;
  }

  /** Adds an entry; one larger than the table empties it (RFC 7541 section 4.4). */
  insert(field: HpackField): void {
    this.#evict(this.#maxSize - field.size);
    if (field.size > this.#maxSize) return;
    if (this.#count === this.#slots.length) this.#grow();
    this.#slots[this.#next] = field;
    this.#next = (this.#next + 1) & (this.#slots.length - 1);
    this.#count++;
    this.#size += field.size;
  }

  /** Changes the bound and evicts what is beyond it (RFC 7541 section 4.3). */
  resize(maxSize: number): void {
    this.#maxSize = maxSize;
    this.#evict(maxSize);
  }

  /** Evicts the oldest entries until those left take no more than `size`. */
  #evict(size: number): void {
    while (this.#size > size && this.#count > 0) {
      const oldest = (this.#next - this.#count) & (this.#slots.length - 1);
      this.#size -= (this.#slots[oldest] as HpackField).size;
      this.#slots[oldest] = null;
      this.#count--;
    }
  }

  /** Doubles the ring: a table is rarely full of the smallest entries, and connections are many. */
  #grow(): void {
    const larger: (HpackField | null)[] = [];
    for (let position = this.#count - 1; position >= 0; position--) larger.push(this.at(position) as HpackField);
    const slots = Math.max(FIRST_SLOTS, this.#slots.length * 2);
    while (larger.length < slots) larger.push(null);
    this.#slots = larger;
    this.#next = this.#count;
  }
}
