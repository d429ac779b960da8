import type { Clock } from "../core/clock.ts";
import type { Timer, TimerWheel } from "../core/timer-wheel.ts";

/**
 * A moment that is moved often and seldom comes: moving it costs a number, since the timer under it is left where it
 * is and set anew only when it fires too early. One per connection, so that no request schedules anything.
 */
export class Http1Deadline {
  readonly #timers: TimerWheel;
  readonly #clock: Clock;
  readonly #onExpired: () => void;
  #dueMs = Number.POSITIVE_INFINITY;
  #timer: Timer | null = null;
  #timerDueMs = 0;

  constructor(timers: TimerWheel, clock: Clock, onExpired: () => void) {
    this.#timers = timers;
    this.#clock = clock;
    this.#onExpired = onExpired;
  }

  /** Expires `delayMs` from now, whatever was set before; 0 is never. */
  set(delayMs: number): void {
    if (delayMs === 0) {
      this.clear();
      return;
    }
    this.#dueMs = this.#clock.monotonicMs() + delayMs;
    if (this.#timer !== null && this.#timerDueMs <= this.#dueMs) return;
    this.#timer?.cancel();
    this.#schedule(delayMs);
  }

  /** Does not expire until it is set again. */
  clear(): void {
    this.#dueMs = Number.POSITIVE_INFINITY;
  }

  /** Lets go of the timer. */
  dispose(): void {
    this.clear();
    this.#timer?.cancel();
    this.#timer = null;
  }

  #schedule(delayMs: number): void {
    this.#timerDueMs = this.#dueMs;
    this.#timer = this.#timers.schedule(delayMs, this.#onTimer);
  }

  readonly #onTimer = (): void => {
    this.#timer = null;
    if (this.#dueMs === Number.POSITIVE_INFINITY) return;
    const leftMs = this.#dueMs - this.#clock.monotonicMs();
    if (leftMs > 0) {
      this.#schedule(leftMs);
      return;
    }
    this.clear();
    this.#onExpired();
  };
}
