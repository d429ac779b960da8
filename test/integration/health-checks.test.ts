import { createServer, get, type Server } from "node:http";
import { afterAll, beforeAll, expect, it } from "vitest";

import { HealthChecks } from "../../src/control/health-checks.ts";
import { systemClock } from "../../src/core/clock.ts";
import { systemRandom } from "../../src/core/random.ts";
import { TimerWheel } from "../../src/core/timer-wheel.ts";
import { Logger } from "../../src/telemetry/log.ts";
import { SeriesWriter } from "../../src/telemetry/series-writer.ts";
import { idOf, materialOf } from "../unit/identity/test-mesh.ts";
import { freePort } from "./free-port.ts";
import { networking, portOf, type Resource, security, service, yamlOf } from "./mesh-resources.ts";
import { ProxyPair, STRICT } from "./proxy-pair.ts";
import { eventually, testCa } from "./proxy-under-test.ts";
import { RunningProxy } from "./running-proxy.ts";

/* Active health checks from the annotation to the endpoint that gets no requests, in a real process with two data threads. */

/** An application that says how it is, and who answered. */
class Replica {
  isReady = true;
  checks = 0;
  requests = 0;
  readonly server: Server;

  private constructor() {
    this.server = createServer((request, response) => {
      if (request.url === "/ready") {
        this.checks++;
        response.statusCode = this.isReady ? 200 : 503;
      } else {
        this.requests++;
      }
      response.end();
    });
  }

  static async start(): Promise<Replica> {
    const replica = new Replica();
    await new Promise<void>((resolve) => replica.server.listen(0, "127.0.0.1", resolve));
    return replica;
  }

  get name(): string {
    return `127.0.0.1:${portOf(this.server)}`;
  }

  stop(): void {
    this.server.close();
    this.server.closeAllConnections();
  }
}

let replicas: [Replica, Replica];
let proxy: RunningProxy;
let port: number;

const rule = (annotations: Resource): Resource => ({
  ...networking("DestinationRule", "reviews", { host: "reviews", trafficPolicy: { loadBalancer: { simple: "ROUND_ROBIN" } } }),
  metadata: { name: "reviews", namespace: "default", annotations },
});
const mesh = (): Resource[] => [
  ...service({ name: "reviews", endpoints: replicas.map(({ server }) => ({ port: portOf(server) })) }),
  networking("Sidecar", "local", {
    egress: [{ captureMode: "NONE", bind: "127.0.0.1", port: { number: port, protocol: "HTTP", name: "http" }, hosts: ["default/reviews.default.svc.cluster.local"] }],
  }),
];

beforeAll(async () => {
  replicas = [await Replica.start(), await Replica.start()];
  port = await freePort();
  const checked = rule({ "outrider.io/health-check": "{ path: /ready, interval: 100ms, timeout: 10s }" });
  proxy = await RunningProxy.start({ files: { "mesh.yaml": yamlOf(mesh(), checked) }, flags: ["--concurrency", "2"] });
}, 60_000);

afterAll(async () => {
  await proxy.stop();
  for (const replica of replicas) replica.stop();
});

/** Requests, each on a connection of its own so that both threads get some, and how many of them each replica saw. */
async function send(count: number): Promise<number[]> {
  for (const replica of replicas) replica.requests = 0;
  for (let index = 0; index < count; index++) {
    const status = await new Promise<number>((resolve, reject) => {
      get({ host: "127.0.0.1", port, agent: false, headers: { host: "reviews.default.svc.cluster.local" } }, (response) => {
        response.resume().on("end", () => resolve(response.statusCode ?? 0));
      }).on("error", reject);
    });
    expect(status).toBe(200);
  }
  return replicas.map(({ requests }) => requests);
}

/** Flags of each endpoint on `/clusters`, by address. */
async function flags(): Promise<Record<string, string>> {
  const { text } = await proxy.page("/clusters?format=json");
  const { cluster_statuses: clusters } = JSON.parse(text) as { cluster_statuses: { name: string; endpoints: { address: string; health_flags: string }[] }[] };
  const endpoints = clusters.filter(({ name }) => name.startsWith("outbound|") && name.includes("reviews")).flatMap((cluster) => cluster.endpoints);
  return Object.fromEntries(endpoints.map(({ address, health_flags }) => [address, health_flags]));
}

it("an endpoint that says it is not ready gets no requests, until it says it is", async () => {
  const [one, two] = replicas;
  await eventually(() => one.checks > 0 && two.checks > 0, "the first checks");
  expect(await flags()).toEqual({ [one.name]: "healthy", [two.name]: "healthy" });
  for (const share of await send(40)) expect(share).toBeGreaterThan(0);

  one.isReady = false;
  await eventually(async () => (await flags())[one.name] === "/failed_active_hc", "the endpoint is left out");
  await proxy.logged("health check: endpoint is unhealthy", one.name, "status 503");
  expect(await send(40)).toEqual([0, 40]);
  const { text } = await proxy.page("/stats/prometheus", "metrics");
  expect(text).toMatch(/envoy_cluster_health_check_healthy\{cluster_name="outbound\|\d+\|\|reviews\.default\.svc\.cluster\.local"\} 1/);

  one.isReady = true;
  await eventually(async () => (await flags())[one.name] === "healthy", "the endpoint is back");
  await proxy.logged("health check: endpoint is healthy again", one.name);
  for (const share of await send(40)) expect(share).toBeGreaterThan(0);

  // Without the annotation nobody asks any more, and what was found is forgotten.
  one.isReady = false;
  await eventually(async () => (await flags())[one.name] === "/failed_active_hc", "the endpoint is left out again");
  proxy.write("mesh.yaml", yamlOf(mesh(), rule({})));
  await eventually(async () => (await flags())[one.name] === "healthy", "the verdict is gone");
}, 60_000);

it("goes through the endpoint's own sidecar by mesh mTLS, and is subject to its policies", async () => {
  const replica = await Replica.start();
  const target = portOf(replica.server);
  const pair = await ProxyPair.start({ port: target });
  const snapshot = pair.caller.compile(yamlOf(
    service({ name: "reviews", targetPort: target, endpoints: [{ port: pair.callee.inboundPort, isMesh: true }] }), STRICT,
    rule({ "outrider.io/health-check": "{ path: /ready, interval: 100ms, timeout: 10s }" }),
  ));
  const timers = new TimerWheel(systemClock);
  const reasons: string[] = [];
  let failing: readonly string[] = [];
  const checks = new HealthChecks({
    clock: systemClock, timers, random: systemRandom, metrics: new SeriesWriter(() => undefined),
    log: new Logger({ write: (line) => reasons.push((JSON.parse(line) as { reason: string }).reason) }, systemClock, timers),
    publish: (_cluster, names) => (failing = names),
  });
  checks.applyIdentity(materialOf(testCa.issue(idOf("productpage"))));
  checks.apply(snapshot);
  await eventually(() => replica.checks >= 3, "checks reach the application");
  expect(failing).toEqual([]);
  expect(pair.callee.accessLog.some(({ path }) => path === "/ready")).toBe(true);

  await pair.callee.apply(yamlOf(
    service({ name: "reviews", targetPort: target, endpoints: [{ port: target, isMesh: true }] }), STRICT,
    security("AuthorizationPolicy", "nobody", { action: "DENY", rules: [{ to: [{ operation: { paths: ["/ready"] } }] }] }),
  ));
  await eventually(() => failing.length === 1, "the refusal counts");
  expect(reasons).toEqual(["status 403"]);
  checks.stop();
  pair.stop();
  replica.stop();
}, 60_000);
