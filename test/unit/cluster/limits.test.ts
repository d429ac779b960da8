import { once } from "node:events";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { describe, expect, it } from "vitest";
import { type ClusterMetrics, NO_CLUSTER_METRICS } from "../../../src/cluster/cluster-metrics.ts";
import { Limits } from "../../../src/cluster/limits.ts";
import { SharedCounts } from "../../../src/cluster/shared-counts.ts";
import type { TcpReceiver } from "../../../src/cluster/tcp-dial.ts";
import type { TcpLease } from "../../../src/cluster/tcp-lease.ts";
import { clusterSpec, FakeMesh, NO_LIMITS } from "./fakes.ts";
import type { ContenderStart } from "./limit-contender.ts";

const KINDS = [
  ["connections", "maxConnections", 0],
  ["pending", "maxPendingRequests", 1],
  ["requests", "maxRequests", 2],
  ["retries", "maxRetries", 3],
] as const;

/** The limits of one cluster as `rows` threads have them. */
function threads(rows: number, limits: Partial<typeof NO_LIMITS>, metrics = NO_CLUSTER_METRICS): { counts: SharedCounts[]; limits: Limits[] } {
  const buffer = SharedCounts.create(rows);
  const counts = Array.from({ length: rows }, (_, row) => new SharedCounts(buffer, row));
  return { counts, limits: counts.map((shared) => new Limits({ ...NO_LIMITS, ...limits }, metrics, shared)) };
}

describe("limits over all data threads (spec/04 4.3: of this proxy process)", () => {
  it.each(KINDS)("%s: what one thread has, another cannot have", (kind, field, cell) => {
    const { limits: [one, two], counts: [counts] } = threads(2, { [field]: 3 });
    expect([one?.[kind].tryAdd(), two?.[kind].tryAdd(), one?.[kind].tryAdd()]).toEqual([true, true, true]);
    expect([one?.[kind].tryAdd(), two?.[kind].tryAdd(), one?.[kind].isReached, two?.[kind].isReached]).toEqual([false, false, true, true]);
    expect(counts?.total(cell)).toBe(3);
    one?.[kind].remove();
    expect(two?.[kind].tryAdd()).toBe(true);
  });

  it("a refusal leaves no count behind", () => {
    const { limits: [one], counts: [counts] } = threads(2, { maxRequests: 1 });
    one?.requests.add();
    for (let index = 0; index < 5; index++) expect(one?.requests.tryAdd()).toBe(false);
    expect([one?.requests.count, counts?.total(2)]).toEqual([1, 1]);
  });

  it("what a thread had that died is free once its row is cleared", () => {
    const { limits: [one, two], counts: [counts] } = threads(2, { maxConnections: 2 });
    one?.connections.tryAdd();
    one?.connections.tryAdd();
    expect(two?.connections.tryAdd()).toBe(false);
    counts?.clear();
    expect([two?.connections.tryAdd(), two?.connections.tryAdd(), two?.connections.tryAdd()]).toEqual([true, true, false]);
  });

  it("a limit that comes later knows what was under way before it", () => {
    const { limits: [one, two], counts: [counts, other] } = threads(2, {});
    one?.requests.add();
    one?.requests.add();
    expect(counts?.total(2)).toBe(0);
    const limited = { ...NO_LIMITS, maxRequests: 3 };
    one?.apply(limited, counts);
    two?.apply(limited, other);
    expect([two?.requests.tryAdd(), two?.requests.tryAdd()]).toEqual([true, false]);
    one?.apply(NO_LIMITS, counts);
    expect([counts?.total(2), one?.requests.tryAdd()]).toEqual([1, true]);
  });

  it("a single thread counts alone and tells when a limit is reached", () => {
    const told: [string, boolean][] = [];
    const metrics: ClusterMetrics = { ...NO_CLUSTER_METRICS, limitChanged: (name, isReached) => told.push([name, isReached]) };
    const alone = new Limits({ ...NO_LIMITS, maxRetries: 1 }, metrics);
    expect([alone.retries.tryAdd(), alone.retries.tryAdd()]).toEqual([true, false]);
    alone.apply({ ...NO_LIMITS, maxRetries: 2 });
    alone.apply({ ...NO_LIMITS, maxRetries: 1 });
    alone.retries.remove();
    expect(told).toEqual([["rq_retry", true], ["rq_retry", false], ["rq_retry", true], ["rq_retry", false]]);
  });

  it.each(["before", "after"] as const)("one place, and another thread asks just %s this one looks: never both", (moment) => {
    const buffer = SharedCounts.create(2);
    const limited = { ...NO_LIMITS, maxRequests: 1 };
    const other = new Limits(limited, NO_CLUSTER_METRICS, new SharedCounts(buffer, 1));
    const admitted: string[] = [];
    class Interrupted extends SharedCounts {
      override others(cell: number): number {
        const early = super.others(cell);
        if (cell === 2 && other.requests.tryAdd()) admitted.push("the other");
        return moment === "after" ? early : super.others(cell);
      }
    }
    const one = new Limits(limited, NO_CLUSTER_METRICS, new Interrupted(buffer, 0));
    if (one.requests.tryAdd()) admitted.push("this one");
    expect(admitted).toHaveLength(1);
  });

  it("never lets in more than the limit, however threads contend", async () => {
    const max = 1;
    const contenders = 3;
    const tries = 30_000;
    const counts = SharedCounts.create(contenders);
    const seen = new SharedArrayBuffer(5 * Int32Array.BYTES_PER_ELEMENT);
    const file = join(import.meta.dirname, "limit-contender.ts");
    await Promise.all(Array.from({ length: contenders }, async (_, row) => {
      const workerData: ContenderStart = { counts, seen, row, contenders, max, tries };
      const [code] = await once(new Worker(file, { workerData }), "exit");
      expect(code).toBe(0);
    }));
    const [holders, most, letIn, refused] = new Int32Array(seen);
    expect(holders).toBe(0);
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThanOrEqual(max);
    expect((letIn ?? 0) + (refused ?? 0)).toBe(contenders * tries);
    expect(new SharedCounts(counts, 0).total(2)).toBe(0);
  }, 60_000);
});

describe("clusters of two threads (spec/04 4.9)", () => {
  /** Two meshes with one cluster, as two data threads have them. */
  function pair(limits: Partial<typeof NO_LIMITS>): [FakeMesh, FakeMesh] {
    const buffer = SharedCounts.create(2);
    const [one, two] = [0, 1].map((row) => new FakeMesh(clusterSpec(["10.0.0.1"], { limits: { ...NO_LIMITS, ...limits } }), {
      sharedCounts: () => new SharedCounts(buffer, row),
    }));
    if (one === undefined || two === undefined) throw new Error("two meshes were made");
    one.connectsAtOnce = two.connectsAtOnce = true;
    return [one, two];
  }

  it("maxRequests: the second thread refuses at once, and its connection stays usable", () => {
    const [one, two] = pair({ maxRequests: 1 });
    const first = two.acquire();
    two.client(0).finish();
    expect(first.error).toBeNull();
    one.acquire();
    expect(two.acquire().error?.code).toBe("overflow");
    expect(two.count("activeOverflow")).toBe(1);
    one.client(0).finish();
    expect(two.acquire().lease).not.toBeNull();
    expect(two.dials.length).toBe(1);
  });

  it("maxPendingRequests: who waits in one thread is in the way in the other", () => {
    const [one, two] = pair({ maxPendingRequests: 1 });
    one.connectsAtOnce = two.connectsAtOnce = false;
    expect(one.acquire().isWaiting).toBe(true);
    expect(two.acquire().error?.code).toBe("overflow");
    one.dial(0).succeed();
    expect(two.acquire().isWaiting).toBe(true);
  });

  it("maxConnections: a thread without a connection may have one all the same, and no more", () => {
    const [one, two] = pair({ maxConnections: 1 });
    one.acquire();
    const [served, waiting] = [two.acquire(), two.acquire()];
    expect([served.lease === null, waiting.isWaiting, two.dials.length]).toEqual([false, true, 1]);
    two.client(0).finish();
    expect(waiting.lease).not.toBeNull();
  });

  it("maxConnections: a request that waits gets the place that the other thread gives up", () => {
    const [one, two] = pair({ maxConnections: 2 });
    one.acquire();
    two.acquire();
    const waiting = one.acquire();
    one.time.pass(1_000);
    expect([waiting.isWaiting, one.dials.length, one.count("connectionOverflow")]).toEqual([true, 1, 1]);
    two.client(0).close();
    one.time.pass(100);
    expect([waiting.lease === null, one.dials.length]).toEqual([false, 2]);
    const timers = one.time.timers.count;
    one.time.pass(1_000);
    expect(one.time.timers.count).toBeLessThanOrEqual(timers);
  });

  it("maxConnections of opaque connections: refused with overflow", () => {
    const [one, two] = pair({ maxConnections: 1 });
    const outcomes: (string | TcpLease)[] = [];
    const receiver: TcpReceiver = { connected: (_socket, lease) => outcomes.push(lease), failed: (error) => outcomes.push(error.code) };
    const connect = (mesh: FakeMesh): unknown => mesh.cluster.connectTcp({ originalDestination: null, alpn: [] }, receiver);
    connect(one);
    connect(two);
    const [open, refused] = outcomes;
    expect(refused).toBe("overflow");
    (open as TcpLease).destroy();
    connect(two);
    expect(typeof outcomes[2]).toBe("object");
  });

  it("maxRetries: counted over both", () => {
    const [one, two] = pair({ maxRetries: 1 });
    expect([one.cluster.tryBeginRetry(true), two.cluster.tryBeginRetry(true)]).toEqual([true, false]);
    one.cluster.endRetry();
    expect(two.cluster.tryBeginRetry(true)).toBe(true);
  });
});

describe("a connection pool that changes (spec/04 4.3)", () => {
  it.each([
    ["tcpKeepalive", { tcpKeepAlive: { timeMs: 1_000, intervalMs: 1_000, probes: 1 } }, {}],
    ["maxConnectionDuration", { maxConnectionDurationMs: 60_000 }, {}],
    ["http2KeepAlive", {}, { http2KeepAlive: { intervalMs: 1_000, timeoutMs: 1_000 } }],
  ])("%s: connections made without it are not used again", (_, limits, changes) => {
    const mesh = new FakeMesh(clusterSpec(["10.0.0.1"]));
    mesh.connectsAtOnce = true;
    mesh.acquire();
    mesh.client(0).finish();
    mesh.clusters.apply([clusterSpec(["10.0.0.1"], { limits: { ...NO_LIMITS, ...limits }, ...changes })]);
    mesh.acquire();
    expect([mesh.client(0).isOpen, mesh.dials.length]).toEqual([false, 2]);
  });

  it("a limit: connections stay", () => {
    const mesh = new FakeMesh(clusterSpec(["10.0.0.1"]));
    mesh.connectsAtOnce = true;
    mesh.acquire();
    mesh.client(0).finish();
    mesh.clusters.apply([clusterSpec(["10.0.0.1"], { limits: { ...NO_LIMITS, maxRequests: 7 } })]);
    mesh.acquire();
    expect(mesh.dials.length).toBe(1);
  });
});
