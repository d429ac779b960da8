import type { Clock } from "../../../src/core/clock.ts";

/** A clock that stands still until told. */
export class StillClock implements Clock {
  nowMs = Date.now();
  /** By how much the time of day was set. */
  setMs = 0;
  monotonicMs(): number {
    return this.nowMs;
  }
  wallMs(): number {
    return this.nowMs + this.setMs;
  }
}
