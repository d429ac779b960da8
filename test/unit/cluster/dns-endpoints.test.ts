import { beforeEach, describe, expect, it } from "vitest";

import { DnsEndpoints } from "../../../src/cluster/dns-endpoints.ts";
import { DnsNames } from "../../../src/cluster/dns-names.ts";
import type { EndpointSpec } from "../../../src/config/snapshot.ts";
import type { DnsSpec } from "../../../src/config/snapshot-cluster.ts";
import { TimerWheel } from "../../../src/core/timer-wheel.ts";
import type { LookupResult } from "../../../src/upstream/address-lookup.ts";

/* What a cluster of names is made of, and who waits for it (spec/04; Envoy's STRICT_DNS and LOGICAL_DNS). */

const STRICT: DnsSpec = { mode: "STRICT_DNS", family: "v4", refreshMs: 60_000 };
const LOGICAL: DnsSpec = { ...STRICT, mode: "LOGICAL_DNS" };
const spec = (address: string, weight = 1): EndpointSpec => ({
  address, port: 443, weight, isHealthy: true, isMeshTls: false,
  labels: { workload: "w", namespace: "n", canonicalService: "c", canonicalRevision: "r", app: "a", version: "v", cluster: "k" },
});

describe("endpoints that are names", () => {
  let nowMs = 0;
  let timers: TimerWheel;
  let names: DnsNames;
  let changes = 0;
  const pending = new Map<string, (result: LookupResult) => void>();

  beforeEach(() => {
    nowMs = 0;
    changes = 0;
    pending.clear();
    timers = new TimerWheel({ monotonicMs: () => nowMs, wallMs: () => nowMs }, { isDriven: true });
    names = new DnsNames({
      timers, random: () => 0, failed: () => {},
      lookup: (name) => new Promise((resolve) => {
        pending.set(name, resolve);
      }),
    });
  });

  const make = (dns: DnsSpec, ...specs: readonly EndpointSpec[]): DnsEndpoints => {
    const made = new DnsEndpoints(dns, names, timers, () => changes++);
    made.apply(dns, specs);
    return made;
  };
  const settle = async (name: string, result: LookupResult): Promise<void> => {
    pending.get(name)?.(result);
    for (let turn = 0; turn < 3; turn++) await Promise.resolve();
  };
  const answer = (name: string, ...addresses: readonly string[]): Promise<void> => settle(name, { kind: "found", addresses, ttlMs: 5_000 });
  const pass = (ms: number): void => {
    for (const end = nowMs + ms; nowMs < end;) {
      nowMs += 10;
      timers.advance();
    }
  };
  const addresses = (endpoints: DnsEndpoints): string[] => endpoints.endpoints.map(({ address }) => address);

  it("strict: every address is an endpoint like the name's; addresses written out are there at once", async () => {
    const endpoints = make(STRICT, spec("a.test", 3), spec("10.0.0.9"));
    expect([addresses(endpoints), endpoints.isAwaiting]).toEqual([["10.0.0.9"], false]);
    await answer("a.test", "10.0.0.2", "10.0.0.1");
    expect(endpoints.endpoints.map(({ address, weight }) => [address, weight])).toEqual([["10.0.0.1", 3], ["10.0.0.2", 3], ["10.0.0.9", 1]]);
  });

  it("another order is no change, and the list the same object", async () => {
    const endpoints = make(STRICT, spec("a.test"));
    await answer("a.test", "10.0.0.2", "10.0.0.1");
    const before = endpoints.endpoints;
    pass(5_100);
    await answer("a.test", "10.0.0.1", "10.0.0.2");
    expect(endpoints.endpoints).toBe(before);
    expect(changes).toBe(2);
  });

  it("logical: the name is the endpoint once it has an address, and the first address is dialled", async () => {
    const endpoints = make(LOGICAL, spec("a.test"));
    expect(addresses(endpoints)).toEqual([]);
    await answer("a.test", "10.0.0.2", "10.0.0.1");
    expect([addresses(endpoints), endpoints.addressOf("a.test")]).toEqual([["a.test"], "10.0.0.2"]);
    pass(5_100);
    await answer("a.test", "10.0.0.7");
    expect([addresses(endpoints), endpoints.addressOf("a.test")]).toEqual([["a.test"], "10.0.0.7"]);
    expect(make(STRICT, spec("a.test")).addressOf("a.test")).toBeNull();
  });

  it("a new spec keeps what is known of names that stay, and lets go of the others", async () => {
    const endpoints = make(STRICT, spec("a.test"), spec("b.test"));
    await answer("a.test", "10.0.0.1");
    await answer("b.test", "10.0.0.2");
    endpoints.apply(STRICT, [spec("a.test"), spec("c.test")]);
    expect(addresses(endpoints)).toEqual(["10.0.0.1"]);
    pending.clear();
    pass(6_000);
    expect([...pending.keys()]).toEqual(["a.test"]);
  });

  it("who comes before the first answer waits for it", async () => {
    const endpoints = make(STRICT, spec("a.test"));
    const told: string[] = [];
    expect(endpoints.wait(() => told.push("first"))).not.toBeNull();
    endpoints.wait(() => told.push("cancelled"))?.cancel();
    endpoints.wait(() => told.push("second"));
    await answer("a.test", "10.0.0.1");
    expect(told).toEqual(["first", "second"]);
    expect(endpoints.wait(() => told.push("late"))).toBeNull();
  });

  it("a lookup that fails ends the waiting, and the next request does not begin to", async () => {
    const endpoints = make(STRICT, spec("a.test"));
    let told = 0;
    endpoints.wait(() => told++);
    await settle("a.test", { kind: "failed", reason: "a.test: ESERVFAIL" });
    expect([told, endpoints.wait(() => told++), endpoints.problem]).toEqual([1, null, "a.test: ESERVFAIL"]);
  });

  it("nobody waits for longer than 5 s, nor twice; an answer that comes late still counts", async () => {
    const endpoints = make(STRICT, spec("a.test"));
    let told = 0;
    endpoints.wait(() => {
      told++;
      expect(endpoints.wait(() => told++)).toBeNull();
    });
    pass(4_900);
    expect(told).toBe(0);
    pass(200);
    expect(told).toBe(1);
    await answer("a.test", "10.0.0.1");
    expect(addresses(endpoints)).toEqual(["10.0.0.1"]);
  });

  it("no more than 1024 wait, and none once it is stopped", () => {
    const endpoints = make(STRICT, spec("a.test"));
    let told = 0;
    for (let index = 0; index < 1_024; index++) endpoints.wait(() => told++);
    expect(endpoints.wait(() => told++)).toBeNull();
    endpoints.stop();
    expect([told, timers.count, endpoints.wait(() => told++)]).toEqual([1_024, 0, null]);
  });
});
