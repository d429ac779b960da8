import type { LimitName } from "./cluster-metrics.ts";

/** The counts in the order of their cells. */
export const COUNTED: readonly LimitName[] = ["cx", "rq_pending", "rq", "rq_retry"];
/** The cell behind the counts: 1 where the thread has made the cluster. */
const USED = COUNTED.length;
/** Cells of a row: a cache line of its own, so that threads that only count do not slow each other down. */
const ROW_CELLS = 16;

/**
 * What all data threads together have under way of one cluster. Each thread has a row of its own and is the only one that
 * writes to it, so a thread that dies leaves nothing behind that could not be told apart: whoever sees it end clears its
 * row. A count is the sum over the rows.
 */
export class SharedCounts {
  readonly #cells: Int32Array;
  readonly #rows: number;
  readonly #offset: number;

  /** `row`: that of the thread that uses this object; the buffer is from `create`. */
  constructor(buffer: SharedArrayBuffer, row: number) {
    this.#cells = new Int32Array(buffer);
    this.#rows = this.#cells.length / ROW_CELLS;
    this.#offset = row * ROW_CELLS;
  }

  static create(rows: number): SharedArrayBuffer {
    return new SharedArrayBuffer(rows * ROW_CELLS * Int32Array.BYTES_PER_ELEMENT);
  }

  /** Tells the others that this thread has `count` of what `cell` counts. Seen by them before any later `others` of ours. */
  publish(cell: number, count: number): void {
    if (this.#rows === 1) this.#cells[this.#offset + cell] = count;
    else Atomics.store(this.#cells, this.#offset + cell, count);
  }

  /** What the other threads have of it. */
  others(cell: number): number {
    if (this.#rows === 1) return 0;
    let sum = 0;
    for (let at = cell; at < this.#cells.length; at += ROW_CELLS) {
      if (at !== this.#offset + cell) sum += Atomics.load(this.#cells, at);
    }
    return sum;
  }

  /** What all threads have of it. */
  total(cell: number): number {
    return this.others(cell) + Atomics.load(this.#cells, this.#offset + cell);
  }

  /** This thread has a cluster that counts here. */
  markUsed(): void {
    Atomics.store(this.#cells, this.#offset + USED, 1);
  }

  /** Whether any thread has one: a workload calls few of the services it sees. */
  get isUsed(): boolean {
    return this.total(USED) > 0;
  }

  /** Nothing is under way in this row: its thread has ended. */
  clear(): void {
    for (let cell = 0; cell <= USED; cell++) Atomics.store(this.#cells, this.#offset + cell, 0);
  }
}
