import type { Random } from "../core/random.ts";
import type { Hash64 } from "./hash64.ts";
import type { Candidate, Picker } from "./picker.ts";

/**
 * MAGLEV as Envoy builds it (`spec/04` 4.2; Eisenbud et al. 2016, section 3.4): a table of prime size which the candidates
 * fill in turns, each along a permutation of its own, more often the heavier they are. A request belongs to the slot of
 * its hash modulo the size: one look, and almost the same table when a candidate goes.
 */
export class MaglevPicker<C extends Candidate> implements Picker<C> {
  readonly #candidates: readonly C[];
  /** Index of the candidate of each slot. */
  readonly #table: Int32Array;
  readonly #size: bigint;

  /** `tableSize`: a prime. */
  constructor(candidates: readonly C[], tableSize: number, hash: Hash64) {
    this.#candidates = candidates;
    this.#size = BigInt(tableSize);
    this.#table = candidates.length < 2 ? new Int32Array(0) : fillTable(candidates, tableSize, hash);
  }

  /** The candidate of each slot, by index; for tests. */
  get table(): readonly number[] {
    return [...this.#table];
  }

  pick(random: Random, hash: bigint | null = null): C | null {
    const count = this.#candidates.length;
    if (count < 2) return this.#candidates[0] ?? null;
    if (hash === null) return this.#candidates[Math.floor(random() * count)] as C;
    return this.#candidates[this.#table[Number(hash % this.#size)] as number] as C;
  }
}

function fillTable(candidates: readonly Candidate[], size: number, hash: Hash64): Int32Array {
  const heaviest = candidates.reduce((most, { weight }) => Math.max(most, weight), 0);
  const turns = candidates.map((candidate) => {
    const key = Buffer.from(candidate.hashKey, "latin1");
    return {
      weight: candidate.weight,
      /** A candidate of a third of the greatest weight has its turn in every third round. */
      due: 0,
      at: Number(hash(key, 0n) % BigInt(size)),
      skip: Number(hash(key, 1n) % BigInt(size - 1)) + 1,
    };
  });
  const table = new Int32Array(size).fill(-1);
  let filled = 0;
  for (let round = 1; filled < size; round++) {
    for (let index = 0; index < turns.length && filled < size; index++) {
      const turn = turns[index] as (typeof turns)[number];
      if (round * turn.weight < turn.due) continue;
      turn.due += heaviest;
      while ((table[turn.at] as number) >= 0) turn.at = (turn.at + turn.skip) % size;
      table[turn.at] = index;
      turn.at = (turn.at + turn.skip) % size;
      filled++;
    }
  }
  return table;
}
