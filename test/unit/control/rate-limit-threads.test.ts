import { createServer, get } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it, vi } from "vitest";
import { DataThreads } from "../../../src/control/data-threads.ts";
import { RateLimitBuffers } from "../../../src/control/rate-limit-buffers.ts";
import { systemClock } from "../../../src/core/clock.ts";
import { TimerWheel } from "../../../src/core/timer-wheel.ts";
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

const limitedService = (port: number, limits: string): string => `---
apiVersion: v1
kind: Service
metadata: { name: reviews, namespace: default, annotations: { outrider.io/rate-limit: "${limits}" } }
spec: { clusterIP: 10.96.0.10, selector: { app: reviews }, ports: [{ name: http, port: 80, targetPort: ${port} }] }
`;

describe("tokens of all data threads", () => {
  it("are no more than the limit says, and what is spent stays so when a thread is replaced", async () => {
    const server = createServer((_request, response) => response.end());
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    stops.push(() => {
      server.close();
      server.closeAllConnections();
    });
    const port = await freePort();
    let applied = 0;
    const threads = new DataThreads({
      listen: { address: "127.0.0.1", outboundPort: 0, inboundPort: 0, hbonePort: null, reusePort: true, maxConnections: 100 }, logLevel: "info", logFormat: "json",
    }, { listening() {}, applied: () => applied++, series() {}, died() {}, failed() {}, log() {}, keysMissing() {}, inFlight() {} }, new TimerWheel(systemClock), systemClock);
    stops.push(() => threads.stop(0));
    threads.start(2);
    threads.applySnapshot(snapshotOf(`${sidecarYaml(port, (server.address() as AddressInfo).port)}${limitedService(port, "[{ requests: 15, per: 24h }]")}`));
    await until(() => applied === 2);
    const ask = (): Promise<number> => new Promise((resolve) => {
      get({ host: "127.0.0.1", port, agent: false }, (response) => {
        response.resume();
        response.on("end", () => resolve(response.statusCode ?? 0));
      }).on("error", () => resolve(0));
    });
    const allowed = async (count: number): Promise<number> => (await Promise.all(Array.from({ length: count }, ask))).filter((status) => status === 200).length;
    expect(await allowed(60)).toBe(15);
    await workers[0]?.terminate();
    await until(() => applied === 3);
    expect(await allowed(60)).toBe(0);
  });
});

describe("the memory of limits", () => {
  const of = (limits: string) => snapshotOf(`${sidecarYaml(9080, 9081)}${limitedService(9080, limits)}`);

  it("is that of the snapshot before where the buckets mean the same", () => {
    const buffers = new RateLimitBuffers();
    const first = buffers.apply(of("[{ requests: 1, per: 1s }, { requests: 5, per: 1s, by: method }]"));
    expect([first?.removed, first?.added.size]).toEqual([[], 2]);
    expect(buffers.apply(of("[{ requests: 1, per: 1s, status: 503, dryRun: true }, { requests: 5, per: 1s, by: method }]"))).toBeNull();
    const changed = buffers.apply(of("[{ requests: 2, per: 1s }, { requests: 5, per: 1s, by: method }]"));
    expect([changed?.removed.length, changed?.added.size]).toEqual([1, 1]);
    expect(buffers.all.added.size).toBe(2);
  });

  it("is none where there are no limits", () => {
    const buffers = new RateLimitBuffers();
    expect(buffers.apply(snapshotOf(sidecarYaml(9080, 9081)))).toBeNull();
    buffers.apply(of("[{ requests: 1, per: 1s }]"));
    expect(buffers.apply(snapshotOf(sidecarYaml(9080, 9081)))?.removed.length).toBe(1);
    expect(buffers.all.added.size).toBe(0);
  });
});
