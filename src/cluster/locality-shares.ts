import type { LocalitySpec, LocalityWeightsSpec } from "../config/snapshot-cluster.ts";
import type { PriorityLevel } from "./priority-levels.ts";
import { zoneOf, zoneWeights } from "./zone-weights.ts";

/** A locality keeps its whole weight until less than 1/1.4 of it is healthy. */
const OVERPROVISIONING = 1.4;

/** What a locality gets, relative to the others, and who is there. */
export interface LocalityShare<E> {
  readonly weight: number;
  /** At least one. */
  readonly usable: readonly E[];
}

/** An endpoint that is somewhere. */
interface Placed {
  /** `region/zone/subzone`; empty where it is not known. */
  readonly locality: string;
}

/**
 * How the localities of one priority share its requests (`spec/04` 4.6). Null: they make no difference, in a panic for one.
 *
 * @param isHashed the balancer is one that hashes.
 */
export function localityShares<E extends Placed>(level: PriorityLevel<E>, localities: LocalitySpec | null, isHashed: boolean): ReadonlyMap<string, LocalityShare<E>> | null {
  if (localities === null || level.isPanicking) return null;
  if (!("zoneAware" in localities)) return weightedShares(level, localities);
  // Envoy knows zones in the first priority only, and what is hashed belongs to one endpoint wherever that is.
  if (isHashed || level.priority > 0) return null;
  const byZone = Map.groupBy(level.usable, ({ locality }) => zoneOf(locality));
  const weights = zoneWeights(new Map([...byZone].map(([zone, members]) => [zone, members.length])), localities.zoneAware);
  if (weights === null) return null;
  return new Map([...byZone].flatMap(([zone, usable]) => {
    const weight = weights.get(zone) ?? 0;
    return weight > 0 ? [[zone, { weight, usable }] as const] : [];
  }));
}

/**
 * Localities with a weight and somebody to pick, in the order of their weights' list. The weight of one that is not whole shrinks
 * with its health, so that what is left of it is not overwhelmed.
 */
function weightedShares<E extends Placed>(level: PriorityLevel<E>, { weights }: LocalityWeightsSpec): Map<string, LocalityShare<E>> {
  const totals = Map.groupBy(level.all, ({ locality }) => locality);
  const usable = Map.groupBy(level.usable, ({ locality }) => locality);
  const found = new Map<string, LocalityShare<E>>();
  for (const { locality, weight } of weights) {
    const here = usable.get(locality);
    if (here === undefined || weight <= 0) continue;
    const share = Math.min(1, (OVERPROVISIONING * here.length) / (totals.get(locality)?.length ?? here.length));
    found.set(locality, { weight: weight * share, usable: here });
  }
  return found;
}
