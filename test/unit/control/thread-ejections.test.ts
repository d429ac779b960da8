import { createServer, get, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, it, vi } from "vitest";
import type { EndpointState } from "../../../src/cluster/cluster-state.ts";
import { DataThreads } from "../../../src/control/data-threads.ts";
import { systemClock } from "../../../src/core/clock.ts";
import { TimerWheel } from "../../../src/core/timer-wheel.ts";
import { freePort, snapshotOf } from "./sidecar.ts";

// Real threads start in their own time.
vi.setConfig({ testTimeout: 60_000 });

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop();
});

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5));
}

async function serve(status: () => number): Promise<number> {
  const server: Server = createServer((_request, response) => response.writeHead(status()).end());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  stops.push(() => server.close().closeAllConnections());
  return (server.address() as AddressInfo).port;
}

const yamlOf = (port: number, servers: readonly number[]): string => [
  { kind: "Sidecar", spec: { egress: [{ hosts: ["./*"], port: { number: port, protocol: "HTTP", name: "http" }, bind: "127.0.0.1", captureMode: "NONE" }] } },
  {
    kind: "ServiceEntry",
    spec: { hosts: ["a.test"], location: "MESH_INTERNAL", resolution: "STATIC", ports: [{ number: port, name: "http", protocol: "HTTP" }], endpoints: servers.map((server) => ({ address: "127.0.0.1", ports: { http: server } })) },
  },
  { kind: "DestinationRule", spec: { host: "a.test", trafficPolicy: { loadBalancer: { simple: "ROUND_ROBIN" }, outlierDetection: { consecutive5xxErrors: 1, baseEjectionTime: "1h", maxEjectionPercent: 50 } } } },
  { kind: "VirtualService", spec: { hosts: ["a.test"], http: [{ retries: { attempts: 0 }, route: [{ destination: { host: "a.test" } }] }] } },
].map((resource) => JSON.stringify({ apiVersion: "networking.istio.io/v1", metadata: { name: "a", namespace: "default" }, ...resource })).join("\n---\n");

it("what one data thread ejects the others leave out as well (spec/04 4.5)", async () => {
  let isBroken = false;
  const servers = [await serve(() => (isBroken ? 500 : 200)), await serve(() => 200)];
  const port = await freePort();
  let applied = 0;
  const threads = new DataThreads({
    listen: { address: "127.0.0.1", outboundPort: 0, inboundPort: 0, hbonePort: null, reusePort: true, maxConnections: 100 }, logLevel: "info", logFormat: "json",
  }, { listening() {}, applied: () => applied++, series() {}, died() {}, failed() {}, log() {}, keysMissing() {}, inFlight() {} }, new TimerWheel(systemClock), systemClock);
  stops.push(() => threads.stop(0));
  threads.start(2);
  threads.applySnapshot(snapshotOf(yamlOf(port, servers)));
  await until(() => applied === 2);

  const ask = (): Promise<number> => new Promise((resolve) => {
    get({ host: "127.0.0.1", port, agent: false, headers: { host: "a.test" } }, (response) => {
      response.resume();
      response.on("end", () => resolve(response.statusCode ?? 0));
    }).on("error", () => resolve(0));
  });
  const endpoints = async (): Promise<(readonly EndpointState[])[]> =>
    (await threads.clusterStates()).map(({ outbound }) => outbound.find(({ name }) => name.endsWith("|a.test"))?.endpoints ?? []);
  const ejected = async (): Promise<number> => (await endpoints()).filter((each) => each.some(({ isEjected }) => isEjected)).length;

  // A thread that no request came to knows nothing of the cluster.
  await until(async () => (await ask()) === 200 && (await endpoints()).filter((each) => each.some(({ totalRequests }) => totalRequests > 0)).length === 2);
  isBroken = true;
  await until(async () => (await ask()) === 500);
  await until(async () => (await ejected()) === 2);
  expect(await Promise.all(Array.from({ length: 40 }, ask))).toEqual(Array.from({ length: 40 }, () => 200));
});
