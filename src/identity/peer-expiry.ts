import type { Clock } from "../core/clock.ts";
import type { Timer, TimerWheel } from "../core/timer-wheel.ts";

/** The time of day is looked at rather than waited for: clocks are set, and machines sleep. */
const LOOK_MS = 1_000;

/**
 * Tells when something is to be done about connections whose peer's certificate ends. Only the next time is kept, so that
 * any number of connections costs a comparison each and a second's look; whoever is told looks at all connections, and
 * notes those again that go on.
 */
export class PeerExpiry {
  readonly #clock: Clock;
  readonly #timers: TimerWheel;
  readonly #stagesMs: readonly number[];
  readonly #due: () => void;
  #nextMs = Number.POSITIVE_INFINITY;
  #timer: Timer | null = null;

  /** `due` is told at each of `stagesMs`, milliseconds after the end of a certificate that was noted, negative for before. */
  constructor(stagesMs: readonly number[], parts: { readonly clock: Clock; readonly timers: TimerWheel }, due: () => void) {
    this.#clock = parts.clock;
    this.#timers = parts.timers;
    this.#stagesMs = stagesMs;
    this.#due = due;
  }

  /** There is a connection whose peer's certificate ends at `expiresAtMs`, milliseconds since the epoch. */
  note(expiresAtMs: number): void {
    const nowMs = this.#clock.wallMs();
    for (const stageMs of this.#stagesMs) {
      const atMs = expiresAtMs + stageMs;
      if (atMs > nowMs && atMs < this.#nextMs) this.#nextMs = atMs;
    }
    if (this.#timer === null && this.#nextMs !== Number.POSITIVE_INFINITY) this.#schedule();
  }

  /** Whether a certificate ended at least `byMs` ago; negative: ends so soon. */
  hasPassed(expiresAtMs: number, byMs = 0): boolean {
    return this.#clock.wallMs() >= expiresAtMs + byMs;
  }

  #schedule(): void {
    this.#timer = this.#timers.schedule(LOOK_MS, () => {
      this.#timer = null;
      if (this.#clock.wallMs() >= this.#nextMs) {
        this.#nextMs = Number.POSITIVE_INFINITY;
        this.#due();
      }
      if (this.#nextMs !== Number.POSITIVE_INFINITY && this.#timer === null) this.#schedule();
    });
  }
}
