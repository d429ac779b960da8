import type { Random } from "../core/random.ts";
import type { Candidate, Picker } from "./picker.ts";

/** A priority's own picker and its share. */
export interface PriorityShare<C extends Candidate> {
  /** Of a hundred requests. */
  readonly load: number;
  readonly picker: Picker<C>;
}

/**
 * Draws a priority by its load, then asks the picker of that priority. A request with a hash has its priority by the hash,
 * so that it stays with one endpoint as long as the loads stay (Envoy's `choosePriority`).
 */
export class PriorityPicker<C extends Candidate> implements Picker<C> {
  readonly #shares: readonly PriorityShare<C>[];

  /** @param shares the first choice first; their loads add up to 100. */
  constructor(shares: readonly PriorityShare<C>[]) {
    this.#shares = shares;
  }

  pick(random: Random, hash: bigint | null = null): C | null {
    const draw = hash === null ? Math.floor(random() * 100) : Number(hash % 100n);
    let before = 0;
    for (const { load, picker } of this.#shares) {
      before += load;
      if (draw < before) return picker.pick(random, hash);
    }
    return null;
  }
}
