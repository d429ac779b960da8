import type { Random } from "../core/random.ts";
import type { Candidate, Picker } from "./picker.ts";

/** RANDOM: every candidate is as likely as any other; weights are ignored (`spec/04` 4.2). */
export class RandomPicker<C extends Candidate> implements Picker<C> {
  readonly #candidates: readonly C[];

  constructor(candidates: readonly C[]) {
    this.#candidates = candidates;
  }

  pick(random: Random): C | null {
    return this.#candidates[Math.floor(random() * this.#candidates.length)] ?? null;
  }
}
