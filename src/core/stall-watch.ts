import type { Timer, TimerWheel } from "./timer-wheel.ts";

/** Parts the time limit is watched in: a stall is noticed at most one of them late. */
const CHECKS = 5;

/** What is watched. */
export interface StallSource {
  /** Bytes that wait for the peer and cannot be sent on; 0: nothing to worry about. */
  readonly waitingBytes: number;
}

/**
 * Notices a peer that takes nothing of what waits for it, however long it is patient with one that takes a little. It
 * costs a timer only while something waits, and that timer is left running from one wait to the next, so that a
 * transfer that goes on and off all the time schedules next to nothing.
 */
export class StallWatch {
  readonly #timers: TimerWheel;
  readonly #source: StallSource;
  readonly #onStalled: () => void;
  readonly #intervalMs: number;
  #timer: Timer | null = null;
  #hasMoved = false;
  #waitingBytes = 0;
  #stillChecks = 0;

  /** `onStalled` is told once the peer took nothing for `limitMs`; 0: never. */
  constructor(timers: TimerWheel, limitMs: number, source: StallSource, onStalled: () => void) {
    this.#timers = timers;
    this.#source = source;
    this.#onStalled = onStalled;
    this.#intervalMs = limitMs / CHECKS;
  }

  /** Something waits from now on. */
  start(): void {
    if (this.#timer !== null || this.#intervalMs === 0) return;
    this.#hasMoved = false;
    this.#stillChecks = 0;
    this.#waitingBytes = this.#source.waitingBytes;
    this.#timer = this.#timers.schedule(this.#intervalMs, this.#check);
  }

  /** The peer took all that waited. */
  moved(): void {
    this.#hasMoved = true;
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  readonly #check = (): void => {
    this.#timer = null;
    const { waitingBytes } = this.#source;
    if (waitingBytes === 0) return;
    const isStill = !this.#hasMoved && waitingBytes >= this.#waitingBytes;
    this.#stillChecks = isStill ? this.#stillChecks + 1 : 0;
    this.#hasMoved = false;
    this.#waitingBytes = waitingBytes;
    if (this.#stillChecks === CHECKS) this.#onStalled();
    else this.#timer = this.#timers.schedule(this.#intervalMs, this.#check);
  };
}
