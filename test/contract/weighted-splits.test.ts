import { beforeAll, describe, expect, it } from "vitest";
import { loadHash64 } from "../../src/cluster/hash64.ts";
import { createPicker } from "../../src/cluster/load-balancer.ts";
import type { LoadBalancerName } from "../../src/config/snapshot-cluster.ts";
import { chooseCluster } from "../../src/router/route-match.ts";
import { compileYaml, listenerOf, REVIEWS, REVIEWS_SUBSETS, routesOf, targetsOf } from "../unit/config/compile/compile-yaml.ts";
import { FakeCandidate, seededRandom } from "./load-balancer.ts";

/*
 * Weights are shares (spec/03 3.3 and 3.12, spec/04 4.2): over 100 000 draws with a fixed seed Pearson's statistic stays below what
 * fair draws exceed once in ten thousand times.
 */

const DRAWS = 100_000;

/** How far counts are from what their weights promise; names that have none must not occur. */
function chiSquare(counts: ReadonlyMap<string, number>, weights: ReadonlyMap<string, number>): number {
  const total = [...weights.values()].reduce((sum, weight) => sum + weight, 0);
  expect([...counts.keys()].filter((name) => (weights.get(name) ?? 0) === 0)).toEqual([]);
  let statistic = 0;
  for (const [name, weight] of weights) {
    if (weight === 0) continue;
    const expected = (DRAWS * weight) / total;
    statistic += ((counts.get(name) ?? 0) - expected) ** 2 / expected;
  }
  return statistic;
}

/** What the statistic exceeds with a probability of 0.0001: Wilson and Hilferty's approximation of the distribution. */
function bound(weights: ReadonlyMap<string, number>): number {
  const freedom = [...weights.values()].filter((weight) => weight > 0).length - 1;
  const spread = 2 / (9 * freedom);
  return freedom * (1 - spread + 3.719 * Math.sqrt(spread)) ** 3;
}

function countOf(draw: () => string): Map<string, number> {
  const counts = new Map<string, number>();
  for (let round = 0; round < DRAWS; round++) {
    const name = draw();
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
}

const named = (weights: readonly number[]): Map<string, number> => new Map(weights.map((weight, index) => [`c${index}`, weight]));

describe("the cluster of a weighted route", () => {
  it.each([[[50, 50]], [[90, 10]], [[99, 1]], [[1, 2, 3, 4]], [[1, 0, 1]], [[7, 11, 13, 17, 19, 23]], [[0, 0, 5, 3]], [[1000, 1]], [Array.from({ length: 40 }, (_, index) => index + 1)]])("%j", (weights) => {
    const clusters = weights.map((weight, index) => ({ name: `c${index}`, weight })).filter(({ weight }) => weight > 0);
    const random = seededRandom(41);
    expect(chiSquare(countOf(() => chooseCluster(clusters, random).name), named(weights))).toBeLessThan(bound(named(weights)));
  });

  it("is judged by a test that sees a bias of one in a hundred", () => {
    const random = seededRandom(42);
    const counts = countOf(() => (random() < 0.51 ? "c0" : "c1"));
    expect(chiSquare(counts, named([50, 50]))).toBeGreaterThan(bound(named([50, 50])));
  });

  const split = (kind: "http" | "tcp", weights: string): string => `
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews, namespace: default }
spec: { hosts: [reviews], ${kind}: [{ route: [${weights}] }] }
`;
  const to = (subset: string, weight: number): string => `{ destination: { host: reviews, subset: ${subset} }, weight: ${weight} }`;
  const HOST = "reviews.default.svc.cluster.local";
  const expected = new Map([[`outbound|9080|v1|${HOST}`, 15], [`outbound|9080|v2|${HOST}`, 5]]);

  it("is drawn as the VirtualService says, for requests and for connections", () => {
    const world = REVIEWS + REVIEWS_SUBSETS;
    const route = routesOf(compileYaml(world + split("http", `${to("v1", 15)}, ${to("v2", 5)}`)).snapshot, "9080", `${HOST}:9080`)[0];
    expect(targetsOf(route)).toEqual([`outbound|9080|v1|${HOST}=15`, `outbound|9080|v2|${HOST}=5`]);
    const opaque = listenerOf(compileYaml(world.replaceAll("name: http, port", "name: tcp, port") + split("tcp", `${to("v1", 15)}, ${to("v2", 5)}`)).snapshot, "10.0.0.9_9080").tcp;
    for (const clusters of [route?.action.kind === "forward" ? route.action.clusters : [], opaque ?? []]) {
      const random = seededRandom(43);
      expect(chiSquare(countOf(() => chooseCluster(clusters, random).name), expected)).toBeLessThan(bound(expected));
    }
  });
});

describe("the endpoint of a cluster", () => {
  beforeAll(loadHash64);

  const draws = (loadBalancer: LoadBalancerName, weights: readonly number[], seed: number): Map<string, number> => {
    const list = weights.map((weight, index) => new FakeCandidate(`c${index}`, weight));
    const random = seededRandom(seed);
    const isHashed = loadBalancer === "RING_HASH" || loadBalancer === "MAGLEV";
    const hash = { key: { kind: "source-ip" }, minimumRingSize: 65_536, tableSize: 65_537 } as const;
    const picker = createPicker({ loadBalancer, ...(isHashed ? { hash } : {}), nowMs: () => 0 }, list, null, random);
    const hashOf = (): bigint => (BigInt(Math.floor(random() * 2 ** 32)) << 32n) | BigInt(Math.floor(random() * 2 ** 32));
    return countOf(() => picker.pick(random, isHashed ? hashOf() : null)?.name ?? "none");
  };

  it.each(["RANDOM", "LEAST_REQUEST", "PEAK_EWMA", "MAGLEV"] as const)("%s: each of seven that are alike as often as any other", (loadBalancer) => {
    const alike = [1, 1, 1, 1, 1, 1, 1];
    expect(chiSquare(draws(loadBalancer, alike, 51), named(alike))).toBeLessThan(bound(named(alike)));
  });

  it("RANDOM: whatever the weights are", () => {
    expect(chiSquare(draws("RANDOM", [1, 50, 100], 52), named([1, 1, 1]))).toBeLessThan(bound(named([1, 1, 1])));
  });

  it.each([["ROUND_ROBIN", [1, 1, 1]], ["ROUND_ROBIN", [5, 1, 2]], ["LEAST_REQUEST", [5, 1, 2]], ["LEAST_REQUEST", [90, 9, 1]]] as const)("%s %j: in turn, so that shares are exact", (loadBalancer, weights) => {
    const counts = draws(loadBalancer, weights, 53);
    const total = weights.reduce<number>((sum, weight) => sum + weight, 0);
    // The place to begin at is drawn.
    weights.forEach((weight, index) => expect(Math.abs((counts.get(`c${index}`) ?? 0) - (DRAWS * weight) / total)).toBeLessThanOrEqual(weight));
  });

  it.each([["MAGLEV", [5, 1, 2]], ["RING_HASH", [5, 1, 2]], ["RING_HASH", [1, 1, 1, 1]]] as const)("%s %j: random hashes find each by its share, within a twentieth", (loadBalancer, weights) => {
    const counts = draws(loadBalancer, weights, 54);
    const total = weights.reduce<number>((sum, weight) => sum + weight, 0);
    weights.forEach((weight, index) => expect(Math.abs(((counts.get(`c${index}`) ?? 0) * total) / (DRAWS * weight) - 1)).toBeLessThan(0.05));
  });
});
