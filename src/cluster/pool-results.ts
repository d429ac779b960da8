import type { ProxyError } from "../message/proxy-error.ts";
import type { Endpoint } from "./endpoint.ts";
import type { PoolOwner } from "./pool-owner.ts";
import type { RequestLease } from "./request-lease.ts";

/** What became of requests and connections of one pool, told to whom it concerns: outlier detection, counts, idle limits. */
export class PoolResults {
  readonly #endpoint: Endpoint;
  readonly #owner: PoolOwner;

  constructor(endpoint: Endpoint, owner: PoolOwner) {
    this.#endpoint = endpoint;
    this.#owner = owner;
  }

  /** The upstream answered `lease`. */
  answered(lease: RequestLease, status: number): void {
    const { metrics, parts } = this.#owner;
    metrics.responded(status);
    const { latency } = this.#endpoint;
    if (latency !== null) {
      const now = parts.clock.monotonicMs();
      latency.observe(now - lease.sentAtMs, now);
    }
    this.#owner.report(this.#endpoint, status);
  }

  /** The request of `lease` failed on its connection. */
  reset(lease: RequestLease, error: ProxyError): void {
    // An endpoint that goes away says which requests it will not look at: that is good manners, not a failure.
    if (error.code === "refused_stream" && lease.shared?.state !== "serving") return;
    const isTimeout = error.code === "response_timeout" || error.code === "per_try_timeout";
    if (isTimeout || error.attributes.source === "upstream") this.#owner.reportFailure(this.#endpoint, isTimeout);
    // The keep-alive race: the peer was about to close what it took for idle.
    if (error.code === "upstream_disconnect" && lease.isReused && !lease.hasResponse) {
      this.#endpoint.idleLimit.peerClosed(lease.idleMs, this.#owner.parts.clock.monotonicMs());
    }
  }

  /** A connection that came about served nobody: the same as a failed dial to its endpoint. */
  useless(error: ProxyError): void {
    this.#endpoint.connectFailures++;
    this.#owner.reportFailure(this.#endpoint, error.code === "connect_timeout");
  }
}
