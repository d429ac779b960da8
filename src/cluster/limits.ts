import type { LimitsSpec } from "../config/snapshot.ts";
import type { ClusterMetrics, LimitName } from "./cluster-metrics.ts";

/** One counted thing and the most there may be of it. */
class Limit {
  readonly #name: LimitName;
  readonly #metrics: ClusterMetrics;
  #max: number;
  #count = 0;

  constructor(name: LimitName, max: number, metrics: ClusterMetrics) {
    this.#name = name;
    this.#max = max;
    this.#metrics = metrics;
  }

  get count(): number {
    return this.#count;
  }

  /** True when one more would be too many. */
  get isReached(): boolean {
    return this.#count >= this.#max;
  }

  set max(max: number) {
    const wasReached = this.isReached;
    this.#max = max;
    if (this.isReached !== wasReached) this.#metrics.limitChanged(this.#name, !wasReached);
  }

  add(): void {
    this.#count++;
    if (this.#count === this.#max) this.#metrics.limitChanged(this.#name, true);
  }

  remove(): void {
    if (this.#count === this.#max) this.#metrics.limitChanged(this.#name, false);
    this.#count--;
  }
}

/**
 * The circuit breakers of a cluster: what is under way now, against `connectionPool` of the DestinationRule (`spec/04`
 * 4.3, 4.9). Counts are of the whole cluster, not of an endpoint. A new snapshot changes the limits, never the counts.
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

  constructor(spec: LimitsSpec, metrics: ClusterMetrics) {
    this.connections = new Limit("cx", spec.maxConnections, metrics);
    this.pending = new Limit("rq_pending", spec.maxPendingRequests, metrics);
    this.requests = new Limit("rq", spec.maxRequests, metrics);
    this.retries = new Limit("rq_retry", spec.maxRetries, metrics);
  }

  apply(spec: LimitsSpec): void {
    this.connections.max = spec.maxConnections;
    this.pending.max = spec.maxPendingRequests;
    this.requests.max = spec.maxRequests;
    this.retries.max = spec.maxRetries;
  }
}
