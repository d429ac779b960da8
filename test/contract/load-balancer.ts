import { describe, expect, it } from "vitest";
import type { Random } from "../../src/core/random.ts";
import type { LatencyCandidate, PeakLatency } from "../../src/cluster/peak-ewma.ts";
import type { Picker } from "../../src/cluster/picker.ts";

/** A candidate of the contract: named, and its load is whatever the test sets. */
export class FakeCandidate implements LatencyCandidate {
  readonly name: string;
  weight: number;
  activeRequests = 0;
  latency: PeakLatency | null = null;

  constructor(name: string, weight = 1) {
    this.name = name;
    this.weight = weight;
  }

  get hashKey(): string {
    return this.name;
  }
}

/** Builds the picker under test. */
export type Build = (candidates: readonly FakeCandidate[], previous: Picker<FakeCandidate> | null, random: Random) => Picker<FakeCandidate>;

/** Mulberry32: the same numbers in every run. */
export function seededRandom(seed: number): Random {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export function candidates(count: number): FakeCandidate[] {
  return Array.from({ length: count }, (_, index) => new FakeCandidate(`endpoint-${index}`));
}

/** How often each candidate was picked in `rounds` picks, by name. */
export function distribution(picker: Picker<FakeCandidate>, rounds: number, random: Random): Map<string, number> {
  const counts = new Map<string, number>();
  for (let round = 0; round < rounds; round++) {
    const name = picker.pick(random)?.name ?? "none";
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
}

/** What every balancing policy must keep (`spec/04` 4.2). */
export function loadBalancerContract(name: string, build: Build): void {
  describe(`load balancer ${name}`, () => {
    it("picks nothing where there is nothing", () => {
      expect(build([], null, seededRandom(1)).pick(seededRandom(2))).toBeNull();
    });

    it("picks the only candidate every time", () => {
      const [only] = candidates(1);
      const picker = build([only as FakeCandidate], null, seededRandom(1));
      for (let round = 0; round < 5; round++) expect(picker.pick(seededRandom(round))).toBe(only);
    });

    it("picks only among its candidates, and in the end each of them", () => {
      const all = candidates(7);
      const counts = distribution(build(all, null, seededRandom(3)), 2_000, seededRandom(4));
      expect([...counts.keys()].toSorted()).toEqual(all.map((candidate) => candidate.name));
    });

    it("spreads evenly over candidates that are alike: none is 10 % off its share", () => {
      const counts = distribution(build(candidates(5), null, seededRandom(5)), 50_000, seededRandom(6));
      for (const count of counts.values()) expect(Math.abs(count - 10_000)).toBeLessThan(1_000);
    });

    it("does not favour one candidate over many proxies that start at once", () => {
      const all = candidates(4);
      const first = new Map<string, number>();
      for (let proxy = 0; proxy < 4_000; proxy++) {
        const random = seededRandom(proxy * 7_919);
        const picked = build(all, null, random).pick(random)?.name ?? "none";
        first.set(picked, (first.get(picked) ?? 0) + 1);
      }
      for (const count of first.values()) expect(Math.abs(count - 1_000)).toBeLessThan(150);
    });

    it("never picks one that is gone after it was replaced, and soon picks one that is new", () => {
      const [a, b, c] = candidates(3) as [FakeCandidate, FakeCandidate, FakeCandidate];
      const random = seededRandom(9);
      const old = build([a, b], null, random);
      distribution(old, 11, random);
      const counts = distribution(build([b, c], old, random), 200, random);
      expect(counts.has(a.name)).toBe(false);
      expect(counts.get(b.name)).toBeGreaterThan(60);
      expect(counts.get(c.name)).toBeGreaterThan(60);
    });

    it("stays even when it is rebuilt after every pick", () => {
      const all = candidates(4);
      const random = seededRandom(10);
      const counts = new Map<string, number>();
      let picker = build(all, null, random);
      for (let round = 0; round < 8_000; round++) {
        const picked = picker.pick(random)?.name ?? "none";
        counts.set(picked, (counts.get(picked) ?? 0) + 1);
        picker = build(all, picker, random);
      }
      for (const count of counts.values()) expect(Math.abs(count - 2_000)).toBeLessThan(250);
    });

    it("handles a thousand candidates", () => {
      const counts = distribution(build(candidates(1_000), null, seededRandom(11)), 100_000, seededRandom(12));
      expect(counts.size).toBe(1_000);
      expect(Math.max(...counts.values())).toBeLessThan(160);
    });
  });
}
