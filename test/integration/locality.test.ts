import { createServer, type Server } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { WorkloadIdentity } from "../../src/config/compile/workload-identity.ts";
import { seededRandom } from "../contract/load-balancer.ts";
import { ask } from "./http-client.ts";
import { ManualTime } from "./manual-time.ts";
import { networking, portOf, type Resource, service, yamlOf } from "./mesh-resources.ts";
import { ProxyUnderTest } from "./proxy-under-test.ts";

/* Zones and regions behind a whole sidecar, with servers that fail: spec/04 4.6. */

const VIP = { address: "10.96.0.10", port: 9080 };
/** The label of a pod; the workload is in `eu/a`. */
const PLACES = ["eu.a", "eu.a", "eu.b", "us.a"];
const DETECTION = { consecutive5xxErrors: 1, maxEjectionPercent: 100, interval: "1s", baseEjectionTime: "10s" };

describe("localities", () => {
  const servers: Server[] = [];
  /** Servers that answer 503, by their number. */
  const broken = new Set<number>();
  let time: ManualTime;
  let proxy: ProxyUnderTest;

  beforeAll(async () => {
    for (const [index, place] of PLACES.entries()) {
      const server = createServer((_request, response) => {
        response.statusCode = broken.has(index) ? 503 : 200;
        response.end(`${place} ${index}`);
      });
      await new Promise<void>((resolve) => {
        server.listen(0, "127.0.0.1", resolve);
      });
      servers.push(server);
    }
  });
  afterAll(() => {
    for (const server of servers) server.close().closeAllConnections();
  });

  const mesh = (trafficPolicy: Resource, unready: readonly number[] = [], annotations: Readonly<Record<string, string>> = {}): string => {
    const [own, ...rest] = service({
      name: "reviews",
      endpoints: servers.map((server, index) => ({ port: portOf(server), labels: { "istio-locality": PLACES[index] as string }, isReady: !unready.includes(index) })),
    });
    const policy = { loadBalancer: { simple: "ROUND_ROBIN", ...(trafficPolicy["loadBalancer"] as Resource | undefined) } };
    return yamlOf(
      { ...own, metadata: { name: "reviews", namespace: "default", annotations } }, rest,
      networking("DestinationRule", "reviews", { host: "reviews", trafficPolicy: { ...trafficPolicy, ...policy } }),
      networking("VirtualService", "reviews", { hosts: ["reviews"], http: [{ retries: { attempts: 0 }, route: [{ destination: { host: "reviews" } }] }] }),
    );
  };

  async function withMesh(yaml: string, work: () => Promise<void>, workload: Partial<WorkloadIdentity> = {}): Promise<void> {
    time = new ManualTime();
    proxy = await ProxyUnderTest.start({ yaml, clock: time, timers: time.timers, random: seededRandom(3), workload: { locality: "eu/a", ...workload } });
    try {
      await work();
    } finally {
      proxy.stop();
      broken.clear();
    }
  }

  /** How many of `count` requests each server answered, by its number; those it answered 503 under `failed`. */
  async function answers(count: number): Promise<Record<string, number>> {
    const found: Record<string, number> = {};
    for (let index = 0; index < count; index++) {
      const { status, body } = await ask(proxy.connectOutbound(VIP));
      const key = status === 200 ? body : status === 503 && body.startsWith("no healthy") ? "none" : "failed";
      found[key] = (found[key] ?? 0) + 1;
    }
    return found;
  }

  it("traffic stays in its zone, spills and fails over as endpoints fail, and comes home", async () => {
    await withMesh(mesh({ outlierDetection: DETECTION }), async () => {
      expect(await answers(20)).toEqual({ "eu.a 0": 10, "eu.a 1": 10 });
      // One of two is gone: the other takes 70 % (1.4 * 50), the next zone 30 %.
      broken.add(0);
      expect((await answers(2)).failed).toBe(1);
      const spilt = await answers(100);
      expect(Object.keys(spilt).toSorted()).toEqual(["eu.a 1", "eu.b 2"]);
      expect(spilt["eu.b 2"]).toBeGreaterThan(15);
      expect(spilt["eu.b 2"]).toBeLessThan(45);
      // The whole zone: the next one takes everything; then the region.
      broken.add(1);
      await answers(10);
      expect(await answers(20)).toEqual({ "eu.b 2": 20 });
      broken.add(2);
      await answers(1);
      expect(await answers(20)).toEqual({ "us.a 3": 20 });
      broken.clear();
      time.pass(12_000);
      expect(await answers(20)).toEqual({ "eu.a 0": 10, "eu.a 1": 10 });
    });
  });

  it("failover names the region that comes next", async () => {
    const setting = { localityLbSetting: { failover: [{ from: "eu", to: "us" }] } };
    await withMesh(mesh({ loadBalancer: setting, outlierDetection: DETECTION }), async () => {
      for (const index of [0, 1, 2]) broken.add(index);
      await answers(60);
      expect(await answers(10)).toEqual({ "us.a 3": 10 });
    });
  });

  it("distribute shares by weight", async () => {
    const setting = { localityLbSetting: { distribute: [{ from: "eu/a", to: { "eu/a": 75, "us/*": 25 } }] } };
    await withMesh(mesh({ loadBalancer: setting }), async () => {
      expect(await answers(40)).toEqual({ "eu.a 0": 15, "eu.a 1": 15, "us.a 3": 10 });
    });
  });

  it("zoneAwareLbSetting keeps in the zone what it has room for", async () => {
    // Four callers in eu/a, one in us/a; of four endpoints two are in eu/a: 50 % of 80 %, so that five of eight stay.
    const callers = networking("ServiceEntry", "own", {
      hosts: ["own.test"], location: "MESH_INTERNAL", resolution: "STATIC", ports: [{ number: 80, name: "http", protocol: "HTTP" }],
      endpoints: ["eu/a", "eu/a", "eu/a", "eu/a", "us/a"].map((locality, index) => ({ address: `10.9.0.${index + 1}`, locality })),
    });
    const yaml = `${mesh({ loadBalancer: { zoneAwareLbSetting: { minClusterSize: 4 } } })}\n---\n${yamlOf(callers)}`;
    await withMesh(yaml, async () => {
      const found = await answers(80);
      expect((found["eu.a 0"] ?? 0) + (found["eu.a 1"] ?? 0)).toBe(50);
      expect(found["eu.b 2"]).toBeGreaterThan(15);
    }, { addresses: ["10.9.0.1"] });
  });

  it("trafficDistribution goes by readiness, without outlier detection", async () => {
    const near = { "networking.istio.io/traffic-distribution": "PreferClose" };
    await withMesh(mesh({}, [], near), async () => expect(await answers(10)).toEqual({ "eu.a 0": 5, "eu.a 1": 5 }));
    await withMesh(mesh({}, [0, 1], near), async () => expect(await answers(10)).toEqual({ "eu.b 2": 10 }));
  });

  it("with nobody ready anywhere there is no endpoint, whatever the priorities", async () => {
    await withMesh(mesh({ outlierDetection: DETECTION }, [0, 1, 2, 3]), async () => {
      expect(await answers(3)).toEqual({ none: 3 });
      expect(proxy.accessLog.at(-1)?.["response_flags"]).toBe("UH");
    });
  });

  it("too few healthy in all: minHealthPercent has everybody tried", async () => {
    // In one priority: a further one that is whole would take everything.
    const setting = { localityLbSetting: { enabled: false } };
    await withMesh(mesh({ loadBalancer: setting, outlierDetection: { ...DETECTION, minHealthPercent: 70, baseEjectionTime: "1h" } }), async () => {
      for (const index of [0, 1, 2, 3]) broken.add(index);
      await answers(60);
      broken.clear();
      const used = Object.keys(await answers(100)).toSorted();
      expect(used).toEqual(["eu.a 0", "eu.a 1", "eu.b 2", "us.a 3"]);
      expect(await proxy.metrics()).toMatch(/envoy_cluster_lb_healthy_panic\{[^}]*reviews[^}]*\} [1-9]/);
    });
  });

  it("/clusters tells place and priority", async () => {
    await withMesh(mesh({ outlierDetection: DETECTION }), async () => {
      await answers(1);
      const reviews = proxy.clusters().outbound.find(({ name }) => name.includes("reviews"));
      expect(reviews?.endpoints.map(({ locality, priority }) => `${locality} ${priority}`)).toEqual(expect.arrayContaining(["eu/a 0", "eu/b 1", "us/a 2"]));
    });
  });
});
