import type { Random } from "../core/random.ts";
import type { Candidate, Picker } from "./picker.ts";

/** Time after which an observation weighs 1/e of what it did. */
const DECAY_MS = 10_000;
/** What a candidate costs that has requests and has not answered any yet: it is not flooded before it has. */
const UNKNOWN_MS = 1_000_000;

/**
 * How long an endpoint takes to answer, as a moving average that jumps to every new peak at once and falls slowly (Finagle's
 * "Peak EWMA", 2015).
 */
export class PeakLatency {
  #costMs = 0;
  #observedAtMs = Number.NEGATIVE_INFINITY;

  /** A response head took `latencyMs`, at the moment `nowMs` of `Clock.monotonicMs`. */
  observe(latencyMs: number, nowMs: number): void {
    const weight = this.#weight(nowMs);
    this.#costMs = latencyMs > this.#costMs ? latencyMs : this.#costMs * weight + latencyMs * (1 - weight);
    this.#observedAtMs = nowMs;
  }

  /** The average now, in milliseconds; what nobody observed any more is slowly forgotten. */
  at(nowMs: number): number {
    return this.#costMs * this.#weight(nowMs);
  }

  #weight(nowMs: number): number {
    return Math.exp(-Math.max(0, nowMs - this.#observedAtMs) / DECAY_MS);
  }
}

/** A candidate whose latency may be watched; null: it is not. */
export interface LatencyCandidate extends Candidate {
  readonly latency: PeakLatency | null;
}

/**
 * PEAK_EWMA: draws two distinct candidates and takes the one with the lower cost: its latency times the requests it would
 * then have, divided by its weight.
 */
export class PeakEwmaPicker<C extends LatencyCandidate> implements Picker<C> {
  readonly #candidates: readonly C[];
  readonly #nowMs: () => number;

  constructor(candidates: readonly C[], nowMs: () => number) {
    this.#candidates = candidates;
    this.#nowMs = nowMs;
  }

  pick(random: Random): C | null {
    const count = this.#candidates.length;
    if (count < 2) return this.#candidates[0] ?? null;
    const first = Math.floor(random() * count);
    let second = Math.floor(random() * (count - 1));
    if (second >= first) second++;
    const nowMs = this.#nowMs();
    const one = this.#candidates[first] as C;
    const other = this.#candidates[second] as C;
    return cost(other, nowMs) < cost(one, nowMs) ? other : one;
  }
}

function cost({ latency, activeRequests, weight }: LatencyCandidate, nowMs: number): number {
  const costMs = latency === null ? 0 : latency.at(nowMs);
  if (costMs === 0 && activeRequests > 0) return (UNKNOWN_MS + activeRequests) / weight;
  return (costMs * (activeRequests + 1)) / weight;
}
