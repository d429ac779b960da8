import type { Endpoint } from "../cluster/endpoint.ts";
import type { RetrySpec } from "../config/snapshot.ts";

/** How many attempts a priority is given before others are preferred (Istio's `update_frequency`). */
const ATTEMPTS_PER_PRIORITY = 2;

/** What a request has to know of its cluster to leave whole priorities out. */
export interface TriedCluster {
  readonly endpoints: readonly Endpoint[];
}

/**
 * Where a request has failed, so that its next attempt goes elsewhere (`spec/03` 3.6): endpoints, unless its policy says
 * `retryIgnorePreviousHosts: false`, and with `retryRemoteLocalities` every second time the priorities of the attempts
 * since. When nothing else is left the cluster picks among them all the same.
 */
export class TriedEndpoints {
  readonly #cluster: TriedCluster;
  readonly #avoidsEndpoints: boolean;
  readonly #avoidsPriorities: boolean;
  readonly #excluded = new Set<Endpoint>();
  /** Of the attempts since priorities were last left out. */
  #priorities: number[] = [];

  constructor(cluster: TriedCluster, policy: RetrySpec | null) {
    this.#cluster = cluster;
    this.#avoidsEndpoints = policy?.avoidsPreviousHosts !== false;
    this.#avoidsPriorities = policy?.prefersRemoteLocalities === true;
  }

  /** What the next attempt should not be given; null: anything will do. */
  get excluded(): ReadonlySet<Endpoint> | null {
    return this.#excluded.size === 0 ? null : this.#excluded;
  }

  add(endpoint: Endpoint): void {
    if (this.#avoidsEndpoints) this.#excluded.add(endpoint);
    if (!this.#avoidsPriorities) return;
    this.#priorities.push(priorityOf(endpoint));
    if (this.#priorities.length < ATTEMPTS_PER_PRIORITY) return;
    for (const other of this.#cluster.endpoints) {
      if (this.#priorities.includes(priorityOf(other))) this.#excluded.add(other);
    }
    this.#priorities = [];
  }
}

function priorityOf({ spec }: Endpoint): number {
  return spec.priority ?? 0;
}
