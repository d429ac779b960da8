import type { Random } from "../core/random.ts";
import type { ClusterSpec } from "../config/snapshot.ts";
import { EdfSchedule, weighByLoad, weighByWeight } from "./edf-schedule.ts";
import { LeastRequestPicker } from "./least-request.ts";
import type { Candidate, Picker } from "./picker.ts";
import { RandomPicker } from "./random-picker.ts";

/** `trafficPolicy.loadBalancer.simple`, `spec/04` 4.2. */
export type LoadBalancerPolicy = ClusterSpec["loadBalancer"];

/**
 * Builds the picker of `policy` for `candidates`. `previous` is the one it replaces, or null: a schedule goes on where
 * the old one stood, so that a flapping endpoint does not send every caller back to the first of the list.
 */
export function createPicker<C extends Candidate>(
  policy: LoadBalancerPolicy,
  candidates: readonly C[],
  previous: Picker<C> | null,
  random: Random,
): Picker<C> {
  if (policy === "RANDOM") return new RandomPicker(candidates);
  const schedule = previous instanceof EdfSchedule ? previous : null;
  if (policy === "ROUND_ROBIN") return new EdfSchedule(candidates, weighByWeight, schedule, random);
  if (hasEqualWeights(candidates)) return new LeastRequestPicker(candidates);
  return new EdfSchedule(candidates, weighByLoad, schedule, random);
}

function hasEqualWeights(candidates: readonly Candidate[]): boolean {
  return candidates.every((candidate) => candidate.weight === candidates[0]?.weight);
}
