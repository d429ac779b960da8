import { ProxyError } from "../message/proxy-error.ts";
import type { ClusterMetrics } from "./cluster-metrics.ts";
import type { Limits } from "./limits.ts";
import type { RequestLease } from "./request-lease.ts";

/** The requests of one pool that wait for a connection, in the order they came. Counts them as pending. */
export class WaitingRequests {
  readonly #leases = new Set<RequestLease>();
  readonly #limits: Limits;
  readonly #metrics: ClusterMetrics;

  constructor(limits: Limits, metrics: ClusterMetrics) {
    this.#limits = limits;
    this.#metrics = metrics;
  }

  get size(): number {
    return this.#leases.size;
  }

  has(lease: RequestLease): boolean {
    return this.#leases.has(lease);
  }

  /** The one that has waited longest, or null; it stays. */
  first(): RequestLease | null {
    for (const lease of this.#leases) return lease;
    return null;
  }

  /** False: too many wait already. */
  add(lease: RequestLease): boolean {
    if (!this.#limits.pending.tryAdd()) return false;
    this.#metrics.pendingStarted();
    this.#leases.add(lease);
    return true;
  }

  /** Takes one out. */
  leave(lease: RequestLease): void {
    this.#leases.delete(lease);
    this.#limits.pending.remove();
    this.#metrics.pendingEnded();
  }

  /** Takes out the one that has waited longest among those a connection will do for; `isFresh`: it carried no request yet. */
  next(isFresh: boolean): RequestLease | null {
    for (const lease of this.#leases) {
      if (lease.needsFresh && !isFresh) continue;
      this.leave(lease);
      return lease;
    }
    return null;
  }

  /** Fails those that have waited longest, at most `count`, because the connection they waited for could not be had. */
  fail(count: number, error: ProxyError): void {
    const leases = this.#takeOut(count);
    for (let index = leases.length; index > 0; index--) this.#metrics.pendingFailed();
    // Told when the queue is in order again: a receiver may ask for another connection at once, or cancel a neighbour.
    for (const lease of leases) refuse(lease, error);
  }

  /** A connection is free and `maxRequests` does not let it be used: whoever waits for one is told so now. */
  refuseAll(): void {
    const leases = this.#takeOut(Number.POSITIVE_INFINITY);
    for (let index = leases.length; index > 0; index--) this.#metrics.activeOverflow();
    for (const lease of leases) refuse(lease, tooManyRequests());
  }

  #takeOut(count: number): RequestLease[] {
    const leases = [...this.#leases].slice(0, count);
    for (const lease of leases) this.leave(lease);
    return leases;
  }
}

/** Fails a request that was counted onto its endpoint and has no connection. */
export function refuse(lease: RequestLease, error: ProxyError): void {
  lease.endpoint.activeRequests--;
  lease.fail(error);
}

export function tooManyRequests(): ProxyError {
  return new ProxyError("overflow", "too many requests are under way");
}
