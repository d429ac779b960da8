/** Handshakes of one thread that may be under way at a time. */
const DEFAULT_MAX_ACTIVE = 64;
/** Connections that may wait for one of them to end. */
const DEFAULT_MAX_WAITING = 1024;

/**
 * Spreads a burst of new TLS connections over time: each handshake costs most of a millisecond of this thread, and
 * requests on connections that are already there must get their turn between them (fault F27). First come, first
 * served; beyond the queue a connection is refused at once.
 */
export class HandshakeLimiter {
  readonly #maxActive: number;
  readonly #maxWaiting: number;
  readonly #waiting = new Set<() => void>();
  #active = 0;

  constructor(maxActive = DEFAULT_MAX_ACTIVE, maxWaiting = DEFAULT_MAX_WAITING) {
    this.#maxActive = maxActive;
    this.#maxWaiting = maxWaiting;
  }

  get active(): number {
    return this.#active;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Calls `start`, now or when a place becomes free; false when even the queue is full. */
  enter(start: () => void): boolean {
    if (this.#active < this.#maxActive) {
      this.#active++;
      start();
      return true;
    }
    if (this.#waiting.size >= this.#maxWaiting) return false;
    this.#waiting.add(start);
    return true;
  }

  /** Gives back the place of a `start` that was called, or takes one that was not out of the queue. */
  leave(start: () => void): void {
    if (this.#waiting.delete(start)) return;
    this.#active--;
    for (const next of this.#waiting) {
      this.#waiting.delete(next);
      this.#active++;
      next();
      return;
    }
  }
}
