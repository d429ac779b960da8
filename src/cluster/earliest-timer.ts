import type { Timer, TimerWheel } from "../core/timer-wheel.ts";

/** A timer that several may ask for: it fires once, after the shortest of the delays. */
export class EarliestTimer {
  readonly #timers: TimerWheel;
  readonly #fire: () => void;
  #timer: Timer | null = null;
  #delayMs = 0;

  constructor(timers: TimerWheel, fire: () => void) {
    this.#timers = timers;
    this.#fire = fire;
  }

  /** Fires in `delayMs` at the latest; Infinity asks for nothing. */
  arm(delayMs: number): void {
    if (delayMs === Number.POSITIVE_INFINITY || (this.#timer !== null && this.#delayMs <= delayMs)) return;
    this.#timer?.cancel();
    this.#delayMs = delayMs;
    this.#timer = this.#timers.schedule(delayMs, () => {
      this.#timer = null;
      this.#fire();
    });
  }

  cancel(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }
}
