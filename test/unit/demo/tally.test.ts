import { describe, expect, it } from "vitest";

import type { Tally } from "../../../src/demo/caller.ts";
import { noneFailed, sumOf } from "../../../src/demo/reload-chapter.ts";
import { splitFinding } from "../../../src/demo/split-chapter.ts";

function tally(v1: number, v2: number, other: Readonly<Record<string, number>> = {}): Tally {
  const failed = Object.values(other).reduce((sum, count) => sum + count, 0);
  return { requests: v1 + v2 + failed, outcomes: { 200: v1 + v2, ...other }, versions: { v1, v2 }, certificates: {}, last: null };
}

describe("what a split has to be", () => {
  it.each([
    [900, 100, 0.1, true],
    [853, 147, 0.1, true],
    [852, 148, 0.1, false],
    [950, 50, 0.1, false],
    [500, 500, 0.1, false],
    [500, 500, 0.5, true],
    [421, 579, 0.5, true],
    [420, 580, 0.5, false],
    [900, 100, 0.5, false],
    [0, 0, 0.5, false],
  ])("%i to %i where v2 should get %d: %s", (v1, v2, share, holds) => {
    expect(splitFinding(tally(v1, v2), share).holds).toBe(holds);
  });

  it("does not hold when a request failed, and says how", () => {
    expect(splitFinding(tally(900, 99, { 503: 1 }), 0.1)).toEqual({ holds: false, seen: "v1 900, v2 99 of 1000; 999 × 200, 1 × 503" });
  });
});

describe("readings of a load", () => {
  it("are summed", () => {
    const one = { ...tally(2, 1), certificates: { aa: 3 } };
    const other = { ...tally(1, 0, { ECONNRESET: 1 }), certificates: { aa: 1, bb: 1 } };
    expect(sumOf([one, other])).toEqual({
      requests: 5, outcomes: { 200: 4, ECONNRESET: 1 }, versions: { v1: 3, v2: 1 }, certificates: { aa: 4, bb: 1 }, last: null,
    });
  });

  it("prove nothing when there are none, or one request failed", () => {
    expect(noneFailed([tally(2, 1), tally(1, 0)])).toEqual({ holds: true, seen: "4 requests, 0 failed" });
    expect(noneFailed([tally(2, 1), tally(1, 0, { 503: 2 })])).toEqual({ holds: false, seen: "6 requests, 4 × 200, 2 × 503" });
    expect(noneFailed([]).holds).toBe(false);
  });
});
