import { afterEach, expect, it, vi } from "vitest";
import { DataThreads } from "../../../src/control/data-threads.ts";
import { systemClock } from "../../../src/core/clock.ts";
import { TimerWheel } from "../../../src/core/timer-wheel.ts";
import { snapshotOf } from "./sidecar.ts";
import { workers } from "./watched-workers.ts";

vi.mock("node:worker_threads", async (original) => (await import("./watched-workers.ts")).watchWorkers(original));

// Real threads start in their own time.
vi.setConfig({ testTimeout: 60_000 });

const NAME = "outbound|80||db.test";
const YAML = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: db, namespace: default }
spec:
  hosts: [db.test]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{ number: 80, name: http, protocol: HTTP }]
  endpoints: [{ address: 10.0.0.1 }, { address: 10.0.0.2 }]
`;

let threads: DataThreads;
afterEach(() => threads.stop(0));

it("what health checks found out is told to a thread that takes the place of another, and taken back", async () => {
  let applied = 0;
  threads = new DataThreads({
    listen: { address: "127.0.0.1", outboundPort: 0, inboundPort: 0, hbonePort: null, reusePort: false, maxConnections: 100 }, logLevel: "info", logFormat: "json",
  }, { listening() {}, applied: () => applied++, series() {}, died() {}, keysMissing() {}, failed() {}, log() {}, inFlight() {} }, new TimerWheel(systemClock), systemClock);
  const until = async (condition: () => boolean): Promise<void> => {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  const failing = async (): Promise<string[]> => {
    const [thread] = await threads.clusterStates();
    const cluster = thread?.outbound.find(({ name }) => name === NAME);
    return (cluster?.endpoints ?? []).filter(({ isFailingChecks }) => isFailingChecks).map(({ address }) => address);
  };

  threads.start(1);
  // Before the first snapshot, as it may come.
  threads.applyHealth(NAME, ["10.0.0.2:80"]);
  threads.applySnapshot(snapshotOf(YAML));
  await until(() => applied === 1);
  expect(await failing()).toEqual(["10.0.0.2:80"]);

  await workers[0]?.terminate();
  await until(() => applied === 2);
  expect(await failing()).toEqual(["10.0.0.2:80"]);

  threads.applyHealth(NAME, []);
  expect(await failing()).toEqual([]);
});
