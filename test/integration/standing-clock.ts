import { TimerWheel } from "../../src/core/timer-wheel.ts";
import { OffsetClock } from "./offset-clock.ts";

/** The time of day is what the test says, and timers fire when it lets them: nothing happens because a machine is slow. */
export class StandingClock extends OffsetClock {
  #nowMs = 1_000;
  readonly timers = new TimerWheel(this, { isDriven: true });

  override monotonicMs(): number {
    return this.#nowMs;
  }

  /** Fires what comes due in `ms`, at most five seconds, of which the time of day knows nothing. */
  pass(ms: number): void {
    this.#nowMs += ms;
    this.timers.advance();
  }
}
