/** Ids that are remembered; the oldest make room. */
const MAX_IDS = 4096;

/**
 * The ids of requests of the application that failed for good, retries and all. The request it makes them for has the same
 * id, if the application passes `x-request-id` on as it does for traces, and most likely fails too: then its caller's
 * proxy is told not to try again. One table for both directions of a data thread.
 */
export class GaveUpRequests {
  readonly #ids = new Set<string>();
  readonly #max: number;

  constructor(max = MAX_IDS) {
    this.#max = max;
  }

  add(requestId: string | null): void {
    if (requestId === null) return;
    if (this.#ids.size >= this.#max) for (const oldest of this.#ids) {
      this.#ids.delete(oldest);
      break;
    }
    this.#ids.add(requestId);
  }

  /** Whether it is remembered, which it then is no longer. */
  take(requestId: string | null): boolean {
    return requestId !== null && this.#ids.size > 0 && this.#ids.delete(requestId);
  }
}
