import { describe, expect, it } from "vitest";
import { PeakEwmaPicker, PeakLatency } from "../../../src/cluster/peak-ewma.ts";
import { candidates, distribution, type FakeCandidate, seededRandom } from "../../contract/load-balancer.ts";

/** Candidates with these latencies, observed at 0. */
function withLatencies(...latenciesMs: readonly number[]): FakeCandidate[] {
  return candidates(latenciesMs.length).map((candidate, index) => {
    candidate.latency = new PeakLatency();
    candidate.latency.observe(latenciesMs[index] as number, 0);
    return candidate;
  });
}

describe("the latency of an endpoint", () => {
  it("jumps to a peak at once, and comes down slowly", () => {
    const latency = new PeakLatency();
    latency.observe(10, 0);
    latency.observe(100, 10);
    expect(latency.at(10)).toBe(100);
    latency.observe(10, 20);
    expect(latency.at(20)).toBeGreaterThan(99);
    latency.observe(10, 10_020);
    expect(latency.at(10_020)).toBeCloseTo(10 + 90 / Math.E, 0);
  });

  it("is forgotten when nobody observes it", () => {
    const latency = new PeakLatency();
    latency.observe(100, 0);
    expect(latency.at(10_000)).toBeCloseTo(100 / Math.E);
    expect(latency.at(100_000)).toBeLessThan(0.01);
  });
});

describe("PEAK_EWMA", () => {
  it("takes the faster of two", () => {
    const picker = new PeakEwmaPicker(withLatencies(5, 50), () => 0);
    expect(distribution(picker, 100, seededRandom(1))).toEqual(new Map([["endpoint-0", 100]]));
  });

  it("counts what is under way: a fast one with ten times the requests is no better", () => {
    const list = withLatencies(5, 40);
    (list[0] as FakeCandidate).activeRequests = 9;
    expect(distribution(new PeakEwmaPicker(list, () => 0), 100, seededRandom(1))).toEqual(new Map([["endpoint-1", 100]]));
  });

  it("gives one of which nothing is known one request, and no second before it has answered", () => {
    const list = withLatencies(5, 5);
    const unknown = list[1] as FakeCandidate;
    unknown.latency = new PeakLatency();
    const picker = new PeakEwmaPicker(list, () => 0);
    expect(picker.pick(seededRandom(1))).toBe(unknown);
    unknown.activeRequests = 1;
    expect(picker.pick(seededRandom(1))).toBe(list[0]);
  });
});
