import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { zoneOf, zoneWeights } from "../../../src/cluster/zone-weights.ts";

/* zoneAwareLbSetting, spec/04 4.6: Envoy's zone aware routing. */

const counts = (text: string): Map<string, number> => new Map(text.split(" ").map((each) => [each.slice(0, 1), Number(each.slice(1))]));
const weightsOf = (endpoints: string, callers: string, own: string, minClusterSize = 1): Record<string, number> | null => {
  const weights = zoneWeights(counts(endpoints), { own, callers: [...counts(callers)].map(([zone, count]) => ({ zone, count })), minClusterSize });
  return weights === null ? null : Object.fromEntries([...weights].map(([zone, weight]) => [zone, Math.round(weight / 100)]));
};

describe("shares of zones", () => {
  it.each<[string, string, string, Record<string, number> | null]>([
    // As many endpoints as callers in each zone, or more: nobody leaves it.
    ["a3 b3", "a5 b5", "a", { a: 100 }],
    ["a4 b2", "a5 b5", "a", { a: 100 }],
    // A third of the endpoints for half of the callers: two thirds stay, the rest goes where there is room.
    ["a2 b4", "a5 b5", "a", { a: 67, b: 33 }],
    ["a1 b1 c2", "a2 b1 c1", "a", { a: 50, b: 0, c: 50 }],
    // Nobody in the own zone.
    ["b3 c6", "a1 b1 c1", "a", { a: 0, b: 0, c: 100 }],
    ["b1 c1", "a1 b1", "a", { a: 0, b: 0, c: 100 }],
    // Zones make no difference where there is one, or where no caller is known.
    ["a6", "a1 b1", "a", null],
    ["a3 b3", "a2", "a", null],
    ["a3 b3", "b2 c1", "a", null],
  ])("endpoints %s, callers %s, from %s: %o", (endpoints, callers, own, weights) => {
    expect(weightsOf(endpoints, callers, own)).toEqual(weights);
  });

  it("make no difference to fewer endpoints than minClusterSize", () => {
    expect(weightsOf("a3 b2", "a1 b1", "a", 6)).toBeNull();
    expect(weightsOf("a3 b3", "a1 b1", "a", 6)).not.toBeNull();
  });

  it("zones are not looked into", () => {
    expect(["eu/a/1", "eu/a", "eu", ""].map(zoneOf)).toEqual(["eu/a", "eu/a", "eu", ""]);
  });

  it("every endpoint gets as much as any other, when all callers keep to them, and a zone's callers leave it only for lack of endpoints", () => {
    const zones = fc.array(fc.record({ endpoints: fc.integer({ min: 1, max: 30 }), callers: fc.integer({ min: 1, max: 30 }) }), { minLength: 2, maxLength: 5 });
    fc.assert(fc.property(zones, (each) => {
      const endpoints = new Map(each.map((zone, index) => [`z${index}`, zone.endpoints]));
      const callers = each.map((zone, index) => ({ zone: `z${index}`, count: zone.callers }));
      const allEndpoints = each.reduce((sum, zone) => sum + zone.endpoints, 0);
      const allCallers = each.reduce((sum, zone) => sum + zone.callers, 0);
      const got = new Map<string, number>();
      for (const { zone: own, count } of callers) {
        const weights = zoneWeights(endpoints, { own, callers, minClusterSize: 1 }) ?? new Map<string, number>();
        expect([...weights.values()].reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(10_000, 6);
        for (const [zone, weight] of weights) got.set(zone, (got.get(zone) ?? 0) + (weight * count) / allCallers);
        const fits = (endpoints.get(own) ?? 0) / allEndpoints >= count / allCallers;
        // Whole ten-thousandths: at the very edge a rounding decides.
        if (fits) expect(weights.get(own)).toBeGreaterThan(9_990 - 10_000 / count);
      }
      for (const [zone, count] of endpoints) expect(Math.abs((got.get(zone) ?? 0) - (10_000 * count) / allEndpoints)).toBeLessThan(40);
    }), { numRuns: 1_000 });
  });
});
