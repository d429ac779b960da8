import type { RetryBudgetSpec } from "../config/snapshot-cluster.ts";
import { TrailingCount } from "./trailing-count.ts";

/** What is allowed where nobody says otherwise (`users.md` 0.1, 1.23): retries must not be what brings a struggling service down. */
export const DEFAULT_RETRY_BUDGET: RetryBudgetSpec = { kind: "rate", percent: 20, minPerSecond: 3 };
/** Rates are taken over this long, so that a burst of failures may use what the seconds before it left. */
const RATE_WINDOW_MS = 10_000;

/** The retries of one cluster against its requests, of this data thread. */
export class RetryBudget {
  #spec: RetryBudgetSpec = DEFAULT_RETRY_BUDGET;
  #requests: TrailingCount | null = new TrailingCount(RATE_WINDOW_MS);
  #retries: TrailingCount | null = new TrailingCount(RATE_WINDOW_MS);

  constructor(spec: RetryBudgetSpec | undefined) {
    this.apply(spec);
  }

  /** Undefined: the default. Counts are kept for as long as they mean the same. */
  apply(spec: RetryBudgetSpec = DEFAULT_RETRY_BUDGET): void {
    const windowMs = windowOf(spec);
    if (windowMs !== windowOf(this.#spec)) this.#requests = windowMs === 0 ? null : new TrailingCount(windowMs);
    if (spec.kind !== this.#spec.kind) this.#retries = spec.kind === "rate" ? new TrailingCount(RATE_WINDOW_MS) : null;
    this.#spec = spec;
  }

  /** A request began, at `nowMs` of the monotonic clock or a little before. */
  requested(nowMs: number): void {
    this.#requests?.add(nowMs);
  }

  /**
   * Whether one more retry may be made; a rate counts it.
   *
   * @param wasSent the attempt before may have reached the upstream: a retry of one that did not adds to nobody's load.
   * @param activeRetries,activeRequests under way, the latter with those that wait for a connection.
   */
  tryRetry(nowMs: number, wasSent: boolean, activeRetries: number, activeRequests: number): boolean {
    const spec = this.#spec;
    if (spec.kind === "none") return true;
    if (spec.kind === "concurrency") {
      const base = this.#requests === null ? activeRequests : this.#requests.total(nowMs);
      return activeRetries < Math.max(spec.minConcurrency, Math.floor((spec.percent / 100) * base));
    }
    const { percent, minPerSecond } = spec;
    if (!wasSent || this.#requests === null || this.#retries === null) return true;
    const allowed = Math.max((percent / 100) * this.#requests.total(nowMs), minPerSecond * (RATE_WINDOW_MS / 1000));
    if (this.#retries.total(nowMs) + 1 > allowed) return false;
    this.#retries.add(nowMs);
    return true;
  }
}

/** How far back requests are counted; 0: not at all. */
function windowOf(spec: RetryBudgetSpec): number {
  if (spec.kind === "rate") return RATE_WINDOW_MS;
  return spec.kind === "concurrency" ? spec.intervalMs : 0;
}
