import { createServer, get } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, it, vi } from "vitest";
import { CircuitBreakerMetrics } from "../../../src/control/circuit-breaker-metrics.ts";
import { DataThreads } from "../../../src/control/data-threads.ts";
import { SharedLimits } from "../../../src/control/shared-limits.ts";
import { SharedCounts } from "../../../src/cluster/shared-counts.ts";
import { systemClock } from "../../../src/core/clock.ts";
import { TimerWheel } from "../../../src/core/timer-wheel.ts";
import { SeriesReader } from "../../../src/telemetry/series-reader.ts";
import { SeriesWriter } from "../../../src/telemetry/series-writer.ts";
import { clusterSpec, NO_LIMITS } from "../cluster/fakes.ts";
import { freePort, sidecarYaml, snapshotOf } from "./sidecar.ts";
import { workers } from "./watched-workers.ts";

vi.mock("node:worker_threads", async (original) => (await import("./watched-workers.ts")).watchWorkers(original));

// Real threads start in their own time.
vi.setConfig({ testTimeout: 60_000 });

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop();
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

const MAX = 4;

/** A sidecar of `count` threads before an application that holds every request it gets. */
async function holding(count: number): Promise<{ readonly threads: DataThreads; readonly held: (() => void)[]; readonly ask: () => Promise<string>; readonly listening: () => number }> {
  const held: (() => void)[] = [];
  const server = createServer((_request, response) => held.push(() => response.end()));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  stops.push(() => {
    server.close();
    server.closeAllConnections();
  });
  const port = await freePort();
  let listening = 0;
  let applied = 0;
  const threads = new DataThreads({
    listen: { address: "127.0.0.1", outboundPort: 0, inboundPort: 0, hbonePort: null, reusePort: true, maxConnections: 100 }, logLevel: "info", logFormat: "json",
  }, { listening: () => listening++, applied: () => applied++, series() {}, died() {}, failed() {}, log() {}, keysMissing() {}, inFlight() {} }, new TimerWheel(systemClock), systemClock);
  stops.push(() => threads.stop(0));
  threads.start(count);
  threads.applySnapshot(snapshotOf(`${sidecarYaml(port, (server.address() as AddressInfo).port)}
  inboundConnectionPool: { http: { http2MaxRequests: ${MAX} } }`));
  await until(() => applied === count);
  return {
    threads,
    held,
    listening: () => listening,
    ask: () => new Promise((resolve) => {
      get({ host: "127.0.0.1", port, agent: false }, (response) => {
        response.resume();
        response.on("error", () => resolve("cut"));
        response.on("end", () => resolve(`${response.statusCode} ${String(response.headers["x-envoy-overloaded"] ?? "")}`));
      }).on("error", () => resolve("cut"));
    }),
  };
}

it("a limit holds over all data threads, and what a dead one had is free again (spec/04 4.3, 4.9)", async () => {
  const { threads, held, ask, listening } = await holding(2);
  const reader = new SeriesReader();
  new CircuitBreakerMetrics(reader, new SeriesWriter((batch) => reader.accept("control", batch)), () => threads.limits);
  let cut = 0;
  const admit = async (): Promise<void> => {
    const before = held.length;
    void ask().then((answer) => (cut += answer === "cut" ? 1 : 0));
    await until(() => held.length > before);
  };
  // Nothing is told of a cluster that nobody has used.
  expect([...threads.limits.counts()]).toEqual([]);
  await admit();
  const [cluster] = [...threads.limits.counts()];
  if (cluster === undefined) throw new Error("no cluster has a limit");
  const underWay = (): number => cluster.count(2);
  const gauge = async (name: string): Promise<number | undefined> => {
    reader.refresh();
    await new Promise(setImmediate);
    return reader.value(`envoy_cluster_circuit_breakers_default_${name}`, { cluster_name: cluster.cluster });
  };

  expect([await gauge("rq_open"), await gauge("remaining_rq"), await gauge("remaining_cx")]).toEqual([0, MAX - 1, 0xffff_ffff]);
  for (let index = 1; index < MAX; index++) await admit();
  expect(await Promise.all(Array.from({ length: 20 }, ask))).toEqual(Array.from({ length: 20 }, () => "503 true"));
  expect([underWay(), await gauge("rq_open"), await gauge("remaining_rq")]).toEqual([MAX, 1, 0]);

  await workers[0]?.terminate();
  await until(() => listening() === 3 && underWay() === MAX - cut);
  const lost = cut;
  for (let index = 0; index < lost; index++) await admit();
  expect(await ask()).toBe("503 true");

  for (const answer of held) answer();
  await until(() => underWay() === 0);
  expect([await gauge("rq_open"), await gauge("remaining_rq")]).toEqual([0, MAX]);
});

it("tells threads only of clusters that came to have a limit, and of those that have none any more", () => {
  const limits = new SharedLimits(2);
  const limited = (name: string, maxRequests: number): ReturnType<typeof clusterSpec> => clusterSpec([], { name, limits: { ...NO_LIMITS, maxRequests } });
  expect(limits.apply([clusterSpec([])])).toBeNull();
  const first = limits.apply([limited("a", 5), limited("b", 5)]);
  expect([first?.removed, [...(first?.added.keys() ?? [])]]).toEqual([[], ["a", "b"]]);
  expect([...limits.counts()]).toEqual([]);
  const piece = limits.all.added.get("a") as SharedArrayBuffer;
  for (const buffer of limits.all.added.values()) new SharedCounts(buffer, 0).markUsed();
  new SharedCounts(piece, 1).publish(2, 3);
  expect(limits.apply([limited("a", 7), limited("b", 5)])).toBeNull();
  expect([...limits.counts()].map(({ cluster, limits: { maxRequests }, count }) => [cluster, maxRequests, count(2)])).toEqual([["a", 7, 3], ["b", 5, 0]]);
  limits.clear(1);
  expect([...limits.counts()].map(({ count }) => count(2))).toEqual([0, 0]);
  expect(limits.apply([limited("b", 5)])).toEqual({ removed: ["a"], added: new Map() });
  // The old piece may still be counted in by a thread that has not heard yet.
  expect(limits.apply([limited("a", 5), limited("b", 5)])?.added.get("a")).not.toBe(piece);
});
