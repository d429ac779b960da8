import type { Random } from "../core/random.ts";
import type { Timer, TimerWheel } from "../core/timer-wheel.ts";
import type { LimitsSpec } from "../config/snapshot.ts";

/** Lifetimes are shortened by up to this part, so that connections opened together do not all end together. */
const JITTER = 0.1;

/**
 * Calls `expire` when a connection that was just opened is as old as `maxConnectionDuration` lets it become (`spec/04`
 * 4.3), or a little before. Null: it may grow as old as it likes.
 */
export function limitLifetime({ maxConnectionDurationMs = 0 }: LimitsSpec, timers: TimerWheel, random: Random, expire: () => void): Timer | null {
  return maxConnectionDurationMs === 0 ? null : timers.schedule(maxConnectionDurationMs * (1 - JITTER * random()), expire);
}
