import { type Clock, systemClock } from "../../src/core/clock.ts";

/** Time goes by as it does; what the host calls it stands still until the test says otherwise. */
export class OffsetClock implements Clock {
  readonly #startedAtMs = systemClock.wallMs();
  /** By how much the time of day is off from when the clock was made. */
  offsetMs = 0;

  monotonicMs(): number {
    return systemClock.monotonicMs();
  }

  wallMs(): number {
    return this.#startedAtMs + this.offsetMs;
  }
}
