import type { LocalitySpec } from "../snapshot-cluster.ts";
import { type Locality, NETWORK_LABEL, distance, labelOf, matchesLocality, parseLocality, zoneText } from "./locality.ts";
import type { LocalitySetting } from "./locality-setting.ts";
import type { OwnPlace } from "./own-place.ts";
import type { ServiceEndpoint } from "./service.ts";

/** An endpoint and when it is used. */
export interface PlacedEndpoint {
  readonly endpoint: ServiceEndpoint;
  /** 0 is the first choice. */
  readonly priority: number;
}

/** The endpoints of a cluster by their places. */
export interface LocalityPlan {
  /** Without those that get nothing. */
  readonly endpoints: readonly PlacedEndpoint[];
  /** Null: every endpoint of a priority is as good as any other. */
  readonly localities: LocalitySpec | null;
}

/** Istio's `failover` knows five degrees, 0 to 4. */
const DEGREES = 5;

/**
 * Who is used first, and how much (`spec/04` 4.6, Istio's `ApplyLocalityLoadBalancer`): `distribute` gives localities their
 * shares; else, where it is on, `failoverPriority` and `failover` give priorities.
 *
 * @param failsOver unhealthy endpoints will be found: there is outlier detection, or the service itself asks.
 */
export function localityPlan(endpoints: readonly ServiceEndpoint[], setting: LocalitySetting | null, failsOver: boolean, own: OwnPlace): LocalityPlan {
  if (setting !== null && setting.distribute.length > 0) return distributed(endpoints, setting.distribute, parseLocality(own.locality));
  const localities = setting === null ? null : zoneAwareness(setting, own);
  if (setting === null || !failsOver) return { endpoints: endpoints.map((endpoint) => ({ endpoint, priority: 0 })), localities };
  const places = placeDegrees(endpoints, setting, own.locality);
  const degrees = endpoints.map(({ labels, locality }) => labelDegree(labels, setting.failoverPriority, own.labels) * DEGREES + (places?.get(locality) ?? 0));
  const inUse = [...new Set(degrees)].toSorted((a, b) => a - b);
  return { endpoints: endpoints.map((endpoint, index) => ({ endpoint, priority: inUse.indexOf(degrees[index] as number) })), localities };
}

/** Null where it is not known how many of the workload's like are in which zone, or nobody asked. */
function zoneAwareness({ minZonedEndpoints }: LocalitySetting, { locality, callers }: OwnPlace): LocalitySpec | null {
  if (minZonedEndpoints === null || locality === "" || callers.length === 0) return null;
  return { zoneAware: { own: zoneText(locality), callers, minClusterSize: minZonedEndpoints } };
}

/** Shares of the first entry that speaks of our place; what it does not name gets nothing. */
function distributed(endpoints: readonly ServiceEndpoint[], distribute: LocalitySetting["distribute"], own: Locality): LocalityPlan {
  const to = distribute.find(({ from = "" }) => matchesLocality(own, from))?.to;
  if (to === undefined) return { endpoints: endpoints.map((endpoint) => ({ endpoint, priority: 0 })), localities: null };
  const byLocality = Map.groupBy(endpoints, ({ locality }) => locality);
  const weights = new Map<string, number>();
  for (const [pattern, weight] of Object.entries(to)) {
    const here = [...byLocality].filter(([locality]) => !weights.has(locality) && matchesLocality(parseLocality(locality), pattern));
    const total = here.reduce((sum, [, members]) => sum + weightOf(members), 0);
    for (const [locality, members] of here) weights.set(locality, Math.ceil((weightOf(members) * weight) / total));
  }
  return {
    endpoints: endpoints.filter(({ locality }) => weights.has(locality)).map((endpoint) => ({ endpoint, priority: 0 })),
    localities: { weights: [...weights].map(([locality, weight]) => ({ locality, weight })) },
  };
}

function weightOf(endpoints: readonly ServiceEndpoint[]): number {
  return endpoints.reduce((sum, { weight }) => sum + weight, 0);
}

/**
 * How far away each locality is, the lower the sooner; null where labels alone decide, or the workload does not know its own place.
 * Of other regions the one that `failover` names for ours comes first.
 */
function placeDegrees(endpoints: readonly ServiceEndpoint[], { failover, failoverPriority, minZonedEndpoints }: LocalitySetting, ownLocality: string): ReadonlyMap<string, number> | null {
  const isByRegion = minZonedEndpoints !== null;
  if (ownLocality === "" || (failoverPriority.length > 0 && failover.length === 0 && !isByRegion)) return null;
  const own = parseLocality(ownLocality);
  const named = failover.find(({ from }) => from === own.region);
  return new Map([...new Set(endpoints.map(({ locality }) => locality))].map((locality) => {
    const other = parseLocality(locality);
    const away = distance(own, other);
    // Zones of a region are one priority where their shares are what keeps requests near.
    if (away < 3) return [locality, isByRegion ? 0 : away];
    return [locality, named !== undefined && named.to !== other.region ? 4 : away];
  }));
}

/**
 * How many of the labels, in their order, are not equal any more. `key=value` compares with that value in place of our own. A first
 * label that is the network does not end the comparison: what is in another network comes after everything else.
 */
function labelDegree(labels: ServiceEndpoint["labels"], keys: readonly string[], own: OwnPlace["labels"]): number {
  let otherNetwork = 0;
  for (const [index, key] of keys.entries()) {
    const at = key.indexOf("=");
    const name = at < 0 ? key : key.slice(0, at);
    const wanted = at < 0 ? labelOf(own, name) : key.slice(at + 1);
    if (wanted === labelOf(labels, name)) continue;
    if (index > 0 || name !== NETWORK_LABEL) return otherNetwork + keys.length - index;
    otherNetwork = keys.length;
  }
  return otherNetwork;
}
