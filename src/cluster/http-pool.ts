import type { Socket } from "node:net";
import type { Clock } from "../core/clock.ts";
import type { TimerWheel } from "../core/timer-wheel.ts";
import type { ClusterSpec, UpstreamTlsSpec } from "../config/snapshot.ts";
import { ProxyError } from "../message/proxy-error.ts";
import type { UpstreamFacts } from "../upstream/connector.ts";
import type { ClusterMetrics } from "./cluster-metrics.ts";
import type { OpenClient } from "./dial.ts";
import type { Dialler } from "./dialler.ts";
import type { Endpoint } from "./endpoint.ts";
import { IdleConnections, type IdleHost } from "./idle-connections.ts";
import type { IdleLimit } from "./idle-limit.ts";
import type { Limits } from "./limits.ts";
import { PooledConnection, type PooledConnectionHost } from "./pooled-connection.ts";
import type { LeasePool, RequestLease } from "./request-lease.ts";

/** What a pool has of its cluster. */
export interface PoolOwner {
  /** As the newest snapshot says. */
  readonly spec: ClusterSpec;
  readonly limits: Limits;
  readonly metrics: ClusterMetrics;
  readonly dialler: Dialler;
  readonly parts: {
    readonly clock: Clock;
    readonly timers: TimerWheel;
    readonly openClient: OpenClient;
    readonly tlsGeneration: () => number;
  };
  /** Towards outlier detection. */
  report(endpoint: Endpoint, status: number): void;
}

/**
 * HTTP/1 connections to one endpoint over one kind of transport. All connections in it were verified alike: the pool
 * is made for a TLS spec and an ALPN offer, and a connection of an older trust generation is not used again. One
 * request at a time on each; the one that became idle last is used first (`spec/07` 7.9).
 *
 * A request that finds no idle connection waits, and as many dials run as requests wait, as far as `maxConnections`
 * allows. Whichever connection is there first, dialled or freed, serves the request that has waited longest.
 */
export class HttpPool implements LeasePool, PooledConnectionHost, IdleHost {
  readonly endpoint: Endpoint;
  readonly tls: UpstreamTlsSpec | null;
  readonly alpn: readonly string[];
  readonly clock: Clock;
  readonly timers: TimerWheel;
  readonly isMeshPeer: boolean;
  readonly #owner: PoolOwner;
  readonly #emptied: (pool: HttpPool) => void;
  readonly #idle: IdleConnections;
  readonly #connections = new Set<PooledConnection>();
  readonly #waiting = new Set<RequestLease>();
  #dialling = 0;
  #isRetired = false;

  /** `emptied` is told when a retired pool has closed its last connection. */
  constructor(endpoint: Endpoint, tls: UpstreamTlsSpec | null, alpn: readonly string[], owner: PoolOwner, emptied: (pool: HttpPool) => void) {
    this.endpoint = endpoint;
    this.tls = tls;
    this.alpn = alpn;
    this.clock = owner.parts.clock;
    this.timers = owner.parts.timers;
    this.isMeshPeer = tls !== null;
    this.#owner = owner;
    this.#idle = new IdleConnections(this);
    this.#emptied = emptied;
  }

  get idleCount(): number {
    return this.#idle.count;
  }

  get busyCount(): number {
    return this.#connections.size - this.#idle.count;
  }

  get diallingCount(): number {
    return this.#dialling;
  }

  get waitingCount(): number {
    return this.#waiting.size;
  }

  /** Serves `lease` now, or queues it, or fails it with `overflow`. */
  acquire(lease: RequestLease): void {
    this.endpoint.activeRequests++;
    const { limits, metrics } = this.#owner;
    if (limits.requests.isReached) {
      metrics.activeOverflow();
      this.#refuse(lease, tooManyRequests());
      return;
    }
    const idle = lease.needsFresh ? null : this.#idle.take();
    if (idle !== null) {
      this.#serve(lease, idle);
      return;
    }
    if (limits.pending.isReached) {
      metrics.pendingOverflow();
      this.#refuse(lease, new ProxyError("overflow", "too many requests wait for a connection"));
      return;
    }
    limits.pending.add();
    metrics.pendingStarted();
    this.#waiting.add(lease);
    this.#dialAsNeeded();
  }

  /**
   * Closes idle connections; the others close when their request is done. Requests that wait are still served.
   * The pool is not to be asked for more.
   */
  retire(): void {
    if (this.#isRetired) return;
    this.#isRetired = true;
    this.#idle.discard("all");
    this.#tellIfEmpty();
  }

  /** Closes everything; requests under way are cut, requests that wait fail with `error`. */
  closeAll(error: ProxyError): void {
    this.#isRetired = true;
    this.#idle.discard("all");
    for (const connection of this.#connections) this.#close(connection);
    this.#failWaiting([...this.#waiting], error);
    this.#tellIfEmpty();
  }

  /** Closes the idle connections that were made under an older identity or trust. */
  closeStale(): void {
    this.#idle.discard("unwanted");
  }

  // === From leases ===

  cancelled(lease: RequestLease): void {
    // One that is just being refused has left the queue; it will not be told.
    if (!this.#waiting.has(lease)) return;
    this.#leaveQueue(lease);
    this.endpoint.activeRequests--;
    this.#owner.metrics.requestCancelled();
    // A dial that nobody waits for goes on: the next request will want the connection.
  }

  unused(lease: RequestLease): void {
    this.#endRequest();
    for (const connection of this.#connections) {
      if (connection.lease !== lease) continue;
      connection.lease = null;
      connection.requestCount--;
      this.#free(connection);
      return;
    }
  }

  ended(_lease: RequestLease): void {
    this.#endRequest();
  }

  reportStatus(status: number): void {
    this.#owner.metrics.responded(status);
    this.#owner.report(this.endpoint, status);
  }

  reportReset(lease: RequestLease, error: ProxyError): void {
    if (error.code === "response_timeout" || error.code === "per_try_timeout") this.#owner.report(this.endpoint, 504);
    else if (error.attributes.source === "upstream") this.#owner.report(this.endpoint, 503);
    // The keep-alive race: the peer was about to close what it took for idle.
    if (error.code === "upstream_disconnect" && lease.isReused && !lease.hasResponse) {
      this.idleLimit.peerClosed(lease.idleMs, this.clock.monotonicMs());
    }
  }

  // === From connections ===

  connectionIdle(connection: PooledConnection): void {
    this.#endLease(connection);
    this.#free(connection);
  }

  connectionClosed(connection: PooledConnection): void {
    const hadRequest = connection.lease !== null;
    if (this.#idle.remove(connection)) {
      const now = this.clock.monotonicMs();
      this.idleLimit.peerClosed(now - connection.idleSinceMs, now);
    }
    this.#forget(connection, !connection.isRetiring, hadRequest);
    this.#endLease(connection);
    this.#dialAsNeeded();
    this.#tellIfEmpty();
  }

  // === Idle connections ===

  get idleLimit(): IdleLimit {
    return this.endpoint.idleLimit;
  }

  get configuredIdleMs(): number {
    return this.#owner.spec.limits.idleTimeoutMs;
  }

  /** True for a TLS connection that was made under another generation of identity and trust. */
  isUnwanted(connection: PooledConnection): boolean {
    return this.tls !== null && connection.facts.generation !== this.#owner.parts.tlsGeneration();
  }

  discard(connection: PooledConnection, hasTimedOut: boolean): void {
    if (hasTimedOut) this.#owner.metrics.idleTimeout();
    this.#close(connection);
  }

  /** A connection can carry a request: the one that has waited longest gets it, or it becomes idle. */
  #free(connection: PooledConnection): void {
    if (connection.isClosed) return;
    if (this.#mustRetire(connection)) {
      connection.isRetiring = true;
      connection.client.retire();
      return;
    }
    if (this.#owner.limits.requests.isReached) this.#refuseWaiting();
    const next = this.#nextWaiting(connection.requestCount === 0);
    if (next !== null) {
      connection.takenAfterMs = 0;
      this.#serve(next, connection);
      return;
    }
    if (this.#isRetired) this.#close(connection);
    else this.#idle.put(connection);
    // Whoever still waits wants a fresh connection, which may need the place of this one.
    if (this.#waiting.size > 0) this.#dialAsNeeded();
  }

  #mustRetire(connection: PooledConnection): boolean {
    // One that was just dialled serves the request it was dialled for, even if the identity was rotated meanwhile.
    if (connection.requestCount === 0) return false;
    if (connection.isRetiring || this.isUnwanted(connection)) return true;
    if (connection.requestCount < this.#owner.spec.limits.maxRequestsPerConnection) return false;
    this.#owner.metrics.maxRequestsReached();
    return true;
  }

  // === Requests ===

  #serve(lease: RequestLease, connection: PooledConnection): void {
    this.#owner.limits.requests.add();
    this.#owner.metrics.requestStarted();
    this.endpoint.totalRequests++;
    connection.requestCount++;
    connection.lease = lease;
    lease.attach(connection.client, connection.facts, connection.takenAfterMs);
  }

  #refuse(lease: RequestLease, error: ProxyError): void {
    this.endpoint.activeRequests--;
    lease.fail(error);
  }

  /** A connection is free and `maxRequests` does not let it be used: whoever waits for one is told so now. */
  #refuseWaiting(): void {
    const waiting = [...this.#waiting];
    for (const lease of waiting) {
      this.#leaveQueue(lease);
      this.#owner.metrics.activeOverflow();
    }
    for (const lease of waiting) this.#refuse(lease, tooManyRequests());
  }

  #leaveQueue(lease: RequestLease): void {
    this.#waiting.delete(lease);
    this.#owner.limits.pending.remove();
    this.#owner.metrics.pendingEnded();
  }

  #nextWaiting(isFresh: boolean): RequestLease | null {
    for (const lease of this.#waiting) {
      if (lease.needsFresh && !isFresh) continue;
      this.#leaveQueue(lease);
      return lease;
    }
    return null;
  }

  #endLease(connection: PooledConnection): void {
    const lease = connection.lease;
    connection.lease = null;
    if (lease !== null && lease.end()) this.#endRequest();
  }

  #endRequest(): void {
    this.endpoint.activeRequests--;
    this.#owner.limits.requests.remove();
    this.#owner.metrics.requestFinished();
  }

  // === Dials ===

  #dialAsNeeded(): void {
    while (this.#dialling < this.#waiting.size) {
      // An endpoint without a connection may always have one, or its requests would wait for ever (`spec/04` 4.9).
      if (this.#owner.limits.connections.isReached && this.#connections.size + this.#dialling > 0) {
        const oldest = this.#idle.takeOldest();
        if (oldest === null) {
          this.#owner.metrics.connectionOverflow();
          return;
        }
        // Not what the request wants (idle for too long to be trusted), but in the way of a new one.
        this.#close(oldest);
      } else {
        this.#dial();
      }
    }
  }

  #dial(): void {
    this.#dialling++;
    this.#owner.dialler.connect(this.endpoint, this.#owner.spec, this.tls, this.alpn, "http1", (error, socket, facts) => {
      this.#dialling--;
      if (error !== null) {
        this.#dialFailed(error);
      } else if (socket !== null && facts !== null) {
        this.#connected(socket, facts);
      }
      this.#tellIfEmpty();
    });
  }

  #connected(socket: Socket, facts: UpstreamFacts): void {
    const connection = new PooledConnection(this, facts, this.clock.monotonicMs());
    connection.open(socket, this.#owner.parts.openClient);
    this.#connections.add(connection);
    if (!connection.isClosed) {
      this.#free(connection);
      return;
    }
    this.#forget(connection, true, false);
    this.#dialFailed(new ProxyError("connect_failure", "closed as soon as it was connected"));
  }

  /**
   * A failed dial fails the request that has waited longest. When no other connection or dial is left, it fails them
   * all: each would have to wait for a connect time-out of its own, one after the other.
   */
  #dialFailed(error: ProxyError): void {
    const isLast = this.#connections.size + this.#dialling === 0;
    const waiting = [...this.#waiting];
    this.#failWaiting(isLast ? waiting : waiting.slice(0, 1), error);
    this.#dialAsNeeded();
  }

  #failWaiting(leases: readonly RequestLease[], error: ProxyError): void {
    for (const lease of leases) {
      this.#leaveQueue(lease);
      this.#owner.metrics.pendingFailed();
    }
    // Told when the pool is in order again: a receiver may ask for another connection at once, or cancel a neighbour.
    for (const lease of leases) this.#refuse(lease, error);
  }

  // === The end of connections ===

  /** Closes a connection of our own accord. */
  #close(connection: PooledConnection): void {
    if (connection.isClosed) return;
    const hadRequest = connection.lease !== null;
    connection.isClosed = true;
    this.#forget(connection, false, hadRequest);
    connection.client.destroy();
    this.#endLease(connection);
    this.#tellIfEmpty();
  }

  #forget(connection: PooledConnection, isByPeer: boolean, hadRequest: boolean): void {
    this.#connections.delete(connection);
    this.#owner.dialler.closed(isByPeer, hadRequest, connection.openedAtMs);
  }

  #tellIfEmpty(): void {
    if (!this.#isRetired || this.#connections.size + this.#dialling + this.#waiting.size > 0) return;
    this.#idle.stop();
    this.#emptied(this);
  }
}

function tooManyRequests(): ProxyError {
  return new ProxyError("overflow", "too many requests are under way");
}
