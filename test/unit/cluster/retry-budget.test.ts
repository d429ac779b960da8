import { describe, expect, it } from "vitest";
import { RetryBudget } from "../../../src/cluster/retry-budget.ts";
import { TrailingCount } from "../../../src/cluster/trailing-count.ts";
import type { RetryBudgetSpec } from "../../../src/config/snapshot-cluster.ts";

describe("TrailingCount", () => {
  it("counts what happened within its window, and forgets it a tenth at a time", () => {
    const count = new TrailingCount(10_000);
    count.add(500);
    count.add(1_500);
    count.add(1_600);
    expect([count.total(1_600), count.total(9_999), count.total(10_000), count.total(11_000)]).toEqual([3, 3, 2, 0]);
  });

  it("is empty after a long silence, and takes what is told late for new", () => {
    const count = new TrailingCount(1_000);
    count.add(0);
    count.add(1_000_000);
    expect(count.total(1_000_000)).toBe(1);
    count.add(3);
    expect(count.total(1_000_050)).toBe(2);
  });

  it("agrees with a list of all moments, to a tenth of the window", () => {
    const count = new TrailingCount(2_000);
    const moments: number[] = [];
    for (let now = 0; now < 20_000; now += 37) {
      moments.push(now);
      count.add(now);
      const slotStart = Math.floor(now / 200) * 200;
      expect(count.total(now)).toBe(moments.filter((at) => at >= slotStart - 1_800).length);
    }
  });
});

const rate = (percent: number, minPerSecond: number): RetryBudgetSpec => ({ kind: "rate", percent, minPerSecond });
const concurrency = (percent: number, minConcurrency: number, intervalMs = 0): RetryBudgetSpec => ({ kind: "concurrency", percent, minConcurrency, intervalMs });

/** Requests all of which fail and are to be retried twice, at a rate; how many retries were allowed. */
function storm(budget: RetryBudget, requests: number, everyMs: number): number {
  let retries = 0;
  for (let index = 0; index < requests; index++) {
    budget.requested(index * everyMs);
    for (let attempt = 0; attempt < 2; attempt++) if (budget.tryRetry(index * everyMs, true, 0, 0)) retries++;
  }
  return retries;
}

describe("a budget of retries by rate (users.md 0.1, 1.23; fault F34)", () => {
  it("is a fifth of the requests by default, however long everything fails", () => {
    expect(storm(new RetryBudget(undefined), 10_000, 10)).toBeGreaterThan(1_900);
    expect(storm(new RetryBudget(undefined), 10_000, 10)).toBeLessThanOrEqual(2_000);
    expect(storm(new RetryBudget(undefined), 1_000, 1)).toBeLessThanOrEqual(200);
  });

  it("is three a second at least, so that a seldom called service is retried", () => {
    const budget = new RetryBudget(undefined);
    let allowed = 0;
    for (let now = 0; now < 60_000; now += 1_000) {
      budget.requested(now);
      if (budget.tryRetry(now, true, 0, 0)) allowed++;
    }
    expect(allowed).toBe(60);
    // 30 in ten seconds, and no more.
    expect(Array.from({ length: 50 }, () => new RetryBudget(rate(20, 3))).filter((each) => each.tryRetry(0, true, 0, 0))).toHaveLength(50);
    const burst = new RetryBudget(rate(20, 3));
    expect(Array.from({ length: 50 }, () => burst.tryRetry(0, true, 0, 0)).filter(Boolean)).toHaveLength(30);
  });

  it("does not count what was not sent", () => {
    const budget = new RetryBudget(rate(0, 0));
    expect([budget.tryRetry(0, false, 9, 9), budget.tryRetry(0, true, 0, 0)]).toEqual([true, false]);
  });

  it("keeps its counts from one configuration to the next", () => {
    const budget = new RetryBudget(rate(10, 0));
    for (let index = 0; index < 100; index++) budget.requested(0);
    for (let index = 0; index < 10; index++) expect(budget.tryRetry(0, true, 0, 0)).toBe(true);
    budget.apply(rate(20, 0));
    expect(Array.from({ length: 20 }, () => budget.tryRetry(0, true, 0, 0)).filter(Boolean)).toHaveLength(10);
    budget.apply({ kind: "none" });
    expect(budget.tryRetry(0, true, 1e6, 0)).toBe(true);
    budget.apply(rate(0, 1));
    expect(Array.from({ length: 20 }, () => budget.tryRetry(0, true, 0, 0)).filter(Boolean)).toHaveLength(10);
  });
});

describe("a DestinationRule's retryBudget (spec/04 4.3)", () => {
  it.each([
    [20, 3, 2, 1, true], [20, 3, 3, 1, false], [20, 3, 3, 20, true], [20, 3, 4, 20, false], [20, 3, 3, 19, false], [100, 0, 4, 5, true], [0, 0, 0, 100, false],
  ])("%d %% and %d at least: with %d retries and %d requests under way another is %s", (percent, min, retries, requests, isAllowed) => {
    expect(new RetryBudget(concurrency(percent, min)).tryRetry(0, true, retries, requests)).toBe(isAllowed);
  });

  it("goes by the requests of its interval where it has one", () => {
    const budget = new RetryBudget(concurrency(10, 1, 5_000));
    for (let index = 0; index < 50; index++) budget.requested(1_000);
    expect([budget.tryRetry(1_000, true, 4, 0), budget.tryRetry(1_000, true, 5, 0)]).toEqual([true, false]);
    expect([budget.tryRetry(7_000, true, 0, 0), budget.tryRetry(7_000, true, 1, 1_000)]).toEqual([true, false]);
  });
});
