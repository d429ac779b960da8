import type { Random } from "./random.ts";

/**
 * Milliseconds to wait before retry `retryNumber` (1 for the first): a whole number drawn uniformly from
 * `[0, min(base * 2^(retryNumber - 1), max))` (full jitter, `spec/03` 3.6). 0 when either bound is 0.
 */
export function backOffMs(retryNumber: number, baseMs: number, maxMs: number, random: Random): number {
  const boundMs = Math.min(baseMs * 2 ** (Math.max(retryNumber, 1) - 1), maxMs);
  return boundMs > 0 ? Math.floor(random() * boundMs) : 0;
}
