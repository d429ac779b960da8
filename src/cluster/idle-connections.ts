import type { Clock } from "../core/clock.ts";
import type { Timer, TimerWheel } from "../core/timer-wheel.ts";
import type { IdleLimit } from "./idle-limit.ts";
import type { PooledConnection } from "./pooled-connection.ts";

/** Idle connections are looked at no more often than this. */
const MIN_SWEEP_MS = 100;
/** And no less often, since a peer may announce a shorter time-out with any response. */
const MAX_SWEEP_MS = 60_000;

/** The pool, as its idle connections know it. */
export interface IdleHost {
  readonly clock: Clock;
  readonly timers: TimerWheel;
  readonly idleLimit: IdleLimit;
  /** `idleTimeout` as configured; 0: none. */
  readonly configuredIdleMs: number;
  /** The peer is a mesh workload behind a sidecar of its own. */
  readonly isMeshPeer: boolean;
  /** The connection may not be used again whatever its age. */
  isUnwanted(connection: PooledConnection): boolean;
  /** Closes a connection that is idle no more; `hasTimedOut` when its age was the reason. */
  discard(connection: PooledConnection, hasTimedOut: boolean): void;
}

/**
 * The idle connections of a pool. The one that became idle last is taken first: a pool that shrinks lets the others
 * grow old and close, and the freshest is the least likely to be closed by its peer. One timer serves them all.
 */
export class IdleConnections {
  readonly #host: IdleHost;
  /** Oldest first. */
  readonly #connections: PooledConnection[] = [];
  #timer: Timer | null = null;

  constructor(host: IdleHost) {
    this.#host = host;
  }

  get count(): number {
    return this.#connections.length;
  }

  put(connection: PooledConnection): void {
    connection.idleSinceMs = this.#host.clock.monotonicMs();
    this.#connections.push(connection);
    this.#arm();
  }

  /** Takes one that may carry a request, or null. */
  take(): PooledConnection | null {
    const host = this.#host;
    for (let connection = this.#connections.at(-1); connection !== undefined; connection = this.#connections.at(-1)) {
      if (host.isUnwanted(connection)) {
        this.#connections.pop();
        host.discard(connection, false);
        continue;
      }
      const now = host.clock.monotonicMs();
      const idleMs = now - connection.idleSinceMs;
      if (idleMs >= host.idleLimit.usableMs(host.configuredIdleMs, connection.client.idleLimitMs, host.isMeshPeer, now)) {
        // Those below it have been idle for longer still.
        host.idleLimit.survived(idleMs);
        return null;
      }
      this.#connections.pop();
      connection.takenAfterMs = idleMs;
      return connection;
    }
    return null;
  }

  /** What was just taken is not wanted after all. */
  putBack(connection: PooledConnection): void {
    this.#connections.push(connection);
    this.#arm();
  }

  /** Takes the oldest out, whatever its age. */
  takeOldest(): PooledConnection | null {
    return this.#connections.shift() ?? null;
  }

  /** Takes `connection` out; false when it was not idle. */
  remove(connection: PooledConnection): boolean {
    const index = this.#connections.indexOf(connection);
    if (index >= 0) this.#connections.splice(index, 1);
    return index >= 0;
  }

  /** Discards those that are unwanted, or all. */
  discard(which: "unwanted" | "all"): void {
    for (const connection of this.#connections.slice()) {
      if (which === "unwanted" && !this.#host.isUnwanted(connection)) continue;
      this.remove(connection);
      this.#host.discard(connection, false);
    }
  }

  /** Ends the timer. */
  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  #retainMs(connection: PooledConnection, nowMs: number): number {
    return this.#host.idleLimit.retainMs(this.#host.configuredIdleMs, connection.client.idleLimitMs, nowMs);
  }

  #arm(): void {
    const oldest = this.#connections[0];
    if (this.#timer !== null || oldest === undefined) return;
    const now = this.#host.clock.monotonicMs();
    const dueMs = oldest.idleSinceMs + this.#retainMs(oldest, now) - now;
    this.#timer = this.#host.timers.schedule(Math.max(MIN_SWEEP_MS, Math.min(dueMs, MAX_SWEEP_MS)), () => this.#sweep());
  }

  #sweep(): void {
    this.#timer = null;
    const now = this.#host.clock.monotonicMs();
    for (const connection of this.#connections.slice()) {
      const idleMs = now - connection.idleSinceMs;
      this.#host.idleLimit.survived(idleMs);
      const hasTimedOut = idleMs >= this.#retainMs(connection, now);
      if (!hasTimedOut && !this.#host.isUnwanted(connection)) continue;
      this.remove(connection);
      this.#host.discard(connection, hasTimedOut);
    }
    this.#arm();
  }
}
