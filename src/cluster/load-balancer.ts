import type { Random } from "../core/random.ts";
import type { HashSpec, LoadBalancerName } from "../config/snapshot-cluster.ts";
import { EdfSchedule, weighByLoad, weighByWeight } from "./edf-schedule.ts";
import { requireHash64 } from "./hash64.ts";
import { LeastRequestPicker } from "./least-request.ts";
import { MaglevPicker } from "./maglev.ts";
import { type LatencyCandidate, PeakEwmaPicker } from "./peak-ewma.ts";
import type { Candidate, Picker } from "./picker.ts";
import { RandomPicker } from "./random-picker.ts";
import { RingHashPicker } from "./ring-hash.ts";

/** How a cluster balances: the parts of its spec that say so, and the time. */
export interface Balancing {
  readonly loadBalancer: LoadBalancerName;
  readonly hash?: HashSpec;
  readonly nowMs: () => number;
}

/**
 * Builds the picker for `candidates` (`spec/04` 4.2). `previous` is the one it replaces, or null: a schedule goes on where
 * the old one stood, so that a flapping endpoint does not send every caller back to the first of the list.
 */
export function createPicker<C extends LatencyCandidate>(
  { loadBalancer, hash, nowMs }: Balancing,
  candidates: readonly C[],
  previous: Picker<C> | null,
  random: Random,
): Picker<C> {
  if (hash !== undefined) {
    return loadBalancer === "MAGLEV"
      ? new MaglevPicker(candidates, hash.tableSize, requireHash64())
      : new RingHashPicker(candidates, hash.minimumRingSize, requireHash64());
  }
  if (loadBalancer === "RANDOM") return new RandomPicker(candidates);
  if (loadBalancer === "PEAK_EWMA") return new PeakEwmaPicker(candidates, nowMs);
  const schedule = previous instanceof EdfSchedule ? previous : null;
  if (loadBalancer === "ROUND_ROBIN") return new EdfSchedule(candidates, weighByWeight, schedule, random);
  if (hasEqualWeights(candidates)) return new LeastRequestPicker(candidates);
  return new EdfSchedule(candidates, weighByLoad, schedule, random);
}

function hasEqualWeights(candidates: readonly Candidate[]): boolean {
  return candidates.every((candidate) => candidate.weight === candidates[0]?.weight);
}
