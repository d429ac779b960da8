import { describe, expect, it } from "vitest";
import type { FaultSpec } from "../../../src/config/snapshot-route.ts";
import { drawnChance } from "../../../src/filter/chance.ts";
import { FaultFilter } from "../../../src/filter/fault-filter.ts";
import type { FilterRequest } from "../../../src/filter/filter-chain.ts";
import { NO_FILTER_METRICS } from "../../../src/filter/filter-metrics.ts";
import { ManualTime } from "../cluster/fakes.ts";
import { requestOf } from "./limited-request.ts";

const MATCH = { uri: null, method: null, authority: null, scheme: null, headers: [], withoutHeaders: [], queryParams: [] };
const DELAY: FaultSpec = { delay: { durationMs: 1000, perMillion: 1_000_000 }, abort: null };

/** A gate with what it counts; of each request what ends its wait. */
class Bench {
  readonly time = new ManualTime();
  readonly counts = { delays: 0, aborts: 0, active: 0, overflow: 0 };
  readonly gate: FaultFilter;
  readonly abandon: (() => void)[] = [];

  constructor(random = 0) {
    const { counts } = this;
    this.gate = new FaultFilter({
      timers: this.time.timers, chance: drawnChance(() => random),
      metrics: {
        ...NO_FILTER_METRICS, delayInjected: () => counts.delays++, abortInjected: () => counts.aborts++,
        activeFaults: (change) => (counts.active += change), faultOverflow: () => counts.overflow++,
      },
    });
  }

  request(fault: FaultSpec): FilterRequest {
    const action = { kind: "direct-response", status: 200, body: "", clusterName: null } as const;
    return { ...requestOf(), route: { name: "", match: MATCH, action, provenance: null, fault }, onAbandoned: (cancel) => this.abandon.push(cancel) };
  }
}

describe("the fault gate (spec/03 3.8)", () => {
  it("has nothing to say without a route, or without a fault", () => {
    const { gate } = new Bench();
    expect(gate.check(requestOf())).toBeUndefined();
  });

  it("waits as long as it says, once for each request", async () => {
    const bench = new Bench();
    let done = 0;
    const waits = [bench.gate.check(bench.request(DELAY)), bench.gate.check(bench.request(DELAY))].map((wait) => Promise.resolve(wait).then(() => done++));
    expect([bench.counts, bench.time.timers.count]).toEqual([{ delays: 2, aborts: 0, active: 2, overflow: 0 }, 2]);
    bench.time.pass(990);
    await new Promise(setImmediate);
    expect(done).toBe(0);
    bench.time.pass(20);
    await Promise.all(waits);
    expect([done, bench.counts.active]).toEqual([2, 0]);
    // It is over: whoever goes away now ends no wait.
    bench.abandon[0]?.();
    expect(bench.counts.active).toBe(0);
  });

  it("gives up a wait that nobody waits for, once", () => {
    const bench = new Bench();
    void bench.gate.check(bench.request(DELAY));
    bench.abandon[0]?.();
    bench.abandon[0]?.();
    expect([bench.counts.active, bench.time.timers.count]).toEqual([0, 0]);
  });

  it("delays so many and no more; the others are let through, or aborted, at once", () => {
    const bench = new Bench();
    for (let request = 0; request < 4096; request++) expect(bench.gate.check(bench.request(DELAY))).toBeInstanceOf(Promise);
    expect(bench.gate.check(bench.request(DELAY))).toBeUndefined();
    expect(bench.gate.check(bench.request({ ...DELAY, abort: { httpStatus: 500, grpcStatus: null, perMillion: 1_000_000 } }))).toMatchObject({ status: 500, flag: "FI" });
    expect([bench.counts.overflow, bench.counts.active]).toEqual([2, 4096]);
    bench.abandon[0]?.();
    expect(bench.gate.check(bench.request(DELAY))).toBeInstanceOf(Promise);
  });

  it.each([
    [0, 0, false], [1, 0, true], [1, 0.000_001, false], [500_000, 0.499_999, true], [500_000, 0.5, false], [1_000_000, 0.999_999, true],
  ])("happens in %i of a million cases: drawn %d", (perMillion, random, happens) => {
    const { gate, request } = { gate: new Bench(random).gate, request: new Bench().request({ delay: null, abort: { httpStatus: 500, grpcStatus: null, perMillion } }) };
    expect(gate.check(request) !== undefined).toBe(happens);
  });

  it.each([204, 304])("says nothing in an answer of %i, which has no content", (httpStatus) => {
    const bench = new Bench();
    expect(bench.gate.check(bench.request({ delay: null, abort: { httpStatus, grpcStatus: null, perMillion: 1_000_000 } }))).toMatchObject({ status: httpStatus, body: "" });
  });
});
