import { describe, expect, it } from "vitest";
import type { Endpoint } from "../../../src/cluster/endpoint.ts";
import { EndpointSet } from "../../../src/cluster/endpoint-set.ts";
import { slowStartShare } from "../../../src/cluster/slow-start.ts";
import type { ClusterSpec } from "../../../src/config/snapshot.ts";
import { seededRandom } from "../../contract/load-balancer.ts";
import { ManualTime } from "../../integration/manual-time.ts";
import { clusterSpec, countingMetrics } from "./fakes.ts";

const WARMUP = { durationMs: 60_000, aggression: 1, minimumPercent: 10 };

describe("the share of an endpoint that starts slowly (spec/04 4.2)", () => {
  it.each([
    [0, 0.1], [1_000, 0.1], [6_000, 0.1], [15_000, 0.25], [30_000, 0.5], [59_400, 0.99], [60_000, 1], [90_000, 1],
  ])("after %d ms of a minute: %d", (elapsedMs, share) => {
    expect(slowStartShare(WARMUP, elapsedMs)).toBeCloseTo(share);
  });

  it("aggression bends the line, the minimum holds", () => {
    expect(slowStartShare({ ...WARMUP, aggression: 2 }, 15_000)).toBeCloseTo(0.5);
    expect(slowStartShare({ ...WARMUP, minimumPercent: 50 }, 15_000)).toBeCloseTo(0.5);
    expect(slowStartShare({ ...WARMUP, minimumPercent: 0 }, 0)).toBeCloseTo(1 / 60);
  });
});

describe.each(["ROUND_ROBIN", "LEAST_REQUEST"] as const)("an endpoint that joins a cluster, %s", (loadBalancer) => {
  function cluster(count: number): ClusterSpec {
    return clusterSpec(Array.from({ length: count }, (_, index) => `10.0.0.${index}`), { loadBalancer, warmup: WARMUP });
  }

  /** How many of 3000 picks go to the endpoint of that number. */
  function picksOf(set: EndpointSet, number: number): number {
    let picks = 0;
    for (let pick = 0; pick < 3_000; pick++) if ((set.pick(null, null) as Endpoint).address === `10.0.0.${number}`) picks++;
    return picks;
  }

  it("gets a tenth of its share at first, and all of it in the end", () => {
    const time = new ManualTime();
    const set = new EndpointSet({ clock: time, timers: time.timers, random: seededRandom(3) }, countingMetrics(new Map()));
    set.apply(cluster(2));
    time.pass(120_000);
    set.apply(cluster(3));
    expect(picksOf(set, 2)).toBeGreaterThan(100);
    expect(picksOf(set, 2)).toBeLessThan(180);
    time.pass(30_000);
    expect(picksOf(set, 2)).toBeGreaterThan(520);
    expect(picksOf(set, 2)).toBeLessThan(680);
    time.pass(40_000);
    expect(picksOf(set, 2)).toBeGreaterThan(900);
    expect(set.endpoints.every(({ slowStart }) => slowStart === null)).toBe(true);
  });

  it("where all are new, none is slower than another", () => {
    const time = new ManualTime();
    const set = new EndpointSet({ clock: time, timers: time.timers, random: seededRandom(3) }, countingMetrics(new Map()));
    set.apply(cluster(3));
    for (const number of [0, 1, 2]) expect(Math.abs(picksOf(set, number) - 1_000)).toBeLessThan(120);
  });
});
