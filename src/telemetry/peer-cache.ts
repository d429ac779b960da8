import type { ServiceRef } from "../message/stream-info.ts";
import type { WorkloadLabels } from "../message/workload-labels.ts";
import type { TrafficFacts } from "./traffic-labels.ts";

type Principals<T> = Map<string | null, Map<number, T>>;
type Peers<T> = Map<WorkloadLabels | null, Principals<T>>;

/**
 * Finds what is kept for a service, a peer and a principal without making a string or an object: by the identity of
 * the objects the snapshot and the peer metadata share, then by the principal, then by a number that stands for the
 * outcome. It is cleared when it has grown to its bound, and whenever what it keeps is no longer good.
 */
export class PeerCache<T> {
  readonly #maxEntries: number;
  readonly #inbound = new Map<ServiceRef | string, Peers<T>>();
  readonly #outbound = new Map<ServiceRef | string, Peers<T>>();
  #entries = 0;

  constructor(maxEntries: number) {
    this.#maxEntries = maxEntries;
  }

  get size(): number {
    return this.#entries;
  }

  clear(): void {
    this.#inbound.clear();
    this.#outbound.clear();
    this.#entries = 0;
  }

  /** `destination` is the service, or a string for what has none; `outcome` any number. */
  get(facts: TrafficFacts, destination: ServiceRef | string, outcome: number): T | undefined {
    const root = facts.direction === "inbound" ? this.#inbound : this.#outbound;
    const peers = root.get(destination);
    if (peers === undefined) return undefined;
    return peers.get(facts.peer)?.get(principalOf(facts))?.get(outcome);
  }

  set(facts: TrafficFacts, destination: ServiceRef | string, outcome: number, value: T): void {
    if (this.#entries >= this.#maxEntries) this.clear();
    const root = facts.direction === "inbound" ? this.#inbound : this.#outbound;
    const peers = getOrMake(root, destination);
    const principals = getOrMake(peers, facts.peer);
    getOrMake(principals, principalOf(facts)).set(outcome, value);
    this.#entries++;
  }
}

/** Who the other end proved to be, null without mutual TLS. */
function principalOf(facts: TrafficFacts): string | null {
  if (facts.direction === "outbound") return facts.upstreamPrincipal;
  const tls = facts.connection.tls;
  return tls === null || tls.peer === null ? null : tls.peer.spiffeId;
}

function getOrMake<K, A, B>(map: Map<K, Map<A, B>>, key: K): Map<A, B> {
  let found = map.get(key);
  if (found === undefined) {
    found = new Map();
    map.set(key, found);
  }
  return found;
}
