import type { WarmupSpec } from "../config/snapshot-cluster.ts";
import type { Clock } from "../core/clock.ts";

/** In the first second an endpoint counts as one second old. */
const LEAST_ELAPSED_MS = 1000;

/**
 * The share of its weight that an endpoint has `elapsedMs` after it was added, 0 to 1 (`spec/04` 4.2 "warmup"; Envoy's slow
 * start).
 */
export function slowStartShare({ durationMs, aggression, minimumPercent }: WarmupSpec, elapsedMs: number): number {
  if (elapsedMs >= durationMs) return 1;
  const progress = Math.min(1, Math.max(elapsedMs, LEAST_ELAPSED_MS) / durationMs);
  return Math.max(minimumPercent / 100, progress ** (1 / aggression));
}

/** The slow start of one endpoint. */
export class SlowStart {
  readonly #spec: WarmupSpec;
  readonly #addedAtMs: number;
  readonly #clock: Clock;

  constructor(spec: WarmupSpec, addedAtMs: number, clock: Clock) {
    this.#spec = spec;
    this.#addedAtMs = addedAtMs;
    this.#clock = clock;
  }

  /** The share of its weight that the endpoint has now. */
  get share(): number {
    return slowStartShare(this.#spec, this.#clock.monotonicMs() - this.#addedAtMs);
  }
}
