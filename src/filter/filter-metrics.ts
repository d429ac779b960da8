/** What the gates of one direction count; the names are Envoy's (`spec/06` 6.3). */
export interface FilterMetrics {
  delayInjected(): void;
  abortInjected(): void;
  /** Faults under way: 1 more, or with -1 one less. */
  activeFaults(change: number): void;
  /** A fault was due, and there were too many. */
  faultOverflow(): void;
  corsOrigin(isValid: boolean): void;
  /** A request was under a limit; `outcome` says what came of it: `limited` is a dry run's, `refused` is not. */
  rateLimit(limit: string, outcome: RateLimitOutcome): void;
  /** A bucket that was not full made room for another. */
  rateLimitEvicted(limit: string): void;
}

export type RateLimitOutcome = "ok" | "limited" | "refused";

/** For whoever explains: nothing happened. */
export const NO_FILTER_METRICS: FilterMetrics = {
  delayInjected() {}, abortInjected() {}, activeFaults() {}, faultOverflow() {}, corsOrigin() {}, rateLimit() {}, rateLimitEvicted() {},
};
