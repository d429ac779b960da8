import type { ClusterSpec } from "../config/snapshot.ts";
import type { LocalitySpec, WarmupSpec } from "../config/snapshot-cluster.ts";
import type { Clock } from "../core/clock.ts";
import type { Random } from "../core/random.ts";
import type { Timer, TimerWheel } from "../core/timer-wheel.ts";
import type { ClusterMetrics } from "./cluster-metrics.ts";
import { Endpoint, endpointName } from "./endpoint.ts";
import { type Balancing, createPicker } from "./load-balancer.ts";
import { levelPicker } from "./locality-picker.ts";
import type { OutlierSubject } from "./outlier-detector.ts";
import { PeakLatency } from "./peak-ewma.ts";
import type { Picker } from "./picker.ts";
import { type PriorityLevel, priorityLevels } from "./priority-levels.ts";
import { PriorityPicker } from "./priority-picker.ts";
import { SlowStart } from "./slow-start.ts";

/** How often the balancer is asked for another endpoint than those excluded (Istio's `retryIgnorePreviousHosts`). */
const MAX_RESELECTIONS = 5;

const NONE: ReadonlySet<string> = new Set();

export interface EndpointSetParts {
  readonly clock: Clock;
  readonly timers: TimerWheel;
  readonly random: Random;
}

/**
 * The endpoints of a cluster and the picker over those that may be picked. Endpoints are kept by address and port from
 * one snapshot to the next, the picker is replaced when anything it saw has changed.
 */
export class EndpointSet implements OutlierSubject {
  readonly #parts: EndpointSetParts;
  readonly #random: Random;
  readonly #metrics: ClusterMetrics;
  #byName = new Map<string, Endpoint>();
  #endpoints: readonly Endpoint[] = [];
  #balancing: Balancing;
  #warmup: WarmupSpec | null = null;
  /** Set while endpoints start slowly, for the moment the next of them is done. */
  #warmupTimer: Timer | null = null;
  #minHealthPercent = 0;
  #failing: ReadonlySet<string> = NONE;
  #localities: LocalitySpec | null = null;
  #levels: readonly PriorityLevel<Endpoint>[] = [];
  /** By priority; what replaces one goes on where it stood. */
  #levelPickers = new Map<number, Picker<Endpoint>>();
  #picker: Picker<Endpoint>;
  /** Priorities in a panic that get requests; null: none, as nearly always. */
  #panicking: ReadonlySet<number> | null = null;
  /** Ejected endpoints to which the next requests go, one to each; null: none, as nearly always. */
  #probes: Endpoint[] | null = null;

  constructor(parts: EndpointSetParts, metrics: ClusterMetrics) {
    this.#parts = parts;
    this.#random = parts.random;
    this.#metrics = metrics;
    this.#balancing = { loadBalancer: "ROUND_ROBIN", nowMs: () => parts.clock.monotonicMs() };
    this.#picker = createPicker(this.#balancing, [], null, parts.random);
  }

  get endpoints(): readonly Endpoint[] {
    return this.#endpoints;
  }

  /** True when too few endpoints are healthy and all of them are picked from (`minHealthPercent`). */
  get isPanicking(): boolean {
    return this.#panicking !== null;
  }

  /** Takes the endpoints of `spec`; of two with the same address the first counts. Returns those that have left. */
  apply(spec: ClusterSpec): Endpoint[] {
    const nowMs = this.#parts.clock.monotonicMs();
    const byName = new Map<string, Endpoint>();
    let hasChanged = false;
    for (const endpointSpec of spec.endpoints) {
      const name = endpointName(endpointSpec.address, endpointSpec.port);
      if (byName.has(name)) continue;
      const known = this.#byName.get(name);
      if (known === undefined) hasChanged = true;
      else known.spec = endpointSpec;
      const endpoint = known ?? new Endpoint(endpointSpec, nowMs);
      endpoint.isFailingChecks = this.#failing.has(name);
      byName.set(name, endpoint);
    }
    const gone = this.#endpoints.filter((endpoint) => !byName.has(endpoint.name));
    this.#byName = byName;
    this.#endpoints = [...byName.values()];
    const { loadBalancer, hash } = spec;
    this.#balancing = { loadBalancer, ...(hash === undefined ? {} : { hash }), nowMs: this.#balancing.nowMs };
    for (const endpoint of this.#endpoints) endpoint.latency = loadBalancer === "PEAK_EWMA" ? (endpoint.latency ?? new PeakLatency()) : null;
    this.#warmup = spec.warmup ?? null;
    this.#minHealthPercent = spec.outlierDetection?.minHealthPercent ?? 0;
    this.#localities = spec.locality ?? null;
    this.#rebuild(hasChanged || gone.length > 0);
    return gone;
  }

  healthChanged(): void {
    this.#rebuild(false);
  }

  /** Active health checks speak against the endpoints of these names, and no others. */
  setFailing(names: ReadonlySet<string>): void {
    this.#failing = names;
    for (const endpoint of this.#endpoints) endpoint.isFailingChecks = names.has(endpoint.name);
    this.#rebuild(false);
  }

  wantProbe(endpoint: Endpoint): void {
    endpoint.outlier.probe = "wanted";
    this.#probes ??= [];
    if (!this.#probes.includes(endpoint)) this.#probes.push(endpoint);
  }

  /** Nothing is going to be picked any more. */
  stop(): void {
    this.#warmupTimer?.cancel();
    this.#warmupTimer = null;
  }

  /**
   * Picks an endpoint that is not in `excluded`; when the balancer does not come up with one, any that is pickable, of the
   * priorities in their order; when all are excluded, one of them. Null when there is nothing to pick. A request with a hash
   * belongs to one endpoint, also when it is tried again (`spec/03` 3.6). An ejected endpoint that is to be probed comes
   * first, for a request that has not failed before.
   */
  pick(excluded: ReadonlySet<Endpoint> | null, hash: bigint | null): Endpoint | null {
    const probed = this.#probes === null || excluded !== null ? null : this.#takeProbe();
    if (probed !== null) return probed;
    const endpoint = this.#pickAvoiding(excluded, hash);
    if (this.#panicking !== null && endpoint !== null && this.#panicking.has(endpoint.priority)) this.#metrics.panicPick();
    return endpoint;
  }

  #pickAvoiding(excluded: ReadonlySet<Endpoint> | null, hash: bigint | null): Endpoint | null {
    let endpoint = this.#picker.pick(this.#random, hash);
    if (excluded === null || endpoint === null || hash !== null) return endpoint;
    for (let again = 0; again < MAX_RESELECTIONS && excluded.has(endpoint); again++) {
      endpoint = this.#picker.pick(this.#random) ?? endpoint;
    }
    return excluded.has(endpoint) ? (this.#findOther(excluded) ?? endpoint) : endpoint;
  }

  /**
   * An endpoint that refuses connections has no active requests, so least request may offer it every time. Looking
   * through the others once finds the one that works.
   */
  #findOther(excluded: ReadonlySet<Endpoint>): Endpoint | null {
    for (const { usable } of this.#levels) {
      const start = Math.floor(this.#random() * usable.length);
      for (let step = 0; step < usable.length; step++) {
        const endpoint = usable[(start + step) % usable.length] as Endpoint;
        if (!excluded.has(endpoint)) return endpoint;
      }
    }
    return null;
  }

  /** The first that is still to be probed; it may have left, or be used again, since. */
  #takeProbe(): Endpoint | null {
    const probes = this.#probes ?? [];
    for (let endpoint = probes.shift(); endpoint !== undefined; endpoint = probes.shift()) {
      if (endpoint.outlier.probe !== "wanted" || this.#byName.get(endpoint.name) !== endpoint || !endpoint.spec.isHealthy || endpoint.isFailingChecks) continue;
      endpoint.outlier.probe = "out";
      return endpoint;
    }
    this.#probes = null;
    return null;
  }

  #rebuild(hasMembershipChanged: boolean): void {
    this.#startSlowly();
    this.#levels = priorityLevels(this.#endpoints, this.#minHealthPercent);
    const panicking = this.#levels.filter(({ isPanicking, load }) => isPanicking && load > 0).map(({ priority }) => priority);
    this.#panicking = panicking.length === 0 ? null : new Set(panicking);
    this.#picker = this.#createPicker();
    const healthy = this.#endpoints.filter((endpoint) => endpoint.isPickable).length;
    const ejected = this.#endpoints.filter((endpoint) => endpoint.isEjected).length;
    this.#metrics.membership(this.#endpoints.length, healthy, ejected, hasMembershipChanged);
  }

  /** Most clusters have one priority, whose picker is that of the cluster. */
  #createPicker(): Picker<Endpoint> {
    const pickers = new Map<number, Picker<Endpoint>>();
    const used = this.#levels.filter(({ load }) => load > 0);
    for (const level of used) {
      const previous = this.#levelPickers.get(level.priority) ?? null;
      pickers.set(level.priority, levelPicker(this.#balancing, level, this.#localities, previous, this.#random));
    }
    this.#levelPickers = pickers;
    const shares = used.map(({ load, priority }) => ({ load, picker: pickers.get(priority) as Picker<Endpoint> }));
    if (shares.length > 1) return new PriorityPicker(shares);
    return shares[0]?.picker ?? createPicker(this.#balancing, [], null, this.#random);
  }

  /** Who has not been there for long gets less than its share, until then. */
  #startSlowly(): void {
    const warmup = this.#warmup;
    this.stop();
    const nowMs = this.#parts.clock.monotonicMs();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const endpoint of this.#endpoints) {
      const leftMs = warmup === null ? 0 : endpoint.addedAtMs + warmup.durationMs - nowMs;
      endpoint.slowStart = warmup === null || leftMs <= 0 ? null : new SlowStart(warmup, endpoint.addedAtMs, this.#parts.clock);
      if (leftMs > 0) nextMs = Math.min(nextMs, leftMs);
    }
    if (nextMs < Number.POSITIVE_INFINITY) this.#warmupTimer = this.#parts.timers.schedule(nextMs, () => this.#rebuild(false));
  }
}
