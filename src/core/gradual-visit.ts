import type { Clock } from "./clock.ts";
import { afterNextPoll, type NextTurn } from "./next-turn.ts";

/** Spent on visits at a time. Several visits may be under way, and all of them together are to stay below a millisecond. */
const AT_ONCE_MS = 0.3;

/**
 * Goes through many things a few at a time, and lets traffic pass between: what one visit takes differs, a look from the
 * end of a connection by a hundred times.
 */
export class GradualVisit<T> {
  readonly #clock: Clock;
  #rest: NextTurn | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Visits all that `items` holds now, the first within the call. What an earlier call has left is not visited any more. */
  begin(items: Iterable<T>, visit: (item: T) => void): void {
    this.#rest?.cancel();
    this.#rest = null;
    const left = [...items];
    if (left.length > 0) this.#visitFrom(0, left, visit);
  }

  #visitFrom(first: number, left: readonly T[], visit: (item: T) => void): void {
    const endsAtMs = this.#clock.monotonicMs() + AT_ONCE_MS;
    // Set before: a visit may begin anew, and one that throws must not keep the others from theirs.
    let next = first + 1;
    const rest = afterNextPoll(() => this.#visitFrom(next, left, visit));
    this.#rest = rest;
    visit(left[first] as T);
    while (this.#rest === rest && next < left.length && this.#clock.monotonicMs() < endsAtMs) visit(left[next++] as T);
    if (this.#rest !== rest || next < left.length) return;
    rest.cancel();
    this.#rest = null;
  }
}
