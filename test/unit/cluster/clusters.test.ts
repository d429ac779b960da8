import { describe, expect, it } from "vitest";
import { EndpointPools } from "../../../src/cluster/endpoint-pools.ts";
import { HTTP1_OFFER } from "../../../src/cluster/http-offer.ts";
import { RequestLease } from "../../../src/cluster/request-lease.ts";
import { clusterSpec, endpointSpec, FakeMesh, FakeRequest, NO_LIMITS, NOTHING_LEFT } from "./fakes.ts";
import { seededRandom } from "../../contract/load-balancer.ts";

describe("a cluster that nothing is sent to", () => {
  it("is not made: it has no series and no sweeps, and an operator sees it all the same", () => {
    const mesh = new FakeMesh(clusterSpec(["10.0.0.1", "10.0.0.2", "10.0.0.1"]));
    expect(mesh.count("membership")).toBe(0);
    const [unused] = mesh.clusters.state();
    expect(mesh.count("membership")).toBe(0);
    expect(mesh.cluster.state()).toEqual(unused);
    expect(mesh.count("membership")).toBe(1);
    expect(unused?.endpoints.map(({ address }) => address)).toEqual(["10.0.0.1:9080", "10.0.0.2:9080"]);
  });
});

describe("a new snapshot", () => {
  it("leaves a cluster with an equal spec alone", () => {
    const mesh = new FakeMesh(clusterSpec(["10.0.0.1"]));
    const before = mesh.cluster;
    const { spec } = before;
    const changes = mesh.count("membership");
    mesh.clusters.apply([structuredClone(spec)]);
    expect(mesh.cluster).toBe(before);
    expect(mesh.cluster.spec).toBe(spec);
    expect(mesh.count("membership")).toBe(changes);
  });

  it("keeps endpoints that stay, with their connections and counts", () => {
    const mesh = new FakeMesh(clusterSpec(["10.0.0.1"]));
    mesh.connectsAtOnce = true;
    mesh.acquire();
    mesh.acquire();
    mesh.client(1).finish();
    const [endpoint] = mesh.cluster.endpoints;
    mesh.clusters.apply([clusterSpec(["10.0.0.2", "10.0.0.1"], { loadBalancer: "LEAST_REQUEST" })]);
    expect(mesh.cluster.endpoints[1]).toBe(endpoint);
    expect(endpoint?.activeRequests).toBe(1);
    expect(mesh.client(1).isOpen).toBe(true);
  });

  it("closes idle connections of an endpoint that left; the request under way finishes", () => {
    const mesh = new FakeMesh(clusterSpec(["10.0.0.1"]));
    mesh.connectsAtOnce = true;
    const request = mesh.acquire();
    mesh.acquire();
    mesh.client(1).finish();
    mesh.clusters.apply([clusterSpec(["10.0.0.2"])]);
    expect(mesh.clients.map((client) => client.isOpen)).toEqual([true, false]);
    mesh.client(0).finish();
    expect(request.status).toBe(200);
    expect(mesh.client(0).isOpen).toBe(false);
    expect(mesh.cluster.limits.connections.count).toBe(0);
    expect(mesh.acquire().endpoint?.address).toBe("10.0.0.2");
  });

  it("still serves requests that wait for an endpoint that left", () => {
    const mesh = new FakeMesh(clusterSpec(["10.0.0.1"]));
    const waiting = mesh.acquire();
    mesh.clusters.apply([clusterSpec(["10.0.0.2"])]);
    mesh.dial(0).succeed();
    expect(waiting.endpoint?.address).toBe("10.0.0.1");
    mesh.client(0).finish();
    expect(mesh.client(0).isOpen).toBe(false);
  });

  it("does the same for a cluster that is gone", () => {
    const mesh = new FakeMesh(clusterSpec(["10.0.0.1"]));
    mesh.connectsAtOnce = true;
    const { cluster } = mesh;
    const request = mesh.acquire();
    mesh.clusters.apply([]);
    expect(mesh.clusters.get(cluster.spec.name)).toBeUndefined();
    expect(cluster.isIdle).toBe(false);
    mesh.client(0).finish();
    expect(request.status).toBe(200);
    expect(cluster.isIdle).toBe(true);
  });

  it("forgets the pools of an endpoint that left when their last request is done", () => {
    const mesh = new FakeMesh(clusterSpec(["10.0.0.1"]));
    mesh.connectsAtOnce = true;
    const pools = new EndpointPools(mesh.cluster);
    const [endpoint] = mesh.cluster.endpoints;
    if (endpoint === undefined) throw new Error("one endpoint");
    const pool = pools.of(endpoint, null, HTTP1_OFFER);
    for (let round = 0; round < 2; round++) pool.acquire(new RequestLease(pool, endpoint, new FakeRequest(), false));
    mesh.client(0).finish();
    pools.retire(endpoint);
    expect(pools.all()).toEqual([pool]);
    mesh.client(1).finish();
    expect(pools.all()).toEqual([]);
  });

  it("changes limits, not counts", () => {
    const mesh = new FakeMesh(clusterSpec(["10.0.0.1"]));
    mesh.connectsAtOnce = true;
    mesh.acquire();
    mesh.acquire();
    mesh.clusters.apply([clusterSpec(["10.0.0.1"], { limits: { ...NO_LIMITS, maxRequests: 2 } })]);
    expect(mesh.acquire().error?.code).toBe("overflow");
    mesh.client(0).finish();
    expect(mesh.acquire().lease).not.toBeNull();
  });

  it("takes the first of two endpoints with the same address", () => {
    const mesh = new FakeMesh(clusterSpec([], { endpoints: [endpointSpec("10.0.0.1", { weight: 3 }), endpointSpec("10.0.0.1")] }));
    expect(mesh.cluster.endpoints.map((endpoint) => endpoint.weight)).toEqual([3]);
  });

  it("starts a cluster anew when it becomes one of another kind", () => {
    const mesh = new FakeMesh(clusterSpec(["10.0.0.1"]));
    const before = mesh.cluster;
    mesh.clusters.apply([clusterSpec([], { kind: "original-destination" })]);
    expect(mesh.cluster).not.toBe(before);
  });

  it("a thousand random changes under load leave no count, no connection and no timer behind", () => {
    const random = seededRandom(7);
    const mesh = new FakeMesh(clusterSpec(["10.0.0.1"]));
    const pick = <T>(list: readonly T[]): T | undefined => list[Math.floor(random() * list.length)];
    const waitingDials = new Set<number>();
    let finished = 0;
    for (let step = 0; step < 5_000; step++) {
      const dialsBefore = mesh.dials.length;
      const action = random();
      if (action < 0.35) mesh.acquire({ needsFreshConnection: random() < 0.1 });
      else if (action < 0.4) mesh.acquire().cancel();
      else if (action < 0.6) {
        const index = pick([...waitingDials]);
        if (index !== undefined) {
          waitingDials.delete(index);
          if (random() < 0.8) mesh.dial(index).succeed();
          else mesh.dial(index).fail(random() < 0.5 ? "connect_failure" : "connect_timeout");
        }
      } else if (action < 0.8) {
        pick(mesh.clients.filter((client) => client.receiver !== null))?.finish();
        finished++;
      } else if (action < 0.85) pick(mesh.clients.filter((client) => client.isOpen))?.close();
      else if (action < 0.9) mesh.time.pass(Math.floor(random() * 3_000));
      else {
        const addresses = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"].filter(() => random() < 0.6);
        mesh.clusters.apply([clusterSpec(addresses, {
          limits: { ...NO_LIMITS, maxConnections: 1 + Math.floor(random() * 9), maxPendingRequests: 1 + Math.floor(random() * 20), maxRequests: 1 + Math.floor(random() * 20) },
          loadBalancer: pick(["ROUND_ROBIN", "LEAST_REQUEST", "RANDOM"] as const) ?? "RANDOM",
        })]);
      }
      for (let index = dialsBefore; index < mesh.dials.length; index++) waitingDials.add(index);
    }
    expect(finished).toBeGreaterThan(500);
    mesh.clusters.apply([clusterSpec(["10.0.0.9"])]);
    for (let index = 0; index < mesh.dials.length; index++) if (waitingDials.delete(index)) mesh.dial(index).fail();
    while (mesh.clients.some((client) => client.receiver !== null)) for (const client of mesh.clients) if (client.receiver !== null) client.finish();
    // Requests that waited behind a limit were dialled for meanwhile.
    for (const dial of mesh.dials) dial.fail();
    expect(mesh.leftovers()).toEqual(NOTHING_LEFT);
    expect(mesh.cluster.limits.connections.count).toBe(0);
    expect(mesh.clients.filter((client) => client.isOpen).length).toBe(0);
    expect(mesh.time.timers.count).toBe(0);
    expect(mesh.count("requestStarted")).toBe(mesh.count("requestFinished"));
    expect(mesh.count("pendingStarted")).toBe(mesh.count("pendingEnded"));
    expect(mesh.count("connectionOpened")).toBe(mesh.count("connectionClosed"));
  });
});

describe("endpoints that failed before", () => {
  it("are avoided, also by least request, which finds them idle", () => {
    const mesh = new FakeMesh(clusterSpec(["10.0.0.1", "10.0.0.2"], { loadBalancer: "LEAST_REQUEST" }));
    mesh.connectsAtOnce = true;
    const [first, second] = mesh.cluster.endpoints;
    if (first === undefined || second === undefined) throw new Error("two endpoints");
    second.activeRequests = 100;
    for (let round = 0; round < 20; round++) expect(mesh.acquire({ excludedEndpoints: new Set([first]) }).endpoint).toBe(second);
  });

  it("are used when there is no other", () => {
    const mesh = new FakeMesh(clusterSpec(["10.0.0.1", "10.0.0.2"]));
    mesh.connectsAtOnce = true;
    expect(mesh.acquire({ excludedEndpoints: new Set(mesh.cluster.endpoints) }).endpoint).not.toBeNull();
    mesh.clusters.apply([clusterSpec([], { endpoints: [endpointSpec("10.0.0.1"), endpointSpec("10.0.0.2", { isHealthy: false })] })]);
    expect(mesh.acquire({ excludedEndpoints: new Set(mesh.cluster.endpoints.slice(0, 1)) }).endpoint?.address).toBe("10.0.0.1");
  });
});

describe("shutting down", () => {
  it("drain closes what is idle; requests are still served, on connections that are not kept", () => {
    const mesh = new FakeMesh(clusterSpec(["10.0.0.1"]));
    mesh.connectsAtOnce = true;
    mesh.acquire();
    mesh.acquire();
    mesh.client(0).finish();
    mesh.clusters.drain();
    expect(mesh.clients.map((client) => client.isOpen)).toEqual([false, true]);
    const late = mesh.acquire();
    mesh.client(2).finish();
    expect(late.status).toBe(200);
    mesh.client(1).finish();
    expect(mesh.cluster.isIdle).toBe(true);
  });

  it("closeAll cuts everything, fails who waits, refuses who asks", () => {
    const mesh = new FakeMesh(clusterSpec(["10.0.0.1"]));
    const sent = mesh.acquire();
    mesh.dial(0).succeed();
    const waiting = mesh.acquire();
    mesh.clusters.closeAll();
    expect(sent.error?.code).toBe("upstream_disconnect");
    expect(waiting.error?.code).toBe("no_healthy_upstream");
    expect(mesh.dial(1).isCancelled).toBe(true);
    expect(mesh.acquire().error?.code).toBe("no_healthy_upstream");
    expect(mesh.cluster.isIdle).toBe(true);
    expect(mesh.leftovers()).toEqual(NOTHING_LEFT);
    expect(mesh.time.timers.count).toBe(0);
  });
});

describe("state", () => {
  it("is plain data that JSON can carry", () => {
    const mesh = new FakeMesh(clusterSpec(["10.0.0.1", "2001:db8::1"]));
    mesh.acquire();
    const [state] = mesh.clusters.state();
    expect(JSON.parse(JSON.stringify(state))).toEqual(state);
    expect(state?.limits.connections).toEqual({ count: 1, max: null });
    expect(state?.endpoints.map((endpoint) => endpoint.address)).toEqual(["10.0.0.1:9080", "[2001:db8::1]:9080"]);
  });
});
