import type { RateLimitSpec } from "../config/snapshot-route.ts";
import type { Clock } from "../core/clock.ts";
import type { ConnectionFacts } from "../message/connection-facts.ts";
import type { FilterMetrics } from "./filter-metrics.ts";
import { allocate, type MemoryPart, partsOf } from "./rate-limit-memory.ts";
import { RateLimiter } from "./rate-limiter.ts";

const NS_PER_MS = 1_000_000;

/** What a thread has of the buckets that all threads share. */
export interface RateLimitParts {
  readonly clock: Clock;
  /** Added to the clock's time for one that all threads share. */
  readonly timeOffsetMs: number;
  /** Memory of limits, by the keys of their parts; absent: this thread is alone. */
  readonly memory?: (key: string) => SharedArrayBuffer | null;
}

/** The limits of one direction, each made when a request first meets it. */
export class RateLimiters {
  readonly #parts: RateLimitParts;
  readonly #metrics: FilterMetrics;
  /** As long as their specs, which live as long as a snapshot has them. */
  readonly #made = new WeakMap<RateLimitSpec, RateLimiter>();
  /** Of this thread alone, where nobody gives any. */
  readonly #own = new Map<string, SharedArrayBuffer>();
  readonly #connections = new WeakMap<ConnectionFacts, OfConnection>();

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
    if (limiter === undefined) this.#made.set(spec, limiter = this.#make(spec, (part) => this.#parts.memory?.(part.key) ?? kept(this.#own, part)));
    return limiter;
  }

  #ofConnection(spec: RateLimitSpec, connection: ConnectionFacts): RateLimiter {
    let own = this.#connections.get(connection);
    if (own === undefined) this.#connections.set(connection, own = { limiters: new Map(), memory: new Map() });
    const { limiters, memory } = own;
    let limiter = limiters.get(spec);
    if (limiter === undefined) limiters.set(spec, limiter = this.#make(spec, (part) => kept(memory, part)));
    return limiter;
  }

  #make(spec: RateLimitSpec, memory: (part: MemoryPart) => SharedArrayBuffer): RateLimiter {
    const { buckets, total } = partsOf(spec);
    const given = { buckets: buckets === null ? null : memory(buckets), total: total === null ? null : memory(total) };
    return new RateLimiter(spec, given, () => this.#metrics.rateLimitEvicted(spec.statName));
  }
}

/** What one connection has for itself. */
interface OfConnection {
  readonly limiters: Map<RateLimitSpec, RateLimiter>;
  readonly memory: Map<string, SharedArrayBuffer>;
}

function kept(memory: Map<string, SharedArrayBuffer>, part: MemoryPart): SharedArrayBuffer {
  let buffer = memory.get(part.key);
  if (buffer === undefined) memory.set(part.key, buffer = allocate(part));
  return buffer;
}
