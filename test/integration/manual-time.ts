import { type Clock, systemClock } from "../../src/core/clock.ts";
import { TimerWheel } from "../../src/core/timer-wheel.ts";

/** A clock that stands still until the test moves it, and the wheel that fires on the way. */
export class ManualTime implements Clock {
  #nowMs = 1_000;
  /** Certificates are made by the host's clock and must be valid by this one. */
  readonly #wallOffsetMs = systemClock.wallMs();
  readonly timers = new TimerWheel(this, { isDriven: true });

  monotonicMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#wallOffsetMs + this.#nowMs;
  }

  /** Lets time pass in small steps, so that timers that follow from timers fire too. */
  pass(ms: number): void {
    const end = this.#nowMs + ms;
    while (this.#nowMs < end) {
      this.#nowMs = Math.min(end, this.#nowMs + 100);
      this.timers.advance();
    }
  }

  /** Lets time pass at once, as where the process stood still. */
  jump(ms: number): void {
    this.#nowMs += ms;
    this.timers.advance();
  }
}
