/**
 * Time as the data path sees it. Every part that waits or measures is handed a Clock and a TimerWheel, so tests
 * can hold time still; nothing outside `core/` calls `Date.now`, `performance.now` or `setTimeout`.
 */
export interface Clock {
  /** Milliseconds since an arbitrary start, never going back: for durations and time-outs. */
  monotonicMs(): number;
  /** Milliseconds since the Unix epoch, as the host believes: for log lines and certificate validity only. */
  wallMs(): number;
}

/** The clock of the host. */
export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
};

/**
 * What to add to this thread's `systemClock.monotonicMs()` for a time that all threads of the process share: each of them
 * counts from its own start.
 */
export function sharedTimeOffsetMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6 - performance.now();
}
