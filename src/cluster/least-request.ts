import type { Random } from "../core/random.ts";
import type { Candidate, Picker } from "./picker.ts";

/**
 * LEAST_REQUEST among candidates of equal weight: draws two distinct ones and takes the one with fewer active requests
 * ("power of two choices", Mitzenmacher 2001; `spec/04` 4.2). Looking at two costs nothing and does not send the whole
 * crowd to the one endpoint that happens to be idle.
 */
export class LeastRequestPicker<C extends Candidate> implements Picker<C> {
  readonly #candidates: readonly C[];

  constructor(candidates: readonly C[]) {
    this.#candidates = candidates;
  }

  pick(random: Random): C | null {
    const count = this.#candidates.length;
    if (count < 2) return this.#candidates[0] ?? null;
    const first = Math.floor(random() * count);
    let second = Math.floor(random() * (count - 1));
    if (second >= first) second++;
    const one = this.#candidates[first] as C;
    const other = this.#candidates[second] as C;
    return other.activeRequests < one.activeRequests ? other : one;
  }
}
