import type { Socket } from "node:net";
import type { Clock } from "../core/clock.ts";
import type { Random } from "../core/random.ts";
import type { TimerWheel } from "../core/timer-wheel.ts";
import type { LimitsSpec } from "../config/snapshot.ts";
import { ProxyError } from "../message/proxy-error.ts";
import type { UpstreamFacts } from "../upstream/connector.ts";
import { isMeshTls, type TransportTls } from "../upstream/transport-tls.ts";
import type { ClusterMetrics } from "./cluster-metrics.ts";
import type { OpenMultiplexed } from "./dial.ts";
import type { Dialler } from "./dialler.ts";
import { EarliestTimer } from "./earliest-timer.ts";
import type { Endpoint } from "./endpoint.ts";
import { type HttpOffer, isHop, isMultiplexed } from "./http-offer.ts";
import { type Http1Host, Http1Connections } from "./http1-connections.ts";
import type { IdleLimit } from "./idle-limit.ts";
import { type DialHost, PoolDials } from "./pool-dials.ts";
import type { PoolOwner } from "./pool-owner.ts";
import { PoolResults } from "./pool-results.ts";
import type { LeasePool, RequestLease } from "./request-lease.ts";
import type { SharedConnection } from "./shared-connection.ts";
import { DEFAULT_SHARING, type SharedHost, SharedConnections } from "./shared-connections.ts";
import { refuse, tooManyRequests, WaitingRequests } from "./waiting-requests.ts";

/**
 * HTTP connections to one endpoint over one kind of transport. All connections in it were verified alike: the pool
 * is made for a TLS spec and an offer, and a connection of an older trust generation is not used again.
 *
 * What a connection turned out to be shows after its handshake: HTTP/1 carries one request at a time, a multiplexed one
 * as many as its peer takes. A request that finds no room waits. For HTTP/1 as many dials run as requests wait, as far as
 * `maxConnections` allows; whichever connection is there first, dialled or freed, serves the request that has waited
 * longest. Where multiplexing is to be expected one dial runs for all who wait.
 */
export class HttpPool implements LeasePool, Http1Host, SharedHost, DialHost {
  readonly endpoint: Endpoint;
  readonly tls: TransportTls | null;
  readonly offer: HttpOffer;
  readonly clock: Clock;
  readonly timers: TimerWheel;
  readonly random: Random;
  readonly metrics: ClusterMetrics;
  readonly dialler: Dialler;
  readonly isMeshPeer: boolean;
  isRetired = false;
  readonly #owner: PoolOwner;
  readonly #emptied: (pool: HttpPool) => void;
  readonly #http1: Http1Connections;
  readonly #shared: SharedConnections;
  readonly #waiting: WaitingRequests;
  readonly #dials: PoolDials;
  readonly #results: PoolResults;
  /** Runs while requests wait for room on multiplexed connections rather than for a dial. */
  readonly #patience: EarliestTimer;

  /** `emptied` is told when a retired pool has closed its last connection. */
  constructor(endpoint: Endpoint, tls: TransportTls | null, offer: HttpOffer, owner: PoolOwner, emptied: (pool: HttpPool) => void) {
    this.endpoint = endpoint;
    this.tls = tls;
    this.offer = offer;
    this.clock = owner.parts.clock;
    this.timers = owner.parts.timers;
    this.random = owner.parts.random;
    this.metrics = owner.metrics;
    this.dialler = owner.dialler;
    this.isMeshPeer = isMeshTls(tls);
    this.#owner = owner;
    this.#emptied = emptied;
    this.#http1 = new Http1Connections(this);
    this.#shared = new SharedConnections(this, owner.parts.sharing ?? DEFAULT_SHARING);
    this.#patience = new EarliestTimer(owner.parts.timers, () => this.#roomOverdue());
    this.#dials = new PoolDials(this, owner);
    this.#results = new PoolResults(endpoint, owner);
    this.#waiting = new WaitingRequests(owner.limits, owner.metrics);
  }

  get idleCount(): number {
    return this.#http1.idleCount + this.#shared.count - this.#shared.busyCount;
  }

  get busyCount(): number {
    return this.#http1.count - this.#http1.idleCount + this.#shared.busyCount;
  }

  get multiplexedCount(): number {
    return this.#shared.count;
  }

  get diallingCount(): number {
    return this.#dials.count;
  }

  get waitingCount(): number {
    return this.#waiting.size;
  }

  /** Serves `lease` now, or queues it, or fails it with `overflow`. */
  acquire(lease: RequestLease): void {
    this.endpoint.activeRequests++;
    if (this.#owner.limits.requests.isReached) {
      this.#refuseActive(lease);
      return;
    }
    if (this.#serveNow(lease)) return;
    if (this.#waiting.add(lease)) {
      this.#dialAsNeeded();
      return;
    }
    this.metrics.pendingOverflow();
    refuse(lease, new ProxyError("overflow", "too many requests wait for a connection"));
  }

  /**
   * Closes idle connections; the others close when their requests are done. Requests that wait are still served.
   * The pool is not to be asked for more.
   */
  retire(): void {
    if (this.isRetired) return;
    this.isRetired = true;
    this.#http1.discardIdle("all");
    this.#shared.retireAll("idle");
    this.#tellIfEmpty();
  }

  /** Closes everything; requests under way are cut, requests that wait fail with `error`. */
  closeAll(error: ProxyError): void {
    this.isRetired = true;
    // First, or the end of a connection would make them ask for another.
    this.#waiting.fail(Number.POSITIVE_INFINITY, error);
    this.#http1.closeAll();
    this.#shared.closeAll();
    this.#tellIfEmpty();
  }

  /** Uses no connection again that was made under an older identity or trust; closes those that are idle. */
  closeStale(): void {
    this.#http1.discardIdle("unwanted");
    this.#shared.retireAll("stale");
  }

  // === From leases ===

  cancelled(lease: RequestLease): void {
    // One that is just being refused has left the queue; it will not be told.
    if (!this.#waiting.has(lease)) return;
    this.#waiting.leave(lease);
    this.endpoint.activeRequests--;
    this.metrics.requestCancelled();
    // A dial that nobody waits for goes on: the next request will want the connection.
  }

  unused(lease: RequestLease): void {
    this.requestEnded();
    if (lease.shared === null) this.#http1.unused(lease);
    else this.#endShared(lease.shared, false);
  }

  ended(lease: RequestLease): void {
    this.requestEnded();
    if (lease.shared !== null) this.#endShared(lease.shared, true);
  }

  reportStatus(lease: RequestLease, status: number): void {
    this.#results.answered(lease, status);
  }

  nowMs(): number {
    return this.clock.monotonicMs();
  }

  reportReset(lease: RequestLease, error: ProxyError): void {
    this.#results.reset(lease, error);
  }

  // === From connections ===

  get limits(): LimitsSpec {
    return this.#owner.spec.limits;
  }

  get idleLimit(): IdleLimit {
    return this.endpoint.idleLimit;
  }

  /** True for a connection of the mesh that was made under another generation of identity and trust, or to a peer that expired. */
  isStale(facts: UpstreamFacts): boolean {
    if (!this.isMeshPeer) return false;
    const { tlsGeneration, hasExpired } = this.#owner.parts;
    return facts.generation !== tlsGeneration() || (hasExpired !== undefined && hasExpired(facts));
  }

  nextWaiting(isFresh: boolean): RequestLease | null {
    if (this.#waiting.size === 0) return null;
    const { requests } = this.#owner.limits;
    if (!requests.tryAdd()) {
      this.#waiting.refuseAll();
      return null;
    }
    const lease = this.#waiting.next(isFresh);
    if (lease === null) requests.remove();
    return lease;
  }

  requestStarted(): void {
    this.metrics.requestStarted();
    this.endpoint.totalRequests++;
    this.endpoint.outlier.connected();
  }

  requestEnded(): void {
    this.endpoint.activeRequests--;
    this.#owner.limits.requests.remove();
    this.metrics.requestFinished();
  }

  http1Changed(): void {
    this.#dialAsNeeded();
    this.#tellIfEmpty();
  }

  capacityGrew(): void {
    this.#serveWaiting();
  }

  sharedLost(wasUsed: boolean): void {
    // Dialling again for those who wait could go on for ever with a peer that takes connections and no requests.
    if (!wasUsed && this.#waiting.size > 0) {
      const error = new ProxyError("connect_failure", "closed before it took a request");
      this.#results.useless(error);
      this.dialFailed(error);
      return;
    }
    this.#dialAsNeeded();
    this.#tellIfEmpty();
  }

  // === Requests ===

  #serveNow(lease: RequestLease): boolean {
    if (this.#shared.servingCount > 0) {
      const shared = this.#shared.take(lease.needsFresh);
      if (shared !== null) {
        if (this.#owner.limits.requests.tryAdd()) this.#serveShared(lease, shared);
        else this.#refuseActive(lease);
        return true;
      }
    }
    const connection = lease.needsFresh ? null : this.#http1.take();
    if (connection === null) return false;
    if (this.#owner.limits.requests.tryAdd()) {
      this.#http1.serve(lease, connection);
    } else {
      this.#http1.putBack(connection);
      this.#refuseActive(lease);
    }
    return true;
  }

  #refuseActive(lease: RequestLease): void {
    this.metrics.activeOverflow();
    refuse(lease, tooManyRequests());
  }

  #serveShared(lease: RequestLease, connection: SharedConnection): void {
    this.requestStarted();
    this.#shared.begin(connection);
    if (this.#shared.isPressed(connection)) this.#grow();
    lease.attach(connection.client, connection.facts, connection.takenAfterMs, connection);
  }

  #endShared(connection: SharedConnection, wasSent: boolean): void {
    this.#shared.end(connection, wasSent);
    this.#serveWaiting();
    this.#shared.settle(connection);
  }

  /** Puts those who wait onto multiplexed connections, as far as there is room. */
  #serveWaiting(): void {
    if (this.#waiting.size === 0) return;
    for (let lease = this.#waiting.first(); lease !== null; lease = this.#waiting.first()) {
      const connection = this.#shared.take(lease.needsFresh);
      if (connection === null) return;
      // Taking may have closed a connection, and that have told the one who waited.
      if (!this.#waiting.has(lease)) continue;
      if (!this.#owner.limits.requests.tryAdd()) {
        this.#waiting.refuseAll();
        return;
      }
      this.#waiting.leave(lease);
      this.#serveShared(lease, connection);
    }
    this.#patience.cancel();
  }

  // === Dials ===

  /** Multiplexing is declared, or was agreed on when the hop was last offered, or may well be. */
  get #isMultiplexing(): boolean {
    return this.offer.protocol === "http2" || (this.offer.hop && this.endpoint.takesHop !== false);
  }

  #dialAsNeeded(): void {
    if (this.#waiting.size === 0) return;
    if (!this.#isMultiplexing) {
      while (this.#dials.count < this.#waiting.size && this.#makeRoom()) this.#dials.start();
    } else if (this.#dials.count === 0) {
      const delayMs = this.#shared.patienceMs();
      if (delayMs > 0) this.#patience.arm(delayMs);
      else if (this.#makeRoom()) this.#dials.start();
    }
  }

  /** Whether one more connection is allowed, which is counted already then; closes one that is in its way if need be. */
  #makeRoom(): boolean {
    while (!this.#dials.tryReserve(this.#http1.count + this.#shared.count === 0)) {
      // Not what the request wants (idle for too long to be trusted), but in the way of a new one.
      if (this.#http1.closeOldestIdle() || this.#shared.retireOneIdle()) continue;
      this.metrics.connectionOverflow();
      return false;
    }
    return true;
  }

  /** Requests have waited for room for as long as they should. */
  #roomOverdue(): void {
    if (this.#waiting.size === 0) return;
    if (this.#shared.isStalled) {
      const error = new ProxyError("connect_timeout", "connected, but no request was allowed to begin");
      this.#results.useless(error);
      this.#waiting.fail(Number.POSITIVE_INFINITY, error);
      this.#shared.retireAll("stalled");
    } else if (this.#dials.count === 0 && this.#makeRoom()) {
      this.#dials.start();
    }
  }

  /** All connections are busy: another one is opened before somebody has to wait for it. */
  #grow(): void {
    if (this.#dials.count > 0 || this.isRetired || this.#dials.isPaused) return;
    if (this.#owner.limits.connections.tryAdd()) this.#dials.start();
  }

  placeMayBeFree(): void {
    this.#dialAsNeeded();
  }

  connected(socket: Socket, facts: UpstreamFacts): void {
    this.#use(socket, facts);
    this.#tellIfEmpty();
  }

  /**
   * A failed dial fails the request that has waited longest. When no other connection or dial is left, it fails them
   * all: each would have to wait for a connect time-out of its own, one after the other.
   */
  dialFailed(error: ProxyError): void {
    const isLast = this.#http1.count + this.#shared.servingCount + this.#dials.count === 0;
    this.#waiting.fail(isLast ? Number.POSITIVE_INFINITY : 1, error);
    this.#dialAsNeeded();
    this.#tellIfEmpty();
  }

  #use(socket: Socket, facts: UpstreamFacts): void {
    if (this.offer.hop) this.endpoint.takesHop = isHop(facts.alpn);
    const { openClient, openMultiplexed } = this.#owner.parts;
    if (isMultiplexed(this.offer, facts.alpn) && openMultiplexed !== undefined) this.#useShared(socket, facts, openMultiplexed);
    else if (!this.#http1.open(socket, facts, openClient)) this.dialFailed(closedAtOnce());
    // The others who wait may have expected to share what turned out to be one request's.
    else if (this.offer.hop) this.#dialAsNeeded();
  }

  #useShared(socket: Socket, facts: UpstreamFacts, open: OpenMultiplexed): void {
    const options = { hop: isHop(facts.alpn), keepAlive: this.#owner.spec.http2KeepAlive };
    const connection = this.#shared.open(socket, facts, open, options);
    if (connection === null) {
      this.dialFailed(closedAtOnce());
      return;
    }
    // Those that were dialled for one request each have become needless.
    this.#dials.cancelAll();
    this.#serveWaiting();
    this.#shared.settle(connection);
    this.#dialAsNeeded();
  }

  // === The end ===

  #tellIfEmpty(): void {
    if (!this.isRetired || this.#http1.count + this.#shared.count + this.#dials.count + this.#waiting.size > 0) return;
    this.#http1.stop();
    this.#shared.stop();
    this.#patience.cancel();
    this.#dials.stop();
    this.#emptied(this);
  }
}

function closedAtOnce(): ProxyError {
  return new ProxyError("connect_failure", "closed as soon as it was connected");
}
