import { describe, expect, it } from "vitest";
import type { Endpoint } from "../../../src/cluster/endpoint.ts";
import { EndpointPools } from "../../../src/cluster/endpoint-pools.ts";
import { HOP_OFFER, HTTP1_OFFER, HTTP2_OFFER } from "../../../src/cluster/http-offer.ts";
import { IdleLimit } from "../../../src/cluster/idle-limit.ts";
import { clusterSpec, endpointSpec, FakeMesh, NO_LIMITS } from "./fakes.ts";

const HOUR_MS = 3_600_000;

describe("IdleLimit", () => {
  it("trusts an unknown peer for 4.5 s and keeps its connections for 55 s", () => {
    const limit = new IdleLimit();
    expect(limit.usableMs(HOUR_MS, null, false, 0)).toBe(4_500);
    expect(limit.retainMs(HOUR_MS, null, 0)).toBe(55_000);
  });

  it("trusts a mesh peer for 55 s", () => {
    expect(new IdleLimit().usableMs(HOUR_MS, null, true, 0)).toBe(55_000);
  });

  it("stays one second below what the peer announced, however long", () => {
    const limit = new IdleLimit();
    expect(limit.usableMs(HOUR_MS, 5_000, false, 0)).toBe(4_000);
    expect(limit.usableMs(HOUR_MS, 1_000, false, 0)).toBe(0);
    expect(limit.usableMs(HOUR_MS, 120_000, false, 0)).toBe(119_000);
  });

  it("never exceeds the configured time; 0 is no limit", () => {
    const limit = new IdleLimit();
    expect(limit.usableMs(2_000, 60_000, true, 0)).toBe(2_000);
    expect(limit.retainMs(2_000, null, 0)).toBe(2_000);
    expect(limit.retainMs(0, 7_200_000, 0)).toBe(7_199_000);
  });

  it("learns to trust a peer for as long as a connection survived", () => {
    const limit = new IdleLimit();
    limit.survived(20_000);
    expect(limit.usableMs(HOUR_MS, null, false, 0)).toBe(18_000);
    limit.survived(3_000_000);
    expect(limit.usableMs(HOUR_MS, null, false, 0)).toBe(55_000);
  });

  it("stays below the shortest age at which the peer closed, also when it announced more", () => {
    const limit = new IdleLimit();
    limit.peerClosed(10_000, 0);
    limit.peerClosed(2_000, 0);
    limit.peerClosed(3_000, 0);
    expect(limit.usableMs(HOUR_MS, null, true, 1)).toBe(1_800);
    expect(limit.retainMs(HOUR_MS, 60_000, 1)).toBe(1_800);
    limit.peerClosed(500, 0);
    expect(limit.retainMs(HOUR_MS, null, 1)).toBe(400);
  });

  it("learns nothing from a close right after the response, and forgets after ten minutes", () => {
    const limit = new IdleLimit();
    limit.peerClosed(20, 0);
    expect(limit.retainMs(HOUR_MS, null, 1)).toBe(55_000);
    limit.peerClosed(2_000, 0);
    expect(limit.retainMs(HOUR_MS, null, 599_999)).toBe(1_800);
    expect(limit.retainMs(HOUR_MS, null, 600_000)).toBe(55_000);
  });
});

describe("idle connections", () => {
  /** A mesh with one connection that is idle. */
  const idle = (limits: Partial<typeof NO_LIMITS> = {}): FakeMesh => {
    const mesh = new FakeMesh(clusterSpec(["10.0.0.1"], { limits: { ...NO_LIMITS, ...limits } }));
    mesh.connectsAtOnce = true;
    mesh.acquire();
    mesh.client(0).finish();
    return mesh;
  };

  it("are closed when the time is over, and the timer with them", () => {
    const mesh = idle({ idleTimeoutMs: 2_000 });
    mesh.time.pass(1_500);
    expect(mesh.client(0).isOpen).toBe(true);
    mesh.time.pass(1_000);
    expect(mesh.client(0).isOpen).toBe(false);
    expect(mesh.count("idleTimeout")).toBe(1);
    expect(mesh.time.timers.count).toBe(0);
  });

  it("share one timer", () => {
    const mesh = idle({ idleTimeoutMs: 2_000 });
    for (let index = 0; index < 10; index++) mesh.acquire({ needsFreshConnection: true });
    for (const client of mesh.clients.slice(1)) client.finish();
    expect(mesh.time.timers.count).toBe(1);
    mesh.time.pass(1_900);
    mesh.acquire();
    mesh.clients.find((client) => client.receiver !== null)?.finish();
    mesh.time.pass(1_000);
    expect(mesh.clients.filter((client) => client.isOpen).length).toBe(1);
  });

  it("are not used past the trusted age, but watched; what survives is trusted longer", () => {
    const mesh = idle();
    mesh.time.pass(6_000);
    mesh.acquire();
    expect(mesh.clients.length).toBe(2);
    expect(mesh.client(0).isOpen).toBe(true);
    mesh.client(1).finish();
    mesh.time.pass(5_000);
    mesh.acquire();
    expect(mesh.clients.length).toBe(2);
  });

  it("make room when they are too old to be used and the limit is reached", () => {
    const mesh = idle({ maxConnections: 1 });
    mesh.time.pass(6_000);
    const request = mesh.acquire();
    expect(request.lease?.isReused).toBe(false);
    expect(mesh.client(0).isOpen).toBe(false);
    expect(mesh.cluster.limits.connections.count).toBe(1);
  });

  it("obey what the peer announced", () => {
    const mesh = idle();
    mesh.client(0).idleLimitMs = 3_000;
    mesh.time.pass(1_900);
    expect(mesh.acquire().lease?.isReused).toBe(true);
    mesh.client(0).finish();
    mesh.time.pass(2_000);
    expect(mesh.acquire().lease?.isReused).toBe(false);
  });

  it("teach from their close how long the peer keeps them", () => {
    const mesh = idle();
    mesh.time.pass(2_000);
    mesh.client(0).close();
    mesh.acquire();
    mesh.client(1).finish();
    mesh.time.pass(1_900);
    mesh.acquire();
    expect(mesh.clients.length).toBe(3);
  });

  it("teach from a lost race too: a reused connection that dies before its response", () => {
    const mesh = idle();
    mesh.time.pass(2_000);
    const lost = mesh.acquire();
    mesh.client(0).close();
    expect(lost.error?.code).toBe("upstream_disconnect");
    mesh.acquire();
    mesh.client(1).finish();
    mesh.time.pass(1_900);
    mesh.acquire();
    expect(mesh.clients.length).toBe(3);
  });
});

describe("identity rotation", () => {
  const tls = { mode: "ISTIO_MUTUAL", serverName: "outbound_.9080_._.reviews.default.svc.cluster.local", expectedIdentities: [] } as const;
  const secure = (): FakeMesh => {
    const mesh = new FakeMesh(clusterSpec([], { endpoints: [endpointSpec("10.0.0.1", { isMeshTls: true })], tls }));
    mesh.connectsAtOnce = true;
    return mesh;
  };

  it("an idle connection of the old generation is not used again", () => {
    const mesh = secure();
    mesh.acquire();
    mesh.client(0).finish();
    mesh.generation = 2;
    expect(mesh.acquire().lease?.isReused).toBe(false);
    expect(mesh.client(0).isOpen).toBe(false);
  });

  it("closes idle ones at once when told, and the busy one after its response", () => {
    const mesh = secure();
    mesh.acquire();
    mesh.acquire();
    mesh.client(0).finish();
    mesh.generation = 2;
    mesh.clusters.closeStale();
    expect(mesh.clients.map((client) => client.isOpen)).toEqual([false, true]);
    mesh.client(1).finish();
    expect(mesh.client(1).isOpen).toBe(false);
    expect(mesh.cluster.limits.connections.count).toBe(0);
  });

  it("a dial that was overtaken by the rotation serves its request and no other", () => {
    const mesh = secure();
    mesh.connectsAtOnce = false;
    const request = mesh.acquire();
    const [dial] = mesh.dials;
    mesh.generation = 2;
    dial?.succeed();
    expect(request.lease?.facts?.generation).toBe(1);
    mesh.client(0).finish();
    expect(mesh.client(0).isOpen).toBe(false);
  });

  it("does not touch plaintext connections", () => {
    const mesh = new FakeMesh(clusterSpec(["10.0.0.1"]));
    mesh.connectsAtOnce = true;
    mesh.acquire();
    mesh.client(0).finish();
    mesh.generation = 2;
    mesh.clusters.closeStale();
    expect(mesh.acquire().lease?.isReused).toBe(true);
  });

  it("never shares a pool between TLS and plaintext, nor between two TLS specs or ALPN offers", () => {
    const mesh = secure();
    const pools = new EndpointPools(mesh.cluster);
    const endpoint = mesh.cluster.endpoints[0] as Endpoint;
    const made = [
      pools.of(endpoint, null, HTTP1_OFFER), pools.of(endpoint, tls, HTTP1_OFFER), pools.of(endpoint, { ...tls, serverName: "other" }, HTTP1_OFFER),
      pools.of(endpoint, tls, HOP_OFFER), pools.of(endpoint, tls, HTTP2_OFFER),
    ];
    expect(new Set(made).size).toBe(5);
    expect(pools.of(endpoint, tls, HTTP1_OFFER)).toBe(made[1]);
  });

  it.each([
    ["the server name", { tls: { ...tls, serverName: "other" } }],
    ["the expected identities", { tls: { ...tls, expectedIdentities: ["spiffe://cluster.local/ns/default/sa/reviews"] } }],
    ["TLS at all", { tls: null }],
  ])("a new snapshot that changes %s leaves no old connection in use", (_what, changes) => {
    const mesh = secure();
    mesh.acquire();
    mesh.acquire();
    mesh.client(0).finish();
    mesh.clusters.apply([{ ...mesh.cluster.spec, ...changes }]);
    expect(mesh.clients.map((client) => client.isOpen)).toEqual([false, true]);
    expect(mesh.acquire().lease?.isReused).toBe(false);
    mesh.client(1).finish();
    expect(mesh.client(1).isOpen).toBe(false);
  });

  it("an equal TLS spec in another object changes nothing", () => {
    const mesh = secure();
    mesh.acquire();
    mesh.client(0).finish();
    mesh.clusters.apply([{ ...mesh.cluster.spec, loadBalancer: "RANDOM", tls: { ...tls, expectedIdentities: [] } }]);
    expect(mesh.acquire().lease?.isReused).toBe(true);
  });
});
