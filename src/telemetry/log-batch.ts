import type { Timer, TimerWheel } from "../core/timer-wheel.ts";
import type { LogSink } from "./log.ts";

/** How long a line may wait on the data thread. */
const FLUSH_MS = 100;
const MAX_LINES = 64;
/** Lines handed over and not yet acknowledged; a stalled control thread must not fill the memory. */
const MAX_UNACKNOWLEDGED = 4096;

/**
 * The log output of a data thread: hands lines to the control thread in batches, because posting each would cost
 * more than writing it. `post` gets plain strings; the receiver acknowledges with `acknowledge(lines.length)`.
 */
export class LogBatches implements LogSink {
  /** Lines dropped because the control thread did not keep up. */
  dropped = 0;
  readonly #post: (lines: string[]) => void;
  readonly #timers: TimerWheel;
  #lines: string[] = [];
  #unacknowledged = 0;
  #flushTimer: Timer | null = null;

  constructor(post: (lines: string[]) => void, timers: TimerWheel) {
    this.#post = post;
    this.#timers = timers;
  }

  write(line: string): void {
    if (this.#unacknowledged + this.#lines.length >= MAX_UNACKNOWLEDGED) {
      this.dropped++;
      return;
    }
    this.#lines.push(line);
    if (this.#lines.length >= MAX_LINES) this.flush();
    else this.#flushTimer ??= this.#timers.schedule(FLUSH_MS, () => this.flush());
  }

  /** Hands over what waits; call it before the thread ends. */
  flush(): void {
    this.#flushTimer?.cancel();
    this.#flushTimer = null;
    if (this.#lines.length === 0) return;
    const lines = this.#lines;
    this.#lines = [];
    this.#unacknowledged += lines.length;
    this.#post(lines);
  }

  /** The control thread took `count` lines. */
  acknowledge(count: number): void {
    this.#unacknowledged = Math.max(0, this.#unacknowledged - count);
  }
}
