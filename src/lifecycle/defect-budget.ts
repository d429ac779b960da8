import type { Clock } from "../core/clock.ts";

const MAX_DEFECTS = 20;
const WINDOW_MS = 60_000;

/**
 * How many exceptions that no connection could be blamed for a thread may survive: each may have left something
 * behind, so a thread that has had too many in a short time is better replaced.
 */
export class DefectBudget {
  readonly #clock: Clock;
  /** When the last ones happened, oldest first. */
  readonly #timesMs: number[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Counts one more; true when they are too many. */
  isSpent(): boolean {
    const now = this.#clock.monotonicMs();
    this.#timesMs.push(now);
    if (this.#timesMs.length > MAX_DEFECTS) this.#timesMs.shift();
    return this.#timesMs.length === MAX_DEFECTS && now - (this.#timesMs[0] as number) < WINDOW_MS;
  }
}
