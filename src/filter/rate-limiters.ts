import type { RateLimitSpec } from "../config/snapshot-route.ts";
import type { Clock } from "../core/clock.ts";
import type { ConnectionFacts } from "../message/connection-facts.ts";
import type { FilterMetrics } from "./filter-metrics.ts";
import { allocate, memoryKey } from "./rate-limit-memory.ts";
import { RateLimiter } from "./rate-limiter.ts";

const NS_PER_MS = 1_000_000;

/** What a thread has of the buckets that all threads share. */
export interface RateLimitParts {
  readonly clock: Clock;
  /** Added to the clock's time for one that all threads share. */
  readonly timeOffsetMs: number;
  /** Memory of a limit's buckets, by its `memoryKey`; absent: this thread is alone. */
  readonly memory?: (key: string) => SharedArrayBuffer | null;
}

/** The limits of one direction, each made when a request first meets it. */
export class RateLimiters {
  readonly #parts: RateLimitParts;
  readonly #metrics: FilterMetrics;
  /** As long as their specs, which live as long as a snapshot has them. */
  readonly #made = new WeakMap<RateLimitSpec, RateLimiter>();
  readonly #own = new Map<string, { readonly buffer: SharedArrayBuffer; readonly key: string }>();
  readonly #connections = new WeakMap<ConnectionFacts, Map<string, RateLimiter>>();

  constructor(parts: RateLimitParts, metrics: FilterMetrics) {
    this.#parts = parts;
    this.#metrics = metrics;
  }

  /** Now, in nanoseconds as all threads count them. */
  nowNs(): number {
    return Math.floor((this.#parts.clock.monotonicMs() + this.#parts.timeOffsetMs) * NS_PER_MS);
  }

  of(spec: RateLimitSpec, connection: ConnectionFacts): RateLimiter {
    if (spec.isPerConnection) return this.#ofConnection(spec, connection);
    let limiter = this.#made.get(spec);
    if (limiter === undefined) this.#made.set(spec, limiter = this.#make(spec, this.#memoryOf(spec)));
    return limiter;
  }

  #ofConnection(spec: RateLimitSpec, connection: ConnectionFacts): RateLimiter {
    let limiters = this.#connections.get(connection);
    if (limiters === undefined) this.#connections.set(connection, limiters = new Map());
    let limiter = limiters.get(spec.name);
    if (limiter?.spec !== spec) limiters.set(spec.name, limiter = this.#make(spec, allocate(spec)));
    return limiter;
  }

  #make(spec: RateLimitSpec, buffer: SharedArrayBuffer): RateLimiter {
    return new RateLimiter(spec, buffer, () => this.#metrics.rateLimitEvicted(spec.statName));
  }

  /** What the control thread gave, or memory of our own where there is no other thread. */
  #memoryOf(spec: RateLimitSpec): SharedArrayBuffer {
    const key = memoryKey(spec);
    const given = this.#parts.memory?.(key) ?? null;
    if (given !== null) return given;
    const known = this.#own.get(spec.name);
    if (known?.key === key) return known.buffer;
    const buffer = allocate(spec);
    this.#own.set(spec.name, { buffer, key });
    return buffer;
  }
}
