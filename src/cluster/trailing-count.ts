const SLOTS = 10;

/**
 * How often something happened lately: over a window that moves on by a tenth of its length at a time, so that between
 * nine and ten tenths of it are counted. Adding costs a division and two additions.
 */
export class TrailingCount {
  readonly #slotMs: number;
  readonly #slots: number[] = Array.from({ length: SLOTS }, () => 0);
  /** Number of the slot that is being filled, counted from the start of the clock. */
  #slot = 0;
  #total = 0;

  /** `windowMs` is positive. */
  constructor(windowMs: number) {
    this.#slotMs = windowMs / SLOTS;
  }

  /** Counts one more at `nowMs`; one that is told late counts as if it were now. */
  add(nowMs: number): void {
    this.#moveTo(nowMs);
    const index = this.#slot % SLOTS;
    this.#slots[index] = (this.#slots[index] as number) + 1;
    this.#total++;
  }

  total(nowMs: number): number {
    this.#moveTo(nowMs);
    return this.#total;
  }

  #moveTo(nowMs: number): void {
    const slot = Math.floor(nowMs / this.#slotMs);
    if (slot <= this.#slot) return;
    // After a long silence every slot is emptied once.
    for (let old = Math.max(this.#slot + 1, slot - SLOTS + 1); old <= slot; old++) {
      this.#total -= this.#slots[old % SLOTS] as number;
      this.#slots[old % SLOTS] = 0;
    }
    this.#slot = slot;
  }
}
