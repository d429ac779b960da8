import type { ZoneAwareSpec } from "../config/snapshot-cluster.ts";

/** Envoy counts in ten-thousandths. */
const WHOLE = 10_000;

/** `region/zone` of `region/zone/subzone`: zone awareness does not look closer. */
export function zoneOf(locality: string): string {
  return locality.split("/", 2).join("/");
}

/**
 * The share of each zone, so that requests stay in the caller's zone and yet every endpoint gets as many: Envoy's zone aware
 * routing. All zones' callers are known, so that each of them sends others what is too much for its own zone: the rest goes
 * to zones with more endpoints than callers, by what they have more.
 *
 * @param endpoints usable endpoints by zone.
 * @returns ten-thousandths by zone; null where zones make no difference: too few endpoints, one zone, no caller known here.
 */
export function zoneWeights(endpoints: ReadonlyMap<string, number>, { own, callers, minClusterSize }: ZoneAwareSpec): Map<string, number> | null {
  const total = sumOf(endpoints.values());
  const calling = new Map(callers.map(({ zone, count }) => [zone, count]));
  if (endpoints.size < 2 || calling.size < 2 || total < minClusterSize || (calling.get(own) ?? 0) === 0) return null;
  const allCallers = sumOf(calling.values());
  const capacityOf = (zone: string): number => Math.floor((WHOLE * (endpoints.get(zone) ?? 0)) / total);
  const demandOf = (zone: string): number => Math.floor((WHOLE * (calling.get(zone) ?? 0)) / allCallers);
  if (capacityOf(own) > 0 && capacityOf(own) >= demandOf(own)) return new Map([[own, WHOLE]]);
  const toOwn = Math.floor((WHOLE * capacityOf(own)) / demandOf(own));
  const left = new Map([...endpoints.keys()].map((zone) => [zone, zone === own ? 0 : Math.max(0, capacityOf(zone) - demandOf(zone))]));
  const allLeft = sumOf(left.values());
  const weights = new Map([...left].map(([zone, each]) => [zone, allLeft === 0 ? (WHOLE - toOwn) / left.size : ((WHOLE - toOwn) * each) / allLeft]));
  return weights.set(own, (weights.get(own) ?? 0) + toOwn);
}

function sumOf(counts: Iterable<number>): number {
  let sum = 0;
  for (const count of counts) sum += count;
  return sum;
}
