import type { Clock } from "../core/clock.ts";
import type { Timer, TimerWheel } from "../core/timer-wheel.ts";

const CHECK_INTERVAL_MS = 1_000;

/** How slowly a request body may come. */
export interface BodyRate {
  /** Patience at the start, and the most that can be saved up. 0: any rate will do. */
  readonly graceMs: number;
  readonly minBytesPerSecond: number;
}

/** What the patience is with. */
export interface BodySource {
  /** True while it is not the peer that keeps the body from coming. */
  readonly isHeldByUs: boolean;
  /** Patience ran out. */
  onBodyTooSlow(): void;
}

/**
 * Patience with a request body that trickles (A59): it wears off with time and grows with every byte, never beyond the
 * grace. Checked once a second while a body is under way; seconds in which we held the body up do not count.
 */
export class Http1BodyPatience {
  readonly #rate: BodyRate;
  readonly #source: BodySource;
  readonly #timers: TimerWheel;
  readonly #clock: Clock;
  #leftMs = 0;
  #bytes = 0;
  #checkedAtMs = 0;
  #wasHeld = false;
  #timer: Timer | null = null;

  constructor(rate: BodyRate, source: BodySource, timers: TimerWheel, clock: Clock) {
    this.#rate = rate;
    this.#source = source;
    this.#timers = timers;
    this.#clock = clock;
  }

  /** A body is under way; again for the same body does nothing. */
  start(): void {
    if (this.#timer !== null || this.#rate.graceMs === 0) return;
    this.#leftMs = this.#rate.graceMs;
    this.#bytes = 0;
    this.#wasHeld = false;
    this.#checkedAtMs = this.#clock.monotonicMs();
    this.#timer = this.#timers.schedule(CHECK_INTERVAL_MS, this.#check);
  }

  /** The body is over. */
  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  received(bytes: number): void {
    this.#bytes += bytes;
  }

  /** We hold the body up, if only for a moment. */
  held(): void {
    this.#wasHeld = true;
  }

  readonly #check = (): void => {
    this.#timer = null;
    const nowMs = this.#clock.monotonicMs();
    const isHeld = this.#source.isHeldByUs;
    if (!isHeld && !this.#wasHeld) {
      const earnedMs = (this.#bytes * 1_000) / this.#rate.minBytesPerSecond;
      this.#leftMs = Math.min(this.#rate.graceMs, this.#leftMs - (nowMs - this.#checkedAtMs) + earnedMs);
    }
    this.#bytes = 0;
    this.#checkedAtMs = nowMs;
    this.#wasHeld = isHeld;
    if (this.#leftMs <= 0) {
      this.#source.onBodyTooSlow();
      return;
    }
    this.#timer = this.#timers.schedule(CHECK_INTERVAL_MS, this.#check);
  };
}
