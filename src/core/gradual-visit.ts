import type { Timer, TimerWheel } from "./timer-wheel.ts";

/** Visited at a time: a fraction of a millisecond's work. */
const AT_ONCE = 200;

/** Goes through many things a few at a time, so that traffic need not wait for all of them. */
export class GradualVisit<T> {
  readonly #timers: TimerWheel;
  #rest: Timer | null = null;

  constructor(timers: TimerWheel) {
    this.#timers = timers;
  }

  /** Visits all that `items` holds now, the first within the call. What an earlier call has left is not visited any more. */
  begin(items: Iterable<T>, visit: (item: T) => void): void {
    this.#rest?.cancel();
    const left = [...items];
    let at = 0;
    const step = (): void => {
      this.#rest = null;
      const until = Math.min(at + AT_ONCE, left.length);
      // Set before: a visit may begin anew.
      if (until < left.length) this.#rest = this.#timers.schedule(0, step);
      while (at < until) visit(left[at++] as T);
    };
    step();
  }
}
