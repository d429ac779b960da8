import { beforeAll, describe, expect, it } from "vitest";
import { EdfSchedule, weighByLoad } from "../../src/cluster/edf-schedule.ts";
import { loadHash64 } from "../../src/cluster/hash64.ts";
import { createPicker } from "../../src/cluster/load-balancer.ts";
import { levelPicker, type Located } from "../../src/cluster/locality-picker.ts";
import type { Picker } from "../../src/cluster/picker.ts";
import { PriorityPicker } from "../../src/cluster/priority-picker.ts";
import type { LoadBalancerName } from "../../src/config/snapshot-cluster.ts";
import type { Random } from "../../src/core/random.ts";
import { type Build, candidates, distribution, FakeCandidate, loadBalancerContract, seededRandom } from "./load-balancer.ts";

const policy = (loadBalancer: LoadBalancerName): Build => (list, previous, random) => createPicker({ loadBalancer, nowMs: () => 0 }, list, previous, random);

for (const name of ["ROUND_ROBIN", "LEAST_REQUEST", "RANDOM", "PEAK_EWMA"] as const) loadBalancerContract(name, policy(name));

/** Without a hash of the request the balancers that hash draw, and with the hashes of many requests they spread. */
const hashing = (loadBalancer: "RING_HASH" | "MAGLEV", hashes: (random: Random) => bigint | null): Build => (list, previous, random) => {
  const hash = { key: { kind: "source-ip" }, minimumRingSize: 16, tableSize: 5_003 } as const;
  const picker = createPicker({ loadBalancer, hash, nowMs: () => 0 }, list, previous, random);
  return { pick: (draw) => picker.pick(draw, hashes(draw)) };
};

beforeAll(loadHash64);
for (const name of ["RING_HASH", "MAGLEV"] as const) loadBalancerContract(`${name} without a hash`, hashing(name, () => null));
loadBalancerContract("MAGLEV with random hashes", hashing("MAGLEV", (random) => (BigInt(Math.floor(random() * 2 ** 32)) << 32n) | BigInt(Math.floor(random() * 2 ** 32))));

loadBalancerContract("LEAST_REQUEST with unequal weights", (list, previous, random) =>
  new EdfSchedule(list, weighByLoad, previous instanceof EdfSchedule ? previous : null, random));

/** A candidate's own number decides where it is, so that it stays there when others come and go. */
const placeOf = ({ name }: FakeCandidate): string => `zone-${Number(name.replaceAll(/\D/g, "")) % 3}`;

/** Localities with shares by their size: as even as if there were none. */
loadBalancerContract("localities with shares", (list, previous, random) => {
  const placed = list as readonly (FakeCandidate & Located)[];
  for (const candidate of list) Object.assign(candidate, { locality: placeOf(candidate) });
  const weights = [...Map.groupBy(placed, placeOf)].map(([locality, members]) => ({ locality, weight: members.length }));
  const level = { priority: 0, load: 100, isPanicking: false, all: placed, usable: placed };
  return levelPicker({ loadBalancer: "LEAST_REQUEST", nowMs: () => 0 }, level, { weights }, previous as Picker<FakeCandidate & Located> | null, random);
});

/** Priorities whose loads are the shares of their candidates, in whole per cents. */
loadBalancerContract("priorities with loads", (list, _previous, random) => {
  const [first, ...rest] = list;
  if (first === undefined || rest.length === 0) return createPicker({ loadBalancer: "RANDOM", nowMs: () => 0 }, list, null, random);
  const half = Math.floor(list.length / 2);
  const load = Math.round((100 * half) / list.length);
  const share = (part: readonly FakeCandidate[], of: number) => ({ load: of, picker: createPicker({ loadBalancer: "RANDOM", nowMs: () => 0 }, part, null, random) });
  return new PriorityPicker([share(list.slice(0, half), load), share(list.slice(half), 100 - load)]);
});

describe("ROUND_ROBIN", () => {
  it("takes turns exactly", () => {
    const random = seededRandom(1);
    const picker = policy("ROUND_ROBIN")(candidates(3), null, random);
    const first = [picker.pick(random), picker.pick(random), picker.pick(random)];
    expect(new Set(first).size).toBe(3);
    for (let round = 0; round < 10; round++) {
      expect([picker.pick(random), picker.pick(random), picker.pick(random)]).toEqual(first);
    }
  });

  it("keeps its place when it is replaced", () => {
    const all = candidates(4);
    const random = seededRandom(2);
    const old = policy("ROUND_ROBIN")(all, null, random);
    const turn = Array.from({ length: 4 }, () => old.pick(random));
    old.pick(random);
    const next = policy("ROUND_ROBIN")(all, old, random);
    expect([next.pick(random), next.pick(random), next.pick(random)]).toEqual(turn.slice(1));
  });

  it("gives each its weight, spread out and not in bursts", () => {
    const random = seededRandom(3);
    const list = [new FakeCandidate("five", 5), new FakeCandidate("one", 1), new FakeCandidate("two", 2)];
    const picker = policy("ROUND_ROBIN")(list, null, random);
    expect(distribution(picker, 8_000, random)).toEqual(new Map([["five", 5_000], ["two", 2_000], ["one", 1_000]]));
    let run = 0;
    for (let round = 0; round < 80; round++) {
      run = picker.pick(random)?.name === "five" ? run + 1 : 0;
      expect(run).toBeLessThanOrEqual(4);
    }
  });
});

describe("LEAST_REQUEST", () => {
  it("never picks the busiest of equal weight while it can compare", () => {
    const list = candidates(3);
    (list[0] as FakeCandidate).activeRequests = 9;
    const counts = distribution(policy("LEAST_REQUEST")(list, null, seededRandom(1)), 3_000, seededRandom(2));
    expect(counts.has("endpoint-0")).toBe(false);
  });

  it("draws two distinct candidates: of two, always the less busy", () => {
    const list = candidates(2);
    (list[1] as FakeCandidate).activeRequests = 1;
    expect(distribution(policy("LEAST_REQUEST")(list, null, seededRandom(1)), 500, seededRandom(2))).toEqual(new Map([["endpoint-0", 500]]));
  });

  it("with unequal weights sends weight / (active + 1)", () => {
    const random = seededRandom(4);
    const list = [new FakeCandidate("heavy", 3), new FakeCandidate("light", 1)];
    expect(distribution(policy("LEAST_REQUEST")(list, null, random), 4_000, random)).toEqual(new Map([["heavy", 3_000], ["light", 1_000]]));
    (list[0] as FakeCandidate).activeRequests = 2;
    const counts = distribution(policy("LEAST_REQUEST")(list, null, random), 4_000, random);
    expect(Math.abs((counts.get("heavy") ?? 0) - 2_000)).toBeLessThan(5);
  });
});

describe("RANDOM", () => {
  it("ignores weights", () => {
    const random = seededRandom(5);
    const counts = distribution(policy("RANDOM")([new FakeCandidate("heavy", 100), new FakeCandidate("light", 1)], null, random), 20_000, random);
    expect(Math.abs((counts.get("light") ?? 0) - 10_000)).toBeLessThan(500);
  });
});
