import type { Timer, TimerWheel } from "../core/timer-wheel.ts";
import type { EndpointSpec } from "../config/snapshot.ts";
import type { SocketAddress } from "../message/connection-facts.ts";
import type { WorkloadLabels } from "../message/workload-labels.ts";
import { Endpoint, endpointName } from "./endpoint.ts";

/** Addresses remembered; beyond this the one that was used longest ago and is idle goes. */
const MAX_ENDPOINTS = 1_024;
/** How often unused endpoints are looked for; one that saw no request between two looks is forgotten. */
const SWEEP_MS = 300_000;

const UNKNOWN_LABELS: WorkloadLabels = {
  workload: "unknown", namespace: "unknown", canonicalService: "unknown", canonicalRevision: "unknown",
  app: "unknown", version: "unknown", cluster: "unknown",
};

/**
 * The endpoints of a cluster whose endpoint is whatever address the downstream dialled (Envoy's ORIGINAL_DST). They are
 * made when first asked for. The downstream chooses the addresses, so their number is bounded.
 *
 * What the configuration says of an address (the endpoints of a headless service) is taken over; of any other nothing is
 * known. Where the cluster speaks TLS, it speaks it to all of them: the address is the application's choice, and must
 * not be a way around mTLS (`spec/02` 2.4).
 */
export class OriginalDestinations {
  readonly #timers: TimerWheel;
  readonly #evicted: (endpoint: Endpoint) => void;
  readonly #maxEndpoints: number;
  /** In the order of last use, the most recent at the end. */
  readonly #byName = new Map<string, Endpoint>();
  readonly #usedSinceSweep = new Set<Endpoint>();
  /** By name, what the newest snapshot says. */
  #known = new Map<string, EndpointSpec>();
  #isMeshTls = false;
  #timer: Timer | null = null;

  /** `evicted` is told of every endpoint that is forgotten, so that its pools can be closed. */
  constructor(timers: TimerWheel, evicted: (endpoint: Endpoint) => void, maxEndpoints = MAX_ENDPOINTS) {
    this.#timers = timers;
    this.#evicted = evicted;
    this.#maxEndpoints = maxEndpoints;
  }

  get endpoints(): readonly Endpoint[] {
    return [...this.#byName.values()];
  }

  /** Takes the endpoints of a new snapshot and whether the cluster speaks TLS. */
  apply(known: readonly EndpointSpec[], isMeshTls: boolean): void {
    this.#known = new Map(known.map((spec) => [endpointName(spec.address, spec.port), spec]));
    this.#isMeshTls = isMeshTls;
    for (const endpoint of this.#byName.values()) endpoint.spec = this.#specOf(endpoint.name, endpoint);
  }

  /** The endpoint at `destination`. */
  at(destination: SocketAddress): Endpoint {
    const name = endpointName(destination.address, destination.port);
    const endpoint = this.#byName.get(name) ?? new Endpoint(this.#specOf(name, destination), 0);
    this.#byName.delete(name);
    this.#byName.set(name, endpoint);
    this.#usedSinceSweep.add(endpoint);
    if (this.#byName.size > this.#maxEndpoints) this.#evictOldest(endpoint);
    this.#timer ??= this.#timers.schedule(SWEEP_MS, () => this.#sweep());
    return endpoint;
  }

  /** Forgets every endpoint. */
  clear(): void {
    this.#timer?.cancel();
    this.#timer = null;
    for (const endpoint of this.endpoints) this.#evict(endpoint);
  }

  /** One under way is passed over: the connections of the downstream side bound how many of those there are. */
  #evictOldest(newest: Endpoint): void {
    for (const endpoint of this.#byName.values()) {
      if (endpoint.activeRequests > 0 || endpoint === newest) continue;
      this.#evict(endpoint);
      return;
    }
  }

  #sweep(): void {
    this.#timer = null;
    for (const endpoint of this.endpoints) {
      if (endpoint.activeRequests === 0 && !this.#usedSinceSweep.has(endpoint)) this.#evict(endpoint);
    }
    this.#usedSinceSweep.clear();
    if (this.#byName.size > 0) this.#timer = this.#timers.schedule(SWEEP_MS, () => this.#sweep());
  }

  #evict(endpoint: Endpoint): void {
    this.#byName.delete(endpoint.name);
    this.#usedSinceSweep.delete(endpoint);
    this.#evicted(endpoint);
  }

  #specOf(name: string, { address, port }: SocketAddress): EndpointSpec {
    const labels = this.#known.get(name)?.labels ?? UNKNOWN_LABELS;
    return { address, port, weight: 1, isHealthy: true, isMeshTls: this.#isMeshTls, labels };
  }
}
