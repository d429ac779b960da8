import type { Socket } from "node:net";
import type { Clock } from "../core/clock.ts";
import type { Random } from "../core/random.ts";
import type { Timer, TimerWheel } from "../core/timer-wheel.ts";
import type { LimitsSpec } from "../config/snapshot.ts";
import type { UpstreamFacts } from "../upstream/connector.ts";
import type { ClusterMetrics } from "./cluster-metrics.ts";
import { limitLifetime } from "./connection-lifetime.ts";
import type { MultiplexedOptions, OpenMultiplexed } from "./dial.ts";
import type { Dialler } from "./dialler.ts";
import type { IdleLimit } from "./idle-limit.ts";
import { SharedConnection, type SharedConnectionHost } from "./shared-connection.ts";

/** When a pool of multiplexed connections opens another one. */
export interface SharingLimits {
  /** A connection with this many streams is busy, however many more its peer would take. */
  readonly busyStreams: number;
  /** And so is one that could not keep up with its streams for this long. */
  readonly backedUpMs: number;
  /** Connections opened because the others are busy; beyond these, another one only for requests that have to wait. */
  readonly maxConnections: number;
  /** How long they have to wait for that. */
  readonly patienceMs: number;
}

/** One connection costs least, since it writes what many requests have to say at once (`design.md`). */
export const DEFAULT_SHARING: SharingLimits = { busyStreams: 96, backedUpMs: 50, maxConnections: 4, patienceMs: 250 };

/** A connection is busy when this part of what its peer allows is taken. */
const BUSY_PART = 0.75;
/** Idle connections are looked at no more often than this. */
const MIN_SWEEP_MS = 100;

/** The pool, as its multiplexed connections know it. */
export interface SharedHost {
  readonly clock: Clock;
  readonly timers: TimerWheel;
  readonly random: Random;
  /** As the newest snapshot says. */
  readonly limits: LimitsSpec;
  readonly idleLimit: IdleLimit;
  readonly metrics: ClusterMetrics;
  /** Counts connections until it is told that they are closed. */
  readonly dialler: Dialler;
  /** The pool is given up: a connection closes as soon as nothing is on it. */
  readonly isRetired: boolean;
  /** Made under an older identity or trust. */
  isStale(facts: UpstreamFacts): boolean;
  /** More streams may begin on some connection. */
  capacityGrew(): void;
  /** A connection ended or takes no more; `wasUsed` false: although it never took a request. */
  sharedLost(wasUsed: boolean): void;
}

/**
 * The connections of a pool that carry many requests each. The oldest is filled until it is busy, then the next: few
 * connections are the point of multiplexing, and those not needed at the moment become idle and close.
 */
export class SharedConnections implements SharedConnectionHost {
  readonly #host: SharedHost;
  readonly #sharing: SharingLimits;
  /** Oldest first. */
  readonly #serving: SharedConnection[] = [];
  readonly #retiring = new Set<SharedConnection>();
  #idleTimer: Timer | null = null;

  constructor(host: SharedHost, sharing: SharingLimits) {
    this.#host = host;
    this.#sharing = sharing;
  }

  /** Connections open, those that are retiring too. */
  get count(): number {
    return this.#serving.length + this.#retiring.size;
  }

  get servingCount(): number {
    return this.#serving.length;
  }

  /** Connections with requests on them. */
  get busyCount(): number {
    let count = 0;
    for (const connection of this.#serving) if (connection.leases > 0) count++;
    for (const connection of this.#retiring) if (connection.leases > 0) count++;
    return count;
  }

  /** Takes over a new connection; null when it was closed before it could be used. */
  open(socket: Socket, facts: UpstreamFacts, openMultiplexed: OpenMultiplexed, options: MultiplexedOptions): SharedConnection | null {
    const connection = new SharedConnection(this, facts, this.#host.clock.monotonicMs());
    connection.open(socket, openMultiplexed, options);
    if (connection.state === "closed") {
      this.#countClosed(connection);
      return null;
    }
    if (connection.state === "serving") {
      this.#serving.push(connection);
      connection.lifetime = limitLifetime(this.#host.limits, this.#host.timers, this.#host.random, () => this.#expire(connection));
      return connection;
    }
    // It went away before anybody could use it, and closes by itself.
    this.#retiring.add(connection);
    return null;
  }

  /**
   * One that may carry another request now, or null. `needsFresh`: not one that lay idle. It stays where it is;
   * `begin` counts the request.
   */
  take(needsFresh: boolean): SharedConnection | null {
    let least: SharedConnection | null = null;
    for (const connection of this.#serving) {
      if (this.#isOver(connection)) {
        this.retire(connection);
        // The list has changed under the loop.
        return this.take(needsFresh);
      }
      if (!this.#hasRoom(connection) || (needsFresh && !connection.isFresh)) continue;
      if (!this.#isBusy(connection)) return connection;
      if (least === null || connection.leases < least.leases) least = connection;
    }
    return least;
  }

  /** Whether `connection`, which was just given a request, and all others are busy, so that another should be opened. */
  isPressed(connection: SharedConnection): boolean {
    if (!this.#isBusy(connection) || this.#serving.length >= this.#sharing.maxConnections) return false;
    for (const other of this.#serving) if (!this.#isBusy(other)) return false;
    return true;
  }

  /** Counts a request onto `connection`, which is from `take`. */
  begin(connection: SharedConnection): void {
    connection.takenAfterMs = connection.leases > 0 || connection.requestCount === 0 ? 0 : this.#host.clock.monotonicMs() - connection.idleSinceMs;
    connection.leases++;
    connection.requestCount++;
    if (connection.requestCount < this.#host.limits.maxRequestsPerConnection) return;
    this.#host.metrics.maxRequestsReached();
    this.retire(connection);
  }

  /** A request on `connection` is over; `wasSent` false: nothing of it was sent. */
  end(connection: SharedConnection, wasSent: boolean): void {
    connection.leases--;
    if (!wasSent) connection.requestCount--;
  }

  /** Nothing more is to be put on `connection` at the moment: it becomes idle, or closes. */
  settle(connection: SharedConnection): void {
    if (connection.leases > 0 || connection.state === "closed") return;
    if (connection.state === "retiring") {
      this.#finish(connection);
    } else if (this.#host.isRetired) {
      this.retire(connection);
    } else {
      connection.idleSinceMs = this.#host.clock.monotonicMs();
      this.#armIdle();
    }
  }

  /** Puts nothing more on `connection`; it closes when it is empty. */
  retire(connection: SharedConnection): void {
    if (connection.state !== "serving") return;
    this.#stopServing(connection);
    connection.isClosedByUs = true;
    if (connection.leases === 0) this.#finish(connection);
  }

  /** Retires those that are stale, those without requests, or those that let none begin. */
  retireAll(which: "stale" | "idle" | "stalled"): void {
    for (const connection of this.#serving.slice()) {
      const isMeant = which === "stale" ? this.#host.isStale(connection.facts)
        : which === "idle" ? connection.leases === 0 : connection.client.maxStreams === 0;
      if (isMeant) this.retire(connection);
    }
  }

  /** Retires one that is idle, so that another may take its place; false when there is none. */
  retireOneIdle(): boolean {
    const connection = this.#serving.find((candidate) => candidate.leases === 0);
    if (connection === undefined) return false;
    this.retire(connection);
    return true;
  }

  /** Cuts everything. */
  closeAll(): void {
    for (const connection of [...this.#serving, ...this.#retiring]) {
      connection.isClosedByUs = true;
      connection.client.destroy();
    }
  }

  /**
   * How long a request that found no room should wait before another connection is opened for it, in milliseconds: 0
   * when it need not, Infinity when it is the peer who must move.
   */
  patienceMs(): number {
    for (const connection of this.#serving) {
      // It lets nobody begin: another connection would be told the same, and the time to connect runs on (C13).
      if (connection.client.maxStreams === 0) return this.#host.limits.connectTimeoutMs > 0 ? this.#host.limits.connectTimeoutMs : Number.POSITIVE_INFINITY;
    }
    return this.#serving.length < this.#sharing.maxConnections ? 0 : this.#sharing.patienceMs;
  }

  /** True when some connection lets no stream begin at all. */
  get isStalled(): boolean {
    return this.#serving.some((connection) => connection.client.maxStreams === 0);
  }

  /** Ends the timer. */
  stop(): void {
    this.#idleTimer?.cancel();
    this.#idleTimer = null;
  }

  // === From connections ===

  capacityGrew(): void {
    this.#host.capacityGrew();
  }

  goingAway(connection: SharedConnection): void {
    const wasUsed = connection.requestCount > 0;
    this.#stopServing(connection);
    this.#host.sharedLost(wasUsed);
  }

  closed(connection: SharedConnection): void {
    const wasServing = connection.state === "serving";
    if (wasServing) this.#stopServing(connection);
    this.#retiring.delete(connection);
    connection.state = "closed";
    if (this.count === 0) this.stop();
    if (wasServing && connection.leases === 0 && connection.requestCount > 0) {
      const now = this.#host.clock.monotonicMs();
      this.#host.idleLimit.peerClosed(now - connection.idleSinceMs, now);
    }
    this.#countClosed(connection);
    this.#host.sharedLost(!wasServing || connection.requestCount > 0);
  }

  // === What holds for one connection ===

  /** It may not be used again: it is stale, or lay idle for too long. One that was just dialled serves whom it was dialled for. */
  #isOver(connection: SharedConnection): boolean {
    if (connection.requestCount === 0) return false;
    if (this.#host.isStale(connection.facts)) return true;
    if (connection.leases > 0) return false;
    const now = this.#host.clock.monotonicMs();
    return now - connection.idleSinceMs >= this.#retainMs(now);
  }

  #hasRoom(connection: SharedConnection): boolean {
    const { client } = connection;
    return client.canTake && connection.leases < client.maxStreams && connection.leases < this.#host.limits.maxConcurrentStreams;
  }

  #isBusy(connection: SharedConnection): boolean {
    const allowed = Math.min(connection.client.maxStreams, this.#host.limits.maxConcurrentStreams);
    return connection.leases >= Math.min(allowed * BUSY_PART, this.#sharing.busyStreams) || this.#isBackedUp(connection);
  }

  #isBackedUp(connection: SharedConnection): boolean {
    if (!connection.client.isBackedUp) {
      connection.backedUpSinceMs = -1;
      return false;
    }
    const now = this.#host.clock.monotonicMs();
    if (connection.backedUpSinceMs < 0) connection.backedUpSinceMs = now;
    return now - connection.backedUpSinceMs >= this.#sharing.backedUpMs;
  }

  // === The end of connections ===

  #expire(connection: SharedConnection): void {
    if (connection.state !== "serving") return;
    this.#host.metrics.maxDurationReached();
    this.retire(connection);
  }

  #stopServing(connection: SharedConnection): void {
    connection.lifetime?.cancel();
    connection.state = "retiring";
    this.#serving.splice(this.#serving.indexOf(connection), 1);
    this.#retiring.add(connection);
  }

  #countClosed(connection: SharedConnection): void {
    this.#host.dialler.closed(!connection.isClosedByUs, connection.leases > 0, connection.openedAtMs);
  }

  #finish(connection: SharedConnection): void {
    connection.client.retire();
  }

  // === Idle connections ===

  /** A peer that closes idle HTTP/2 connections says so (GOAWAY), so that any age it is known to tolerate is safe. */
  #retainMs(nowMs: number): number {
    return this.#host.idleLimit.retainMs(this.#host.limits.idleTimeoutMs, null, nowMs);
  }

  #armIdle(): void {
    if (this.#idleTimer !== null) return;
    const now = this.#host.clock.monotonicMs();
    let oldestMs = Number.POSITIVE_INFINITY;
    for (const connection of this.#serving) if (connection.leases === 0) oldestMs = Math.min(oldestMs, connection.idleSinceMs);
    if (oldestMs === Number.POSITIVE_INFINITY) return;
    this.#idleTimer = this.#host.timers.schedule(Math.max(MIN_SWEEP_MS, oldestMs + this.#retainMs(now) - now), () => this.#sweep());
  }

  #sweep(): void {
    this.#idleTimer = null;
    const now = this.#host.clock.monotonicMs();
    for (const connection of this.#serving.slice()) {
      if (connection.leases > 0 || connection.state !== "serving") continue;
      const idleMs = now - connection.idleSinceMs;
      this.#host.idleLimit.survived(idleMs);
      if (idleMs < this.#retainMs(now)) continue;
      this.#host.metrics.idleTimeout();
      this.retire(connection);
    }
    this.#armIdle();
  }
}
