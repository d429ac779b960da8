import { beforeEach, describe, expect, it } from "vitest";

import { DnsNames } from "../../../src/cluster/dns-names.ts";
import { TimerWheel } from "../../../src/core/timer-wheel.ts";
import type { LookupResult } from "../../../src/upstream/address-lookup.ts";

/* When names are looked up, and what is made of the answers, with time held still. */

const found = (ttlMs: number, ...addresses: readonly string[]): LookupResult => ({ kind: "found", addresses, ttlMs });
const NONE: LookupResult = { kind: "none", reason: "no such name" };
const FAILED: LookupResult = { kind: "failed", reason: "ESERVFAIL" };

describe("names", () => {
  let nowMs = 0;
  let timers: TimerWheel;
  let names: DnsNames;
  /** Lookups under way, each answered by hand. */
  let asked: { readonly name: string; readonly at: number; readonly answer: (result: LookupResult) => Promise<void> }[];
  let outcomes: string[];
  let failures: string[];

  beforeEach(() => {
    nowMs = 0;
    asked = [];
    outcomes = [];
    failures = [];
    timers = new TimerWheel({ monotonicMs: () => nowMs, wallMs: () => nowMs }, { isDriven: true });
    names = new DnsNames({
      timers,
      random: () => 0,
      lookup: (name) => new Promise((resolve) => {
        asked.push({ name, at: nowMs, answer: async (result) => {
          resolve(result);
          for (let turn = 0; turn < 3; turn++) await Promise.resolve();
        } });
      }),
      failed: (name, reason, keeps) => failures.push(`${name} ${reason} keeps ${keeps.join()}`),
    });
  });

  const pass = (ms: number): void => {
    for (const end = nowMs + ms; nowMs < end;) {
      nowMs += 10;
      timers.advance();
    }
  };
  const answer = (result: LookupResult): Promise<void> => (asked.at(-1) as (typeof asked)[number]).answer(result);
  const watch = (name = "a.test") => names.watch(name, "v4", 60_000, (outcome) => outcomes.push(outcome));

  it("is looked up once for all who watch it, and again when the answer runs out", async () => {
    const first = watch();
    const second = watch();
    expect(asked).toHaveLength(1);
    expect(first).toMatchObject({ addresses: null, isTried: false });
    await answer(found(30_000, "10.0.0.1"));
    expect([first.addresses, second.addresses, outcomes]).toEqual([["10.0.0.1"], ["10.0.0.1"], ["success", "success"]]);
    pass(29_900);
    expect(asked).toHaveLength(1);
    pass(200);
    expect(asked).toHaveLength(2);
  });

  it.each([[0, 5_000], [1_000, 5_000], [7_000, 7_000], [86_400_000, 3_600_000]])("B29: a time to live of %d ms counts for %d", async (ttlMs, usedMs) => {
    watch();
    await answer(found(ttlMs, "10.0.0.1"));
    pass(usedMs - 20);
    expect(asked).toHaveLength(1);
    pass(40);
    expect(asked).toHaveLength(2);
  });

  it("an equal answer leaves the same list", async () => {
    const watched = watch();
    await answer(found(5_000, "10.0.0.1", "10.0.0.2"));
    const before = watched.addresses;
    pass(5_100);
    await answer(found(5_000, "10.0.0.1", "10.0.0.2"));
    expect(watched.addresses).toBe(before);
  });

  it("failures keep the last good answer for ever, and are tried again after 1, 2, 4 s up to the refresh time", async () => {
    const watched = watch();
    await answer(found(5_000, "10.0.0.1"));
    pass(5_100);
    const waits: number[] = [];
    for (let failure = 0; failure < 9; failure++) {
      const before = asked.at(-1)?.at ?? 0;
      await answer(FAILED);
      const from = nowMs;
      while (asked.at(-1)?.at === before) pass(10);
      waits.push(Math.round((nowMs - from) / 1_000));
    }
    expect(waits).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60]);
    expect(watched.addresses).toEqual(["10.0.0.1"]);
    expect(failures[0]).toBe("a.test ESERVFAIL keeps 10.0.0.1");
    await answer(found(5_000, "10.0.0.2"));
    expect(watched).toMatchObject({ addresses: ["10.0.0.2"], problem: null });
  });

  it("is believed to be gone when that is said twice in a row", async () => {
    const watched = watch();
    await answer(found(5_000, "10.0.0.1"));
    pass(5_100);
    await answer(NONE);
    expect(watched).toMatchObject({ addresses: ["10.0.0.1"], problem: "no such name" });
    pass(1_100);
    await answer(FAILED);
    pass(2_100);
    await answer(NONE);
    expect(watched.addresses).toEqual(["10.0.0.1"]);
    pass(4_100);
    await answer(NONE);
    expect(watched.addresses).toEqual([]);
    expect(outcomes).toEqual(["success", "empty", "failure", "empty", "empty"]);
  });

  it("a name that never had an address has none at the first word", async () => {
    const watched = watch();
    await answer(NONE);
    expect(watched).toMatchObject({ addresses: [], isTried: true });
  });

  it("is not looked up any more once nobody watches it, whatever is still under way", async () => {
    const watched = watch();
    watched.stop();
    await answer(found(5_000, "10.0.0.1"));
    expect([outcomes, timers.count]).toEqual([[], 0]);
    const again = watch();
    expect(asked).toHaveLength(2);
    await answer(found(5_000, "10.0.0.2"));
    again.stop();
    expect(timers.count).toBe(0);
  });

  it("asks for 16 names at a time", async () => {
    for (let index = 0; index < 20; index++) watch(`${index}.test`);
    expect(asked).toHaveLength(16);
    await (asked[3] as (typeof asked)[number]).answer(NONE);
    expect(asked.map(({ name }) => name).slice(16)).toEqual(["16.test"]);
  });
});
