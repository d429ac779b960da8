import { describe, expect, it } from "vitest";
import type { OutlierSpec } from "../../../src/config/snapshot.ts";
import type { Endpoint } from "../../../src/cluster/endpoint.ts";
import { ProxyError } from "../../../src/message/proxy-error.ts";
import { clusterSpec, endpointSpec, FakeMesh, OUTLIERS } from "./fakes.ts";

const addresses = (count: number): string[] => Array.from({ length: count }, (_, index) => `10.0.0.${index + 1}`);

class Watched extends FakeMesh {
  constructor(count: number, changes: Partial<OutlierSpec> = {}) {
    super(clusterSpec(addresses(count), { outlierDetection: { ...OUTLIERS, ...changes } }));
    this.connectsAtOnce = true;
  }

  endpoint(index: number): Endpoint {
    return this.cluster.endpoints[index] as Endpoint;
  }

  report(index: number, ...statuses: number[]): void {
    for (const status of statuses) this.cluster.report(this.endpoint(index), status);
  }

  fail(index: number): void {
    this.report(index, 500, 500, 500, 500, 500);
  }

  get ejected(): number[] {
    return this.cluster.endpoints.flatMap((endpoint, index) => (endpoint.isEjected ? [index] : []));
  }

  /** The addresses that thirty picks come up with. */
  picked(): Set<string> {
    return new Set(Array.from({ length: 30 }, () => this.acquire().endpoint?.address ?? "none"));
  }
}

describe("ejection", () => {
  it("ejects at the fifth consecutive 5xx, at once, and picks it no more", () => {
    const mesh = new Watched(3);
    mesh.report(0, 500, 503, 500, 599);
    expect(mesh.ejected).toEqual([]);
    mesh.report(0, 500);
    expect(mesh.ejected).toEqual([0]);
    expect(mesh.picked()).toEqual(new Set(["10.0.0.2", "10.0.0.3"]));
  });

  it("says why, with the arithmetic", () => {
    const mesh = new Watched(3);
    mesh.fail(0);
    expect(mesh.events).toEqual([{
      kind: "ejected", cluster: mesh.cluster.spec.name, endpoint: "10.0.0.1:9080",
      reason: "5 consecutive 5xx; 1 of 3 ejected, 33 % <= 50 %; until 1970-01-01T00:00:31.000Z",
      cause: "consecutive_5xx", ejections: 1,
    }]);
  });

  it("starts counting anew after anything that is no 5xx", () => {
    const mesh = new Watched(3);
    mesh.report(0, 500, 500, 500, 500, 404, 500, 500, 500, 500);
    expect(mesh.ejected).toEqual([]);
  });

  it("counts gateway errors apart; a plain 500 starts them anew", () => {
    const mesh = new Watched(3, { consecutive5xx: 0, consecutiveGatewayErrors: 3 });
    mesh.report(0, 502, 503, 500, 504, 502);
    expect(mesh.ejected).toEqual([]);
    mesh.report(0, 503);
    expect(mesh.ejected).toEqual([0]);
    expect(mesh.events[0]?.reason).toMatch(/^3 consecutive gateway errors; /);
  });

  it("never for a threshold of 0, nor without a spec", () => {
    const off = new Watched(3, { consecutive5xx: 0 });
    for (let round = 0; round < 10; round++) off.fail(0);
    expect(off.ejected).toEqual([]);
    const none = new FakeMesh(clusterSpec(addresses(3)));
    for (let round = 0; round < 50; round++) none.cluster.report(none.cluster.endpoints[0] as Endpoint, 500);
    expect(none.cluster.endpoints[0]?.isEjected).toBe(false);
  });

  it("counts failed connects as 503 and connect time-outs as 504", () => {
    const mesh = new Watched(3, { consecutive5xx: 0, consecutiveGatewayErrors: 2 });
    mesh.connectsAtOnce = false;
    for (let round = 0; round < 6; round++) mesh.acquire();
    const toFirst = mesh.dials.filter((dial) => dial.target.address === "10.0.0.1");
    toFirst[0]?.fail("connect_timeout");
    toFirst[1]?.fail("connect_failure");
    expect(mesh.ejected).toEqual([0]);
  });

  it("counts resets of requests, but not what the downstream or we ourselves did", () => {
    const mesh = new Watched(3, { consecutive5xx: 1 });
    mesh.acquire().stream?.reset();
    const request = mesh.acquire();
    for (const code of ["downstream_disconnect", "overflow", "internal"] as const) request.lease?.reportReset(new ProxyError(code));
    expect(mesh.ejected).toEqual([]);
    mesh.acquire();
    mesh.clients.at(-1)?.close();
    expect(mesh.ejected.length).toBe(1);
  });

  it("apart from answers, failures to connect are a row only until a request has its connection (spec/04 4.5)", () => {
    const mesh = new Watched(1, { consecutive5xx: 1, consecutiveLocalOriginFailures: 2 });
    mesh.clusters.apply([{ ...mesh.cluster.spec, endpoints: [endpointSpec("10.0.0.1"), endpointSpec("10.0.0.2", { priority: 1 })] }]);
    const dial = (end: "fail" | "succeed"): void => {
      mesh.connectsAtOnce = false;
      mesh.acquire();
      if (end === "fail") mesh.dials.at(-1)?.fail();
      else mesh.dials.at(-1)?.succeed();
      mesh.clients.at(-1)?.close();
    };
    dial("fail");
    // A request that is cut counts as one, too; the connection it had came before it.
    dial("succeed");
    expect(mesh.endpoint(0).outlier.consecutiveLocalFailures).toBe(1);
    expect(mesh.ejected).toEqual([]);
    dial("fail");
    expect(mesh.ejected).toEqual([0]);
  });

  it("counts a request that timed out as 504", () => {
    const mesh = new Watched(3, { consecutive5xx: 0, consecutiveGatewayErrors: 1 });
    mesh.acquire().lease?.reportReset(new ProxyError("per_try_timeout"));
    expect(mesh.ejected.length).toBe(1);
  });
});

describe("how many may be ejected", () => {
  it("with the default 10 % and nine endpoints: none; with ten: one", () => {
    const nine = new Watched(9, { maxEjectionPercent: 10 });
    nine.fail(0);
    expect(nine.ejected).toEqual([]);
    expect(nine.count("ejectionOverflow")).toBe(1);
    expect(nine.events[0]?.reason).toBe("5 consecutive 5xx; 1 of 9 would be ejected, 11 % > 10 %");
    const ten = new Watched(10, { maxEjectionPercent: 10 });
    ten.fail(0);
    ten.fail(1);
    expect(ten.ejected).toEqual([0]);
  });

  it("compares whole percents: one of three is 33", () => {
    const mesh = new Watched(3, { maxEjectionPercent: 33 });
    mesh.fail(0);
    expect(mesh.ejected).toEqual([0]);
  });

  it("counts from zero after a refusal, and reports it at most every ten seconds", () => {
    const mesh = new Watched(3, { maxEjectionPercent: 40 });
    mesh.fail(0);
    mesh.fail(1);
    expect(mesh.endpoint(1).outlier.consecutive5xx).toBe(0);
    mesh.fail(1);
    expect(mesh.events.map((event) => event.kind)).toEqual(["ejected", "kept"]);
    expect(mesh.count("ejectionOverflow")).toBe(2);
  });

  it("never ejects the last healthy endpoint", () => {
    const mesh = new Watched(3, { maxEjectionPercent: 100 });
    for (let index = 0; index < 3; index++) mesh.fail(index);
    expect(mesh.ejected).toEqual([0, 1]);
    expect(mesh.events[2]?.reason).toBe("5 consecutive 5xx; it is the last healthy endpoint of 3");
    expect(mesh.picked()).toEqual(new Set(["10.0.0.3"]));
  });

  it("does not count an endpoint that its source calls unhealthy as a healthy one", () => {
    const mesh = new Watched(2, { maxEjectionPercent: 100 });
    mesh.clusters.apply([{ ...mesh.cluster.spec, endpoints: [endpointSpec("10.0.0.1"), endpointSpec("10.0.0.2", { isHealthy: false })] }]);
    mesh.fail(0);
    expect(mesh.ejected).toEqual([]);
  });
});

describe("restoration", () => {
  it("happens at the first sweep after the time is over, not before", () => {
    const mesh = new Watched(3);
    // Made by the first request.
    mesh.picked();
    mesh.time.pass(3_000);
    mesh.fail(0);
    // Ejected at 3 s for 30 s; sweeps are at 10, 20, 30 and 40 s after the cluster was made.
    mesh.time.pass(36_500);
    expect(mesh.ejected).toEqual([0]);
    mesh.time.pass(1_000);
    expect(mesh.ejected).toEqual([]);
    expect(mesh.events[1]).toMatchObject({ kind: "restored", reason: "ejection time is over; 0 of 3 ejected" });
    expect(mesh.picked().size).toBe(3);
  });

  it("clears the counters, so that it takes five errors again", () => {
    const mesh = new Watched(3);
    mesh.fail(0);
    mesh.report(0, 500, 500, 500, 500);
    mesh.time.pass(41_000);
    mesh.report(0, 500, 500, 500, 500);
    expect(mesh.ejected).toEqual([]);
    mesh.report(0, 500);
    expect(mesh.ejected).toEqual([0]);
  });

  it("takes twice as long the second time, and the multiplier falls with every quiet sweep", () => {
    const mesh = new Watched(3);
    mesh.fail(0);
    mesh.time.pass(30_500);
    expect(mesh.ejected).toEqual([]);
    mesh.fail(0);
    mesh.time.pass(55_000);
    expect(mesh.ejected).toEqual([0]);
    mesh.time.pass(15_000);
    expect(mesh.ejected).toEqual([]);
    expect(mesh.endpoint(0).outlier.ejections).toBeGreaterThan(0);
    mesh.time.pass(30_000);
    expect(mesh.endpoint(0).outlier.ejections).toBe(0);
    expect(mesh.time.timers.count).toBe(0);
  });

  it("never takes longer than five minutes, unless the base time does", () => {
    const mesh = new Watched(3);
    mesh.endpoint(0).outlier.ejections = 99;
    mesh.fail(0);
    mesh.time.pass(311_000);
    expect(mesh.ejected).toEqual([]);
    const long = new Watched(3, { baseEjectionMs: 400_000 });
    long.fail(0);
    long.time.pass(390_000);
    expect(long.ejected).toEqual([0]);
  });

  it("happens at once when detection is turned off", () => {
    const mesh = new Watched(3);
    mesh.fail(0);
    mesh.clusters.apply([{ ...mesh.cluster.spec, outlierDetection: null }]);
    expect(mesh.ejected).toEqual([]);
    expect(mesh.picked().size).toBe(3);
    expect(mesh.time.timers.count).toBe(0);
  });

  it("happens when the endpoints that were healthy leave", () => {
    const mesh = new Watched(2, { maxEjectionPercent: 100 });
    mesh.fail(0);
    mesh.clusters.apply([{ ...mesh.cluster.spec, endpoints: [endpointSpec("10.0.0.1")] }]);
    expect(mesh.acquire().endpoint?.address).toBe("10.0.0.1");
  });

  it("an ejection outlives a snapshot that keeps the endpoint, and no results of one that left count", () => {
    const mesh = new Watched(3);
    const gone = mesh.endpoint(2);
    mesh.fail(0);
    mesh.clusters.apply([{ ...mesh.cluster.spec, endpoints: addresses(2).map((address) => endpointSpec(address)) }]);
    expect(mesh.ejected).toEqual([0]);
    for (let round = 0; round < 9; round++) mesh.cluster.report(gone, 500);
    expect(gone.isEjected).toBe(false);
  });
});

describe("what other data threads find out", () => {
  /** Two threads with the same cluster; what happens in the first is told to the second. */
  const pair = (changes: Partial<OutlierSpec> = {}): { one: Watched; other: Watched; tell: () => void } => {
    const one = new Watched(3, changes);
    const other = new Watched(3, changes);
    return { one, other, tell: () => { for (const event of one.events.splice(0)) other.clusters.heardOutlier(event); } };
  };

  it("an endpoint that one of them ejects is ejected here, for as long, and not told of again", () => {
    const { one, other, tell } = pair();
    other.acquire();
    one.endpoint(0).outlier.ejections = 1;
    one.fail(0);
    tell();
    expect([other.ejected, other.endpoint(0).outlier.ejections, other.events, other.count("ejected")]).toEqual([[0], 2, [], 0]);
    expect(other.picked()).toEqual(new Set(["10.0.0.2", "10.0.0.3"]));
    other.time.pass(50_500);
    expect(other.ejected).toEqual([0]);
    other.time.pass(10_000);
    expect(other.ejected).toEqual([]);
  });

  it("within the rules of this one: its own share, its own last", () => {
    const { one, other, tell } = pair({ maxEjectionPercent: 34 });
    other.fail(1);
    one.fail(0);
    tell();
    expect(other.ejected).toEqual([1]);
    const last = pair({ maxEjectionPercent: 100 });
    for (const index of [0, 1]) last.other.fail(index);
    last.one.fail(2);
    last.tell();
    expect(last.other.ejected).toEqual([0, 1]);
  });

  it("one that a probe brings back is back here too; what was kept, is not known or is off changes nothing", () => {
    const { one, other, tell } = pair({ readmitsByProbe: true });
    one.fail(0);
    tell();
    one.endpoint(0).outlier.probe = "out";
    one.report(0, 200);
    tell();
    expect(other.ejected).toEqual([]);
    const event = { cluster: other.cluster.spec.name, reason: "", cause: "consecutive_5xx", ejections: 1 } as const;
    other.clusters.heardOutlier({ ...event, kind: "kept", endpoint: "10.0.0.1:9080" });
    other.clusters.heardOutlier({ ...event, kind: "ejected", endpoint: "10.9.9.9:9080" });
    other.clusters.heardOutlier({ ...event, kind: "ejected", endpoint: "10.0.0.1:9080", cluster: "unknown" });
    expect(other.ejected).toEqual([]);
    other.clusters.apply([{ ...other.cluster.spec, outlierDetection: null }]);
    other.clusters.heardOutlier({ ...event, kind: "ejected", endpoint: "10.0.0.1:9080" });
    expect(other.ejected).toEqual([]);
  });
});

describe("panic", () => {
  it("uses all endpoints when fewer than minHealthPercent are healthy", () => {
    const mesh = new Watched(4, { maxEjectionPercent: 100, minHealthPercent: 60 });
    mesh.fail(0);
    expect(mesh.picked().size).toBe(3);
    mesh.fail(1);
    expect(mesh.cluster.state().isPanicking).toBe(true);
    expect(mesh.picked().size).toBe(4);
    expect(mesh.count("panicPick")).toBe(30);
  });

  it("never without minHealthPercent: nothing healthy is nothing to pick", () => {
    const mesh = new Watched(2);
    mesh.clusters.apply([{ ...mesh.cluster.spec, endpoints: addresses(2).map((address) => endpointSpec(address, { isHealthy: false })) }]);
    const request = mesh.acquire();
    expect(request.error?.code).toBe("no_healthy_upstream");
    expect(request.error?.reason).toContain("2 endpoints, none of them healthy");
    expect(mesh.count("noneHealthy")).toBe(1);
  });
});
