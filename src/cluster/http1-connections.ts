import type { Socket } from "node:net";
import type { Clock } from "../core/clock.ts";
import type { Random } from "../core/random.ts";
import type { TimerWheel } from "../core/timer-wheel.ts";
import type { LimitsSpec } from "../config/snapshot.ts";
import type { UpstreamFacts } from "../upstream/connector.ts";
import type { ClusterMetrics } from "./cluster-metrics.ts";
import type { OpenClient } from "./dial.ts";
import type { Dialler } from "./dialler.ts";
import { limitLifetime } from "./connection-lifetime.ts";
import { IdleConnections, type IdleHost } from "./idle-connections.ts";
import type { IdleLimit } from "./idle-limit.ts";
import { PooledConnection, type PooledConnectionHost } from "./pooled-connection.ts";
import type { RequestLease } from "./request-lease.ts";

/** The pool, as its HTTP/1 connections know it. */
export interface Http1Host {
  readonly clock: Clock;
  readonly timers: TimerWheel;
  readonly random: Random;
  /** As the newest snapshot says. */
  readonly limits: LimitsSpec;
  readonly idleLimit: IdleLimit;
  readonly isMeshPeer: boolean;
  readonly metrics: ClusterMetrics;
  /** Counts connections until it is told that they are closed. */
  readonly dialler: Dialler;
  /** The pool is given up: a connection is not kept when nobody waits for it. */
  readonly isRetired: boolean;
  /** Made under an older identity or trust. */
  isStale(facts: UpstreamFacts): boolean;
  /** The request to put on a connection that is free, taken out of the queue and counted against `maxRequests`. */
  nextWaiting(isFresh: boolean): RequestLease | null;
  requestStarted(): void;
  requestEnded(): void;
  /** A connection is free or gone: whoever still waits may need another one. */
  http1Changed(): void;
}

/**
 * The HTTP/1 connections of a pool: one request at a time on each; the one that became idle last is used first
 * (`spec/07` 7.9).
 */
export class Http1Connections implements PooledConnectionHost, IdleHost {
  readonly clock: Clock;
  readonly timers: TimerWheel;
  readonly isMeshPeer: boolean;
  readonly #host: Http1Host;
  readonly #idle: IdleConnections;
  readonly #connections = new Set<PooledConnection>();

  constructor(host: Http1Host) {
    this.clock = host.clock;
    this.timers = host.timers;
    this.isMeshPeer = host.isMeshPeer;
    this.#host = host;
    this.#idle = new IdleConnections(this);
  }

  get count(): number {
    return this.#connections.size;
  }

  get idleCount(): number {
    return this.#idle.count;
  }

  /** Takes over a new connection and puts a waiting request on it; false when it was closed before it could be used. */
  open(socket: Socket, facts: UpstreamFacts, openClient: OpenClient): boolean {
    const connection = new PooledConnection(this, facts, this.clock.monotonicMs());
    connection.open(socket, openClient);
    if (connection.isClosed) {
      this.#host.dialler.closed(true, false, connection.openedAtMs);
      return false;
    }
    this.#connections.add(connection);
    connection.lifetime = limitLifetime(this.#host.limits, this.timers, this.#host.random, () => this.#expire(connection));
    this.#free(connection);
    return true;
  }

  /** An idle connection that may carry a request, or null. `serve` must follow. */
  take(): PooledConnection | null {
    return this.#idle.take();
  }

  /** Back to where `take` has it from. */
  putBack(connection: PooledConnection): void {
    this.#idle.putBack(connection);
  }

  /** Gives `connection` to `lease`, which counts against `maxRequests` already. */
  serve(lease: RequestLease, connection: PooledConnection): void {
    this.#host.requestStarted();
    connection.requestCount++;
    connection.lease = lease;
    lease.attach(connection.client, connection.facts, connection.takenAfterMs, null);
  }

  /** `lease` was given up before it sent anything: its connection is as it was. */
  unused(lease: RequestLease): void {
    for (const connection of this.#connections) {
      if (connection.lease !== lease) continue;
      connection.lease = null;
      connection.requestCount--;
      this.#free(connection);
      return;
    }
  }

  /** Closes the connection that has been idle longest, to make room; false when none is idle. */
  closeOldestIdle(): boolean {
    const oldest = this.#idle.takeOldest();
    if (oldest === null) return false;
    this.#close(oldest);
    return true;
  }

  /** Closes idle connections: those made under an older identity or trust, or all. */
  discardIdle(which: "unwanted" | "all"): void {
    this.#idle.discard(which);
  }

  /** Cuts everything. */
  closeAll(): void {
    this.#idle.discard("all");
    for (const connection of this.#connections) this.#close(connection);
  }

  /** Ends the timer. */
  stop(): void {
    this.#idle.stop();
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
    this.#forget(connection);
    this.#host.dialler.closed(!connection.isRetiring, hadRequest, connection.openedAtMs);
    this.#endLease(connection);
    this.#host.http1Changed();
  }

  // === Idle connections ===

  get idleLimit(): IdleLimit {
    return this.#host.idleLimit;
  }

  get configuredIdleMs(): number {
    return this.#host.limits.idleTimeoutMs;
  }

  isUnwanted(connection: PooledConnection): boolean {
    return this.#host.isStale(connection.facts);
  }

  discard(connection: PooledConnection, hasTimedOut: boolean): void {
    if (hasTimedOut) this.#host.metrics.idleTimeout();
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
    const next = this.#host.nextWaiting(connection.requestCount === 0);
    if (next !== null) {
      connection.takenAfterMs = 0;
      this.serve(next, connection);
      return;
    }
    if (this.#host.isRetired) this.#close(connection);
    else this.#idle.put(connection);
    // Whoever still waits wants a fresh connection, which may need the place of this one.
    this.#host.http1Changed();
  }

  #mustRetire(connection: PooledConnection): boolean {
    // One that was just dialled serves the request it was dialled for, even if the identity was rotated meanwhile.
    if (connection.requestCount === 0) return false;
    if (connection.isRetiring || this.isUnwanted(connection)) return true;
    if (connection.requestCount < this.#host.limits.maxRequestsPerConnection) return false;
    this.#host.metrics.maxRequestsReached();
    return true;
  }

  /** It is as old as it may be: closed now, or after its request. */
  #expire(connection: PooledConnection): void {
    this.#host.metrics.maxDurationReached();
    if (this.#idle.remove(connection)) {
      this.#close(connection);
      this.#host.http1Changed();
      return;
    }
    connection.isRetiring = true;
  }

  #forget(connection: PooledConnection): void {
    this.#connections.delete(connection);
    connection.lifetime?.cancel();
  }

  #endLease(connection: PooledConnection): void {
    const lease = connection.lease;
    connection.lease = null;
    if (lease !== null && lease.end()) this.#host.requestEnded();
  }

  /** Closes a connection of our own accord. */
  #close(connection: PooledConnection): void {
    if (connection.isClosed) return;
    const hadRequest = connection.lease !== null;
    connection.isClosed = true;
    this.#forget(connection);
    this.#host.dialler.closed(false, hadRequest, connection.openedAtMs);
    connection.client.destroy();
    this.#endLease(connection);
  }
}
