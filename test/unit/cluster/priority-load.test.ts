import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type PriorityHealth, type PriorityLoad, priorityLoads } from "../../../src/cluster/priority-load.ts";

/* spec/04 4.6 "Priority load" and 4.5 "Health and panic": how requests are shared among priorities. */

/** `healthy/total` of each priority. */
const healthOf = (text: string): PriorityHealth[] => text.split(" ").map((each) => {
  const [healthy, total] = each.split("/").map(Number);
  return { healthy: healthy as number, total: total as number };
});
/** Loads, those of priorities in a panic with a `!`. */
const written = (loads: readonly PriorityLoad[]): string => loads.map(({ load, isPanicking }) => `${load}${isPanicking ? "!" : ""}`).join(" ");

describe("loads of priorities (spec/04 4.6)", () => {
  it.each([
    ["10/10", 0, "100"],
    ["1/2", 0, "100"],
    ["5/10 10/10", 0, "70 30"],
    ["3/4 4/4", 0, "100 0"],
    ["5/7 7/7", 0, "100 0"],
    ["71/100 1/1", 0, "99 1"],
    ["0/3 3/3", 0, "0 100"],
    ["0/3 0/3 1/1", 0, "0 0 100"],
    ["1/4 1/4 4/4", 0, "35 35 30"],
    // 35 and 35 are half of what is needed: both are scaled up alike.
    ["1/4 1/4", 0, "50 50"],
    ["1/10 2/10 1/10", 0, "25 50 25"],
    // 14 and 28 of 42: 33.3 and 66.6; what rounding leaves is the first one's.
    ["1/10 2/10", 0, "34 66"],
    ["0/10 1/10 2/10", 0, "0 34 66"],
    ["0/5", 0, "100"],
    ["0/5 0/5", 0, "100 0"],
  ])("%s without a panic threshold: %s %s", (text, panicPercent, loads) => {
    expect(written(priorityLoads(healthOf(text), panicPercent))).toBe(loads);
  });

  it.each([
    ["2/4", 50, "100"],
    ["1/4", 50, "100!"],
    ["0/4", 1, "100!"],
    // Three of four take everything (140 %): nobody panics, whatever the threshold.
    ["3/4", 90, "100"],
    ["2/3", 70, "100!"],
    ["0/4 4/4", 50, "0 100"],
    ["1/10 4/4", 50, "14 86"],
    ["1/10 3/10", 20, "25! 75"],
    // All of them panic: shares by their number of endpoints.
    ["1/10 0/5", 50, "67! 33!"],
    ["0/1 0/2", 50, "34! 66!"],
  ])("%s with a threshold of %s %%: %s", (text, panicPercent, loads) => {
    expect(written(priorityLoads(healthOf(text), panicPercent))).toBe(loads);
  });

  it("an empty cluster: the first priority has everything, and nobody in it", () => {
    expect(written(priorityLoads([{ healthy: 0, total: 0 }], 0))).toBe("100");
    expect(written(priorityLoads([{ healthy: 0, total: 0 }], 50))).toBe("100!");
    expect(priorityLoads([], 50)).toEqual([]);
  });
});

/**
 * Written from the page, one request of a hundred at a time: each goes to the first priority that still has room; when all
 * are full before the hundredth, room is made by scaling every priority's up.
 */
function reference(priorities: readonly PriorityHealth[]): number[] {
  const room = priorities.map(({ healthy, total }) => {
    let whole = 0;
    while (whole < 100 && (whole + 1) * total <= healthy * 140) whole++;
    return whole;
  });
  const all = Math.min(100, room.reduce((sum, each) => sum + each, 0));
  const scaled = room.map((each) => {
    let whole = 0;
    while ((whole + 1) * all <= each * 100) whole++;
    return whole;
  });
  const loads = priorities.map(() => 0);
  for (let request = 0; request < 100; request++) {
    const free = loads.findIndex((load, index) => load < (scaled[index] as number));
    const at = free >= 0 ? free : Math.max(0, room.findIndex((each) => each > 0));
    loads[at] = (loads[at] as number) + 1;
  }
  return loads;
}

const priority = fc.integer({ min: 1, max: 40 }).chain((total) => fc.integer({ min: 0, max: total }).map((healthy) => ({ healthy, total })));

describe("properties of the loads", () => {
  it("are those of the page, request for request, where nobody panics and somebody is healthy", () => {
    fc.assert(fc.property(fc.array(priority, { minLength: 1, maxLength: 6 }), (priorities) => {
      fc.pre(priorities.some(({ healthy }) => healthy > 0));
      expect(priorityLoads(priorities, 0).map(({ load }) => load)).toEqual(reference(priorities));
    }), { numRuns: 2_000 });
  });

  it("always add up to 100, and never go where nobody would be picked unless nobody is anywhere", () => {
    fc.assert(fc.property(fc.array(priority, { minLength: 1, maxLength: 6 }), fc.integer({ min: 0, max: 100 }), (priorities, panicPercent) => {
      const loads = priorityLoads(priorities, panicPercent);
      expect(loads.reduce((sum, { load }) => sum + load, 0)).toBe(100);
      const isDead = priorities.every(({ healthy }) => healthy === 0);
      for (const [index, { load, isPanicking }] of loads.entries()) {
        if (!isDead && !isPanicking && priorities[index]?.healthy === 0) expect(load).toBe(0);
      }
    }), { numRuns: 2_000 });
  });

  it("a panic is a share of healthy endpoints below the threshold, while the cluster cannot take everything", () => {
    fc.assert(fc.property(fc.array(priority, { minLength: 1, maxLength: 4 }), fc.integer({ min: 0, max: 100 }), (priorities, panicPercent) => {
      const canTakeAll = priorities.reduce((sum, { healthy, total }) => sum + Math.min(100, Math.floor((healthy * 140) / total)), 0) >= 100;
      for (const [index, { isPanicking }] of priorityLoads(priorities, panicPercent).entries()) {
        const { healthy, total } = priorities[index] as PriorityHealth;
        expect(isPanicking).toBe(!canTakeAll && healthy / total < panicPercent / 100);
      }
    }), { numRuns: 2_000 });
  });
});
