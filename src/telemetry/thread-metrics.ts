import { monitorEventLoopDelay } from "node:perf_hooks";
import { getHeapStatistics } from "node:v8";
import type { Timer, TimerWheel } from "../core/timer-wheel.ts";
import type { SeriesWriter } from "./series-writer.ts";
import type { Gauge } from "./series.ts";

/** How often the delay is sampled: rarely enough to let an idle processor sleep. */
const SAMPLE_MS = 50;
const REFRESH_MS = 5000;
const QUANTILES: readonly (readonly [string, number])[] = [["0.5", 50], ["0.99", 99], ["1", 100]];

/**
 * How one thread feels: `outrider_event_loop_delay_milliseconds{thread,quantile}` over the last five seconds and
 * `outrider_heap_used_bytes{thread}`.
 */
export class ThreadMetrics {
  readonly #timers: TimerWheel;
  readonly #delay: ReturnType<typeof monitorEventLoopDelay>;
  readonly #gauges: readonly Gauge[];
  readonly #heap: Gauge;
  #timer: Timer | null = null;

  /** `thread`: `control`, `data-0`, ... Starts to measure at once; `stop` ends it. */
  constructor(writer: SeriesWriter, thread: string, timers: TimerWheel) {
    this.#timers = timers;
    this.#delay = monitorEventLoopDelay({ resolution: SAMPLE_MS });
    this.#delay.enable();
    this.#gauges = QUANTILES.map(([quantile]) =>
      writer.gauge("outrider_event_loop_delay_milliseconds", { quantile, thread }, "How late the event loop ran its timers, last five seconds"));
    this.#heap = writer.gauge("outrider_heap_used_bytes", { thread }, "JavaScript heap of the thread in use");
    this.refresh();
    this.#schedule();
  }

  /** Brings the gauges up to date and begins the next period. */
  refresh(): void {
    QUANTILES.forEach(([, percentile], index) => {
      const delayMs = this.#delay.count === 0 ? 0 : this.#delay.percentile(percentile) / 1e6 - SAMPLE_MS;
      (this.#gauges[index] as Gauge).set(Math.max(0, delayMs));
    });
    this.#delay.reset();
    this.#heap.set(getHeapStatistics().used_heap_size);
  }

  stop(): void {
    this.#timer?.cancel();
    this.#delay.disable();
  }

  #schedule(): void {
    this.#timer = this.#timers.schedule(REFRESH_MS, () => {
      this.refresh();
      this.#schedule();
    });
  }
}
