import type { Random } from "../core/random.ts";
import type { Hash64 } from "./hash64.ts";
import type { Candidate, Picker } from "./picker.ts";

/** Points at most, whatever the weights: Envoy's `maximum_ring_size`. */
const MAX_RING_SIZE = 8 * 1024 * 1024;

/**
 * RING_HASH as Envoy builds it (`spec/04` 4.2; Karger et al. 1997, "ketama"): every candidate has points on a ring of
 * 2^64 places, at xxHash64 of `<address:port>_<i>`, in proportion to its weight; a request belongs to the first point at
 * or behind its hash. When a candidate goes, only its own requests move.
 */
export class RingHashPicker<C extends Candidate> implements Picker<C> {
  readonly #candidates: readonly C[];
  /** Ascending. */
  readonly #points: BigUint64Array;
  /** Index of the candidate each point belongs to. */
  readonly #owners: Uint32Array;

  /** `minimumSize`, `maximumSize`: of the points of all candidates together. */
  constructor(candidates: readonly C[], minimumSize: number, hash: Hash64, maximumSize = MAX_RING_SIZE) {
    this.#candidates = candidates;
    const counts = pointCounts(candidates, minimumSize, maximumSize);
    const size = counts.reduce((sum, count) => sum + count, 0);
    const points = new BigUint64Array(size);
    const owners = new Uint32Array(size);
    let at = 0;
    for (const [owner, candidate] of candidates.entries()) {
      for (let point = 0; point < (counts[owner] as number); point++) {
        points[at] = hash(Buffer.from(`${candidate.hashKey}_${point}`, "latin1"), 0n);
        owners[at++] = owner;
      }
    }
    const order = Array.from({ length: size }, (_, index) => index).sort((a, b) => comparePoints(points, a, b));
    this.#points = points.toSorted();
    this.#owners = Uint32Array.from(order, (index) => owners[index] as number);
  }

  /** The points in their order, with the index of the candidate each belongs to; for tests. */
  get ring(): { readonly point: bigint; readonly owner: number }[] {
    return Array.from(this.#points, (point, index) => ({ point, owner: this.#owners[index] as number }));
  }

  pick(random: Random, hash: bigint | null = null): C | null {
    const count = this.#candidates.length;
    if (count < 2) return this.#candidates[0] ?? null;
    if (hash === null) return this.#candidates[Math.floor(random() * count)] as C;
    return this.#candidates[this.#owners[this.#firstAtOrBehind(hash)] as number] as C;
  }

  #firstAtOrBehind(hash: bigint): number {
    const points = this.#points;
    let low = 0;
    let high = points.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((points[middle] as bigint) < hash) low = middle + 1;
      else high = middle;
    }
    return low === points.length ? 0 : low;
  }
}

/** How many points each candidate gets. Envoy carries fractions over, so that the total is the ring's size. */
function pointCounts(candidates: readonly Candidate[], minimumSize: number, maximumSize: number): number[] {
  const total = candidates.reduce((sum, { weight }) => sum + weight, 0);
  const least = candidates.reduce((lowest, { weight }) => Math.min(lowest, weight / total), 1);
  // The lightest candidate has a whole number of points.
  const scale = Math.min(Math.ceil(least * minimumSize) / least, maximumSize);
  let placed = 0;
  let due = 0;
  return candidates.map(({ weight }) => {
    due += scale * (weight / total);
    const before = placed;
    while (placed < due) placed++;
    return placed - before;
  });
}

function comparePoints(points: BigUint64Array, a: number, b: number): number {
  const one = points[a] as bigint;
  const other = points[b] as bigint;
  if (one === other) return a - b;
  return one < other ? -1 : 1;
}
