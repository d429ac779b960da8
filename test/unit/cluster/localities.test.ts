import { beforeAll, describe, expect, it } from "vitest";
import { Endpoint } from "../../../src/cluster/endpoint.ts";
import { EndpointSet } from "../../../src/cluster/endpoint-set.ts";
import { loadHash64 } from "../../../src/cluster/hash64.ts";
import type { ClusterSpec, EndpointSpec } from "../../../src/config/snapshot.ts";
import { seededRandom } from "../../contract/load-balancer.ts";
import { clusterSpec, countingMetrics, endpointSpec, ManualTime, OUTLIERS } from "./fakes.ts";

/* Picks by priority and locality: spec/04 4.6. */

beforeAll(loadHash64);

/** `eu:0 eu:0! us:1`: a locality and a priority for each endpoint, `!` for one that is not ready. */
function endpointsOf(text: string): EndpointSpec[] {
  return text.split(" ").map((each, index) => {
    const [, locality, priority, unready] = /^([a-z]*):(\d)(!?)$/.exec(each) ?? [];
    return endpointSpec(`10.0.0.${index + 1}`, { locality: locality as string, priority: Number(priority), isHealthy: unready === "" });
  });
}

class Subject {
  readonly counts = new Map<string, number>();
  readonly set: EndpointSet;
  readonly #spec: Partial<ClusterSpec>;

  constructor(text: string, spec: Partial<ClusterSpec> = {}) {
    const time = new ManualTime();
    this.#spec = { loadBalancer: "LEAST_REQUEST", ...spec };
    this.set = new EndpointSet({ clock: time, timers: time.timers, random: seededRandom(7) }, countingMetrics(this.counts));
    this.use(text);
  }

  use(text: string): void {
    this.set.apply(clusterSpec([], { ...this.#spec, endpoints: endpointsOf(text) }));
  }

  /** Picks of each locality, in per cent; `none` for those that came to nothing. */
  shares(count = 20_000, hash: (index: number) => bigint | null = () => null): Record<string, number> {
    const found = new Map<string, number>();
    for (let index = 0; index < count; index++) {
      const place = this.set.pick(null, hash(index))?.locality ?? "none";
      found.set(place, (found.get(place) ?? 0) + 1);
    }
    return Object.fromEntries([...found].map(([place, picks]) => [place, Math.round((picks * 100) / count)]));
  }
}

const weights = (shares: Record<string, number>): Pick<ClusterSpec, "locality"> => ({ locality: { weights: Object.entries(shares).map(([locality, weight]) => ({ locality, weight })) } });
const hashed = (index: number): bigint => BigInt(index) * 0x9e3779b97f4a7c15n & 0xffffffffffffffffn;

describe("priorities", () => {
  it.each([
    ["eu:0 eu:0 us:1", { eu: 100 }],
    ["eu:0 eu:0! us:1", { eu: 70, us: 30 }],
    ["eu:0! eu:0! us:1", { us: 100 }],
    ["eu:0! us:1! ap:2", { ap: 100 }],
    ["eu:0! us:1!", { none: 100 }],
  ])("%s", (text, shares) => {
    const found = new Subject(text).shares();
    for (const [place, share] of Object.entries(shares)) expect(Math.abs((found[place] ?? 0) - share)).toBeLessThanOrEqual(1);
    expect(Object.keys(found).toSorted()).toEqual(Object.keys(shares).toSorted());
  });

  it("follow the health: an ejection spills, its end brings everything back", () => {
    const subject = new Subject("eu:0 eu:0 us:1");
    const [first] = subject.set.endpoints as [Endpoint];
    first.outlier.ejectedAtMs = 0;
    subject.set.healthChanged();
    expect(subject.shares().us).toBeGreaterThan(27);
    first.outlier.restore();
    subject.set.healthChanged();
    expect(subject.shares()).toEqual({ eu: 100 });
  });

  it("a request with a hash stays where it is, whatever is drawn", () => {
    const spec: Partial<ClusterSpec> = { loadBalancer: "RING_HASH", hash: { key: { kind: "source-ip" }, minimumRingSize: 1024, tableSize: 65_537 } };
    const subject = new Subject("eu:0 eu:0! us:1 us:1", spec);
    const found = subject.shares(20_000, hashed);
    expect(Math.abs((found["eu"] ?? 0) - 70)).toBeLessThanOrEqual(2);
    for (let index = 0; index < 50; index++) expect(subject.set.pick(null, hashed(index))).toBe(subject.set.pick(null, hashed(index)));
  });

  it("a retry goes on to the next priority when all of the first have failed it", () => {
    const subject = new Subject("eu:0 us:1 ap:2");
    const [eu, us] = subject.set.endpoints as [Endpoint, Endpoint];
    // The first is healthy, so that it has every first attempt.
    expect(subject.set.pick(new Set([eu]), null)?.locality).toBe("us");
    expect(subject.set.pick(new Set([eu, us]), null)?.locality).toBe("ap");
    expect(subject.set.pick(new Set(subject.set.endpoints), null)).toBe(eu);
  });

  it("panic in each by itself: of a panicking priority all are used, and it is counted", () => {
    const subject = new Subject("eu:0! eu:0! eu:0 us:1 us:1! us:1!", { outlierDetection: { ...OUTLIERS, minHealthPercent: 50 } });
    expect(subject.set.isPanicking).toBe(true);
    const used = new Set(Array.from({ length: 200 }, () => subject.set.pick(null, null)?.name));
    expect(used.size).toBe(6);
    expect(subject.counts.get("panicPick")).toBe(200);
  });

  it("none panics while another one takes what it cannot", () => {
    const subject = new Subject("eu:0! eu:0! eu:0! us:1 us:1", { outlierDetection: { ...OUTLIERS, minHealthPercent: 50 } });
    expect([subject.set.isPanicking, subject.shares()]).toEqual([false, { us: 100 }]);
  });

  it("what has left is not picked, and the new are", () => {
    const subject = new Subject("eu:0 us:1");
    subject.use("ap:0");
    expect(subject.shares(10)).toEqual({ ap: 100 });
  });
});

describe("locality weights", () => {
  it.each(["ROUND_ROBIN", "LEAST_REQUEST", "RANDOM", "PEAK_EWMA"] as const)("%s: shares as they are written, however many endpoints", (loadBalancer) => {
    const found = new Subject("eu:0 us:0 us:0 us:0", { loadBalancer, ...weights({ eu: 80, us: 20 }) }).shares();
    expect([found["eu"], found["us"]]).toEqual([80, 20]);
  });

  it.each(["RING_HASH", "MAGLEV"] as const)("%s: hashes are shared in the same way, and what has no hash", (loadBalancer) => {
    const hash = { key: { kind: "source-ip" } as const, minimumRingSize: 4096, tableSize: 65_537 };
    const subject = new Subject("eu:0 us:0 us:0 us:0", { loadBalancer, hash, ...weights({ eu: 80, us: 20 }) });
    for (const found of [subject.shares(20_000, hashed), subject.shares()]) expect(Math.abs((found["eu"] ?? 0) - 80)).toBeLessThanOrEqual(4);
  });

  it("a place that is not named, or has weight 0, gets nothing", () => {
    expect(new Subject("eu:0 us:0 ap:0", weights({ eu: 100, us: 0 })).shares()).toEqual({ eu: 100 });
  });

  it("a place keeps its weight until less than 1/1.4 of it is healthy, then it shrinks", () => {
    expect(new Subject("eu:0 eu:0 eu:0 eu:0! us:0", weights({ eu: 50, us: 50 })).shares()).toEqual({ eu: 50, us: 50 });
    // 1.4 * 1/2 = 0.7 of 50, against 50: 41 to 59.
    expect(new Subject("eu:0 eu:0! us:0", weights({ eu: 50, us: 50 })).shares()).toEqual({ eu: 41, us: 59 });
    expect(new Subject("eu:0! us:0", weights({ eu: 50, us: 50 })).shares()).toEqual({ us: 100 });
    expect(new Subject("eu:0!", weights({ eu: 50 })).shares(5)).toEqual({ none: 100 });
  });

  it("a place goes on where it stood when the health of another changes", () => {
    const subject = new Subject("eu:0 eu:0 us:0", { loadBalancer: "ROUND_ROBIN", ...weights({ eu: 100, us: 1 }) });
    const names: (string | undefined)[] = [];
    for (let round = 0; round < 40; round++) {
      names.push(subject.set.pick(null, null)?.name);
      subject.set.healthChanged();
    }
    const ofEurope = names.filter((name) => name !== "10.0.0.3:9080");
    for (let index = 1; index < ofEurope.length; index++) expect(ofEurope[index]).not.toBe(ofEurope[index - 1]);
  });
});

describe("zone awareness", () => {
  const zoneAware = { own: "eu", callers: [{ zone: "eu", count: 2 }, { zone: "us", count: 2 }], minClusterSize: 3 };

  it("stays in the zone, but for what is too much for it", () => {
    expect(new Subject("eu:0 eu:0 us:0 us:0", { locality: { zoneAware } }).shares()).toEqual({ eu: 100 });
    expect(new Subject("eu:0 us:0 us:0 us:0", { locality: { zoneAware } }).shares()).toEqual({ eu: 50, us: 50 });
  });

  it("follows the health of each zone", () => {
    const subject = new Subject("eu:0 eu:0! us:0 us:0 us:0", { locality: { zoneAware } });
    expect(subject.shares()).toEqual({ eu: 50, us: 50 });
    subject.use("eu:0! eu:0! us:0 us:0 us:0");
    expect(subject.shares()).toEqual({ us: 100 });
  });

  it("looks at no zones with too few endpoints, in further priorities, and for hashes", () => {
    expect(new Subject("eu:0 us:0", { locality: { zoneAware } }).shares(20_000).us).toBeGreaterThan(45);
    expect(new Subject("eu:1 eu:1 us:1 us:1", { locality: { zoneAware } }).shares().us).toBeGreaterThan(45);
    const hash = { key: { kind: "source-ip" } as const, minimumRingSize: 4096, tableSize: 65_537 };
    expect(new Subject("eu:0 eu:0 us:0 us:0", { loadBalancer: "RING_HASH", hash, locality: { zoneAware } }).shares(20_000, hashed).us).toBeGreaterThan(40);
  });
});

describe("probes of ejected endpoints", () => {
  const ejected = (): { subject: Subject; first: Endpoint } => {
    const subject = new Subject("eu:0 eu:0", { outlierDetection: { ...OUTLIERS, readmitsByProbe: true } });
    const [first] = subject.set.endpoints as [Endpoint];
    first.outlier.ejectedAtMs = 0;
    subject.set.healthChanged();
    return { subject, first };
  };

  it("get one request, and no more", () => {
    const { subject, first } = ejected();
    subject.set.wantProbe(first);
    subject.set.wantProbe(first);
    expect([0, 1, 2].map(() => subject.set.pick(null, null) === first)).toEqual([true, false, false]);
    expect(first.outlier.probe).toBe("out");
  });

  it("never one that has failed before", () => {
    const { subject, first } = ejected();
    subject.set.wantProbe(first);
    expect(subject.set.pick(new Set(), null)).not.toBe(first);
    expect(subject.set.pick(null, null)).toBe(first);
  });

  it("nor where the endpoint has left or is used again", () => {
    const { subject, first } = ejected();
    subject.set.wantProbe(first);
    subject.use("eu:0! eu:0");
    expect(subject.set.pick(null, null)).not.toBe(first);
    subject.use("eu:0 eu:0");
    subject.set.wantProbe(first);
    first.outlier.restore();
    subject.set.healthChanged();
    const picked = subject.set.pick(null, null);
    expect([picked?.outlier.probe, first.outlier.probe]).toEqual([null, null]);
  });
});
