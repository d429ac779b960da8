import type { LimitsSpec } from "../config/snapshot.ts";
import type { ClusterMetrics, LimitName } from "./cluster-metrics.ts";
import { COUNTED, type SharedCounts } from "./shared-counts.ts";

/** One counted thing and the most there may be of it. */
class Limit {
  readonly #name: LimitName;
  readonly #cell: number;
  readonly #metrics: ClusterMetrics;
  #max = Number.POSITIVE_INFINITY;
  #count = 0;
  /** Null where the count of this thread is the whole count, or nobody asks for it. */
  #shared: SharedCounts | null = null;

  constructor(name: LimitName, metrics: ClusterMetrics) {
    this.#name = name;
    this.#cell = COUNTED.indexOf(name);
    this.#metrics = metrics;
  }

  /** Of this thread. */
  get count(): number {
    return this.#count;
  }

  /** True when one more would be too many. */
  get isReached(): boolean {
    return this.#count + (this.#shared === null ? 0 : this.#shared.others(this.#cell)) >= this.#max;
  }

  /** True when other threads have some of it, whose end is told to nobody here. */
  get isTakenElsewhere(): boolean {
    return this.#shared !== null && this.#shared.others(this.#cell) > 0;
  }

  apply(max: number, shared: SharedCounts | null): void {
    const wasReached = this.#tellsChange && this.#count >= this.#max;
    // Until now nobody looked at the cell, or somebody does no longer.
    if (this.#shared !== shared) this.#shared?.publish(this.#cell, 0);
    this.#max = max;
    this.#shared = max === Number.POSITIVE_INFINITY ? null : shared;
    shared?.publish(this.#cell, this.#shared === null ? 0 : this.#count);
    const isReached = this.#tellsChange && this.#count >= this.#max;
    if (isReached !== wasReached) this.#metrics.limitChanged(this.#name, isReached);
  }

  /**
   * Counts one more if that is allowed. Over several threads: counted first, then looked at, then taken back if it was too
   * many. So there are never too many, and two threads that want the last one at the same moment may both go without.
   */
  tryAdd(): boolean {
    const shared = this.#shared;
    if (shared === null) {
      if (this.#count >= this.#max) return false;
      this.add();
      return true;
    }
    this.#count++;
    shared.publish(this.#cell, this.#count);
    if (this.#count + shared.others(this.#cell) <= this.#max) return true;
    this.remove();
    return false;
  }

  /** Counts one more, also beyond the limit. */
  add(): void {
    this.#count++;
    if (this.#shared !== null) this.#shared.publish(this.#cell, this.#count);
    else if (this.#count === this.#max) this.#metrics.limitChanged(this.#name, true);
  }

  remove(): void {
    this.#count--;
    if (this.#shared !== null) this.#shared.publish(this.#cell, this.#count);
    else if (this.#count === this.#max - 1) this.#metrics.limitChanged(this.#name, false);
  }

  /** One thread's word is worth something only where its count is the whole count. */
  get #tellsChange(): boolean {
    return this.#shared === null;
  }
}

/**
 * The circuit breakers of a cluster: what is under way now, against `connectionPool` of the DestinationRule (`spec/04`
 * 4.3, 4.9). Counts are of the whole cluster, not of an endpoint, and of all data threads where `shared` is given. A new
 * snapshot changes the limits, never the counts.
 */
export class Limits {
  /** Connections open or being dialled, HTTP and TCP. */
  readonly connections: Limit;
  /** Requests that wait for a connection. */
  readonly pending: Limit;
  /** Requests that have one. */
  readonly requests: Limit;
  /** Retries under way. */
  readonly retries: Limit;

  constructor(spec: LimitsSpec, metrics: ClusterMetrics, shared: SharedCounts | null = null) {
    this.connections = new Limit("cx", metrics);
    this.pending = new Limit("rq_pending", metrics);
    this.requests = new Limit("rq", metrics);
    this.retries = new Limit("rq_retry", metrics);
    this.apply(spec, shared);
  }

  /** `shared`: null where this thread is alone. */
  apply(spec: LimitsSpec, shared: SharedCounts | null = null): void {
    shared?.markUsed();
    this.connections.apply(spec.maxConnections, shared);
    this.pending.apply(spec.maxPendingRequests, shared);
    this.requests.apply(spec.maxRequests, shared);
    this.retries.apply(spec.maxRetries, shared);
  }
}
