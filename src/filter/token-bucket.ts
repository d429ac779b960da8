import type { TokenBucketSpec } from "../config/snapshot-route.ts";

const NS_PER_MS = 1_000_000;
/** Times are counted in doubles, whose steps are 2 ns once a host has run for 104 days: a token takes longer to come in. */
const MIN_TOKEN_NS = 16;
/** A bucket that takes longer than a century to be full would be full beyond what the memory holds. */
const MAX_BURST_NS = 4e18;

/**
 * The arithmetic of one kind of token bucket. The state of a bucket is a single number, the time in nanoseconds at which it
 * will be full again (the theoretical arrival time of ITU-T I.371's generic cell rate algorithm): tokens come in evenly, a
 * bucket never used and one that is full are the same, and a token is taken by one compare-and-exchange. Over any
 * stretch of time no more are taken than the bucket holds and is refilled with meanwhile.
 */
export class TokenBucket {
  readonly spec: TokenBucketSpec;
  /** How long one token takes to come in; rounded up, so that rounding never adds tokens. */
  readonly #perTokenNs: number;
  /** How long an empty bucket takes to be full. */
  readonly #burstNs: number;

  constructor(spec: TokenBucketSpec) {
    this.spec = spec;
    this.#perTokenNs = Math.max(MIN_TOKEN_NS, Math.ceil((spec.fillIntervalMs * NS_PER_MS) / spec.tokensPerFill));
    this.#burstNs = Math.min(MAX_BURST_NS, this.#perTokenNs * spec.maxTokens);
  }

  /** Takes a token of the bucket in `cells[at]`, if there is one. Threads may do so at the same time. */
  take(cells: BigInt64Array, at: number, nowNs: number): boolean {
    let known = Atomics.load(cells, at);
    for (;;) {
      const next = Math.max(Number(known), nowNs) + this.#perTokenNs;
      if (next - nowNs > this.#burstNs) return false;
      const found = Atomics.compareExchange(cells, at, known, BigInt(next));
      if (found === known) return true;
      known = found;
    }
  }

  /** Whole tokens in the bucket that will be full at `fullAtNs`. */
  remaining(fullAtNs: number, nowNs: number): number {
    return Math.max(0, Math.floor((this.#burstNs - Math.max(0, fullAtNs - nowNs)) / this.#perTokenNs));
  }

  /** How long until there is a token, 0 where there is one. */
  waitNs(fullAtNs: number, nowNs: number): number {
    return Math.max(0, fullAtNs + this.#perTokenNs - this.#burstNs - nowNs);
  }

  /** Tokens that come in each second. */
  get perSecond(): number {
    return 1e9 / this.#perTokenNs;
  }
}
