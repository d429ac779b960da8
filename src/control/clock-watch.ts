import type { Clock } from "../core/clock.ts";
import { timeInWords } from "../core/time-in-words.ts";
import type { Timer, TimerWheel } from "../core/timer-wheel.ts";
import type { Logger } from "../telemetry/log.ts";
import type { SeriesWriter } from "../telemetry/series-writer.ts";

const LOOK_MS = 1_000;
/** What NTP slews stays far below this, and validity of certificates is not counted finer. */
const MIN_JUMP_MS = 5_000;

/**
 * Notices that the time of day was set, or went on while the process stood still (F13): no time-out depends on it, but what
 * certificates are good for does. A machine that woke up with yesterday's clock refuses every peer, and nothing else tells.
 */
export class ClockWatch {
  readonly #clock: Clock;
  readonly #timers: TimerWheel;
  readonly #log: Pick<Logger, "warn">;
  readonly #metrics: SeriesWriter;
  #offsetMs: number;
  #timer: Timer | null = null;

  constructor(parts: { readonly clock: Clock; readonly timers: TimerWheel; readonly log: Pick<Logger, "warn">; readonly metrics: SeriesWriter }) {
    this.#clock = parts.clock;
    this.#timers = parts.timers;
    this.#log = parts.log;
    this.#metrics = parts.metrics;
    this.#offsetMs = this.#currentOffsetMs();
  }

  start(): void {
    for (const direction of ["forward", "back"]) this.#counter(direction);
    this.#schedule();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  #schedule(): void {
    this.#timer = this.#timers.schedule(LOOK_MS, () => {
      this.#look();
      this.#schedule();
    });
  }

  #look(): void {
    const offsetMs = this.#currentOffsetMs();
    const jumpMs = offsetMs - this.#offsetMs;
    this.#offsetMs = offsetMs;
    if (Math.abs(jumpMs) < MIN_JUMP_MS) return;
    const direction = jumpMs > 0 ? "forward" : "back";
    this.#counter(direction).add(1);
    this.#log.warn("clock jumped", { direction, by: timeInWords(jumpMs), seconds: Math.round(jumpMs / 1000), effect: "validity of certificates is judged by the new time" });
  }

  #counter(direction: string): { add(count: number): void } {
    return this.#metrics.counter("outrider_clock_jumps_total", { direction }, "Times that the host's time of day was set, or went on while the process stood still");
  }

  #currentOffsetMs(): number {
    return this.#clock.wallMs() - this.#clock.monotonicMs();
  }
}
