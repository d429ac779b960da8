import { describe, expect, it } from "vitest";
import type { ClusterSpec, LimitsSpec } from "../../../src/config/snapshot.ts";
import { clusterSpec, endpointSpec, FakeMesh, FakeRequest, NO_LIMITS, NOTHING_LEFT, OUTLIERS } from "./fakes.ts";

const TLS = { mode: "ISTIO_MUTUAL", serverName: "outbound_.9080_._.reviews.default.svc.cluster.local", expectedIdentities: [] } as const;
const H2 = { protocol: "http2" } as const;
const SHARING = { busyStreams: 8, backedUpMs: 50, maxConnections: 4, patienceMs: 250 };

/** A mesh whose one endpoint speaks HTTP/2 by declaration. */
function http2Mesh(limits: Partial<LimitsSpec> = {}, changes: Partial<ClusterSpec> = {}): FakeMesh {
  return new FakeMesh(clusterSpec(["10.0.0.1"], { protocol: "http2", limits: { ...NO_LIMITS, ...limits }, ...changes }), { sharing: SHARING });
}

/** A mesh whose one endpoint speaks mesh TLS and may be an Outrider. */
function hopMesh(limits: Partial<LimitsSpec> = {}): FakeMesh {
  return new FakeMesh(clusterSpec([], { endpoints: [endpointSpec("10.0.0.1", { isMeshTls: true })], tls: TLS, hop: true, limits: { ...NO_LIMITS, ...limits } }), { sharing: SHARING });
}

function send(mesh: FakeMesh, count: number, request: Partial<typeof H2> | { needsFreshConnection: boolean } = H2): FakeRequest[] {
  return Array.from({ length: count }, () => mesh.acquire({ ...H2, ...request }));
}

const streams = (mesh: FakeMesh): number[] => mesh.shared.map((connection) => connection.activeStreams);

describe("what is offered and what is agreed on (spec/05 5.4)", () => {
  const offered = (mesh: FakeMesh, request: Parameters<FakeMesh["acquire"]>[0]): readonly string[] | undefined => {
    mesh.acquire(request);
    return mesh.dials.at(-1)?.target.alpn;
  };

  it("the hop before what Istio offers, where the cluster wants it and TLS is spoken", () => {
    expect(offered(hopMesh(), {})).toEqual(["outrider", "istio-http/1.1", "istio", "http/1.1"]);
    expect(offered(hopMesh(), H2)).toEqual(["istio-h2", "istio", "h2"]);
    expect(offered(hopMesh(), { isUpgrade: true })).toEqual(["istio-http/1.1", "istio", "http/1.1"]);
    const off = new FakeMesh({ ...hopMesh().cluster.spec, hop: false });
    expect(offered(off, {})).toEqual(["istio-http/1.1", "istio", "http/1.1"]);
  });

  it("is HTTP/1 for everything where nothing can be multiplexed", () => {
    const mesh = new FakeMesh({ ...hopMesh().cluster.spec, protocol: "http2" }, { hasMultiplexing: false });
    expect(offered(mesh, H2)).toEqual(["istio-http/1.1", "istio", "http/1.1"]);
    mesh.dial(0).succeed();
    expect(mesh.clients.length).toBe(1);
  });

  it.each([
    ["outrider", {}, true, true], ["http/1.1", {}, false, false], ["istio-http/1.1", {}, false, false], [null, {}, false, false],
    ["h2", H2, true, false], ["istio-h2", H2, true, false], [null, H2, true, false],
  ] as const)("%s after asking for %j", (alpn, request, isMultiplexed, isHop) => {
    const mesh = hopMesh();
    mesh.acquire(request);
    mesh.dial(0).succeed(alpn);
    expect([mesh.shared.length, mesh.clients.length]).toEqual(isMultiplexed ? [1, 0] : [0, 1]);
    if (isMultiplexed) expect(mesh.mux(0).options).toEqual({ hop: isHop, keepAlive: null });
    expect(mesh.cluster.state().endpoints[0]?.connections.multiplexed).toBe(isMultiplexed ? 1 : 0);
  });

  it("declared HTTP/2 is spoken on plaintext, with the PINGs that are configured", () => {
    const mesh = http2Mesh({}, { http2KeepAlive: { intervalMs: 30_000, timeoutMs: 5_000 } });
    mesh.connectsAtOnce = true;
    send(mesh, 1);
    expect(mesh.mux(0).options).toEqual({ hop: false, keepAlive: { intervalMs: 30_000, timeoutMs: 5_000 } });
  });

  it("an upgrade never shares a connection with other requests", () => {
    const mesh = hopMesh();
    mesh.connectsAtOnce = true;
    mesh.alpn = "outrider";
    mesh.acquire();
    mesh.alpn = "http/1.1";
    mesh.acquire({ isUpgrade: true });
    expect([streams(mesh), mesh.clients.length]).toEqual([[1], 1]);
  });
});

describe("dialling for many", () => {
  it("one dial runs for all who wait, and its connection serves them all in order", () => {
    const mesh = http2Mesh();
    const requests = send(mesh, 5);
    expect(mesh.dials.length).toBe(1);
    mesh.dial(0).succeed();
    expect(requests.every((request) => request.lease !== null)).toBe(true);
    expect(streams(mesh)).toEqual([5]);
    send(mesh, 1);
    expect([mesh.dials.length, streams(mesh)]).toEqual([1, [6]]);
  });

  it("the same for a peer of which it is not known whether it takes the hop; when it does not, everybody gets a dial", () => {
    const mesh = hopMesh();
    const requests = [mesh.acquire(), mesh.acquire(), mesh.acquire()];
    expect(mesh.dials.length).toBe(1);
    mesh.dial(0).succeed("http/1.1");
    expect(mesh.dials.length).toBe(3);
    mesh.dial(1).succeed("http/1.1");
    mesh.dial(2).succeed("http/1.1");
    expect(requests.every((request) => request.lease !== null)).toBe(true);
    // It is remembered: the next ones do not wait for each other.
    mesh.acquire();
    mesh.acquire();
    expect(mesh.dials.length).toBe(5);
  });

  it("when a handshake shows the hop, everybody waiting goes onto it and the other dials are cancelled", () => {
    const mesh = hopMesh();
    mesh.acquire();
    mesh.dial(0).succeed("http/1.1");
    const requests = [mesh.acquire(), mesh.acquire(), mesh.acquire()];
    expect(mesh.dials.length).toBe(4);
    // The peer was replaced by an Outrider meanwhile.
    mesh.dial(2).succeed("outrider");
    expect(streams(mesh)).toEqual([3]);
    expect(mesh.dials.map((dial) => dial.isCancelled)).toEqual([false, true, false, true]);
    expect(requests.every((request) => request.told === 1)).toBe(true);
    expect(mesh.cluster.limits.connections.count).toBe(2);
    expect(mesh.cluster.state().endpoints[0]?.connections.dialling).toBe(0);
  });

  it("a failed dial fails all who waited for it", () => {
    const mesh = http2Mesh();
    const requests = send(mesh, 3);
    mesh.dial(0).fail("connect_timeout");
    expect(requests.map((request) => request.error?.code)).toEqual(["connect_timeout", "connect_timeout", "connect_timeout"]);
    expect(mesh.leftovers()).toEqual(NOTHING_LEFT);
    expect(mesh.cluster.isIdle).toBe(true);
  });

  it("a connection that is gone as soon as it is there is a failed dial", () => {
    for (const [onOpened, state] of [["close", "closed"], ["goAway", "closed"]] as const) {
      const mesh = http2Mesh();
      mesh.onOpened = (made) => made[onOpened]();
      const requests = send(mesh, 2);
      mesh.dial(0).succeed();
      expect(requests.map((request) => request.error?.code)).toEqual(["connect_failure", "connect_failure"]);
      expect(mesh.mux(0).state).toBe(state);
      expect(mesh.cluster.isIdle).toBe(true);
    }
  });

  it("says nothing to a request that was given up, and keeps the connection for the next", () => {
    const mesh = http2Mesh();
    const [request] = send(mesh, 1);
    request?.cancel();
    mesh.dial(0).succeed();
    expect(request?.told).toBe(0);
    send(mesh, 1);
    expect([mesh.dials.length, streams(mesh)]).toEqual([1, [1]]);
  });
});

describe("another connection", () => {
  it("is opened when the first is busy: at three quarters of what its peer allows", () => {
    const mesh = http2Mesh();
    mesh.onOpened = (made) => {
      made.maxStreams = 8;
    };
    send(mesh, 1);
    mesh.dial(0).succeed();
    send(mesh, 4);
    expect(mesh.dials.length).toBe(1);
    send(mesh, 1);
    expect(mesh.dials.length).toBe(2);
    // Nobody waits for it: there is room on the first.
    send(mesh, 1);
    expect(streams(mesh)).toEqual([7]);
    mesh.dial(1).succeed();
    send(mesh, 2);
    expect(streams(mesh)).toEqual([7, 2]);
  });

  it("is opened at the configured number of streams, however many a peer allows", () => {
    const mesh = http2Mesh();
    mesh.connectsAtOnce = true;
    mesh.onOpened = (made) => {
      made.maxStreams = 1_000;
    };
    send(mesh, 9);
    expect(streams(mesh)).toEqual([8, 1]);
  });

  it("is not opened while one of those there are is not busy", () => {
    const mesh = http2Mesh();
    mesh.connectsAtOnce = true;
    send(mesh, 9);
    mesh.mux(1).finish();
    mesh.mux(0).finish();
    send(mesh, 1);
    expect([streams(mesh), mesh.dials.length]).toEqual([[8, 0], 2]);
  });

  it("is one of four at most; then the least busy takes the next", () => {
    const mesh = http2Mesh();
    mesh.connectsAtOnce = true;
    send(mesh, 40);
    expect(streams(mesh)).toEqual([10, 10, 10, 10]);
  });

  it("beyond that is opened only for requests that have waited for room, one after the other", () => {
    const mesh = http2Mesh();
    mesh.connectsAtOnce = true;
    mesh.onOpened = (made) => {
      made.maxStreams = 10;
    };
    const requests = send(mesh, 60);
    const served = (): number => requests.filter((request) => request.told > 0).length;
    expect([mesh.dials.length, served()]).toEqual([4, 40]);
    mesh.time.pass(250);
    expect([mesh.dials.length, served()]).toEqual([5, 50]);
    mesh.time.pass(500);
    expect([mesh.dials.length, served()]).toEqual([6, 60]);
    mesh.time.pass(1_000);
    expect(mesh.dials.length).toBe(6);
  });

  it("is not opened when room comes in time", () => {
    const mesh = http2Mesh();
    mesh.connectsAtOnce = true;
    mesh.onOpened = (made) => {
      made.maxStreams = 10;
    };
    const requests = send(mesh, 45);
    for (let round = 0; round < 5; round++) mesh.mux(round % 4).finish();
    expect(requests.every((request) => request.told === 1)).toBe(true);
    mesh.time.pass(2_000);
    expect(mesh.dials.length).toBe(4);
  });

  it("is opened when the first cannot keep up with its streams for a while", () => {
    const mesh = http2Mesh();
    mesh.connectsAtOnce = true;
    send(mesh, 1);
    mesh.mux(0).isBackedUp = true;
    send(mesh, 1);
    mesh.time.nowMs += 40;
    mesh.mux(0).isBackedUp = false;
    send(mesh, 1);
    mesh.mux(0).isBackedUp = true;
    send(mesh, 1);
    mesh.time.nowMs += 40;
    send(mesh, 1);
    expect(mesh.dials.length).toBe(1);
    mesh.time.nowMs += 10;
    send(mesh, 1);
    expect([mesh.dials.length, streams(mesh)]).toEqual([2, [6, 0]]);
    send(mesh, 1);
    expect(streams(mesh)).toEqual([6, 1]);
  });

  it("is not asked for again and again when the dial for it failed", () => {
    const mesh = http2Mesh();
    mesh.connectsAtOnce = true;
    send(mesh, 1);
    mesh.connectsAtOnce = false;
    const requests = send(mesh, 8);
    mesh.dial(1).fail();
    requests.push(...send(mesh, 5));
    expect(mesh.dials.length).toBe(2);
    expect(requests.every((request) => request.lease !== null)).toBe(true);
    mesh.time.pass(1_000);
    send(mesh, 1);
    expect(mesh.dials.length).toBe(3);
  });

  it("is left alone when the first can take it all again, and closes after its idle time", () => {
    const mesh = http2Mesh({ idleTimeoutMs: 2_000 });
    mesh.connectsAtOnce = true;
    send(mesh, 12);
    mesh.mux(0).finishAll();
    mesh.mux(1).finishAll();
    for (let round = 0; round < 10; round++) {
      send(mesh, 3);
      mesh.time.pass(500);
      mesh.mux(0).finishAll();
    }
    expect(mesh.shared.map((connection) => connection.isOpen)).toEqual([true, false]);
    expect(mesh.count("idleTimeout")).toBe(1);
  });
});

describe("what the peer allows", () => {
  it("nobody exceeds: who finds no room waits, and gets the room of the first stream that ends", () => {
    const mesh = http2Mesh({ maxConnections: 1 });
    mesh.connectsAtOnce = true;
    mesh.onOpened = (made) => {
      made.maxStreams = 2;
    };
    const requests = send(mesh, 4);
    expect(requests.map((request) => request.isWaiting)).toEqual([false, false, true, true]);
    mesh.mux(0).finish();
    expect(requests.map((request) => request.isWaiting)).toEqual([false, false, false, true]);
    mesh.mux(0).allow(5);
    expect(requests.map((request) => request.isWaiting)).toEqual([false, false, false, false]);
    expect(mesh.dials.length).toBe(1);
  });

  it("is lowered by maxConcurrentStreams, which holds at once", () => {
    const mesh = http2Mesh({ maxConnections: 1, maxConcurrentStreams: 2 });
    mesh.connectsAtOnce = true;
    const requests = send(mesh, 3);
    expect([requests.filter((request) => request.isWaiting).length, streams(mesh)]).toEqual([1, [2]]);
    mesh.mux(0).finish();
    expect([requests.filter((request) => request.isWaiting).length, streams(mesh)]).toEqual([0, [2]]);
    mesh.clusters.apply([{ ...mesh.cluster.spec, limits: { ...mesh.cluster.spec.limits, maxConcurrentStreams: 4 } }]);
    send(mesh, 2);
    expect(streams(mesh)).toEqual([4]);
  });

  it("nothing at all (C13): requests wait for the time of a connect, and then fail as if there were no connection", () => {
    const mesh = http2Mesh({ connectTimeoutMs: 10_000 }, { outlierDetection: { ...OUTLIERS, maxEjectionPercent: 100 } });
    mesh.connectsAtOnce = true;
    mesh.onOpened = (made) => {
      made.maxStreams = 0;
    };
    const requests = send(mesh, 5);
    expect(mesh.dials.length).toBe(1);
    mesh.time.pass(9_500);
    expect(requests.every((request) => request.isWaiting)).toBe(true);
    mesh.time.pass(500);
    expect(requests.map((request) => request.error?.code)).toEqual(Array.from({ length: 5 }, () => "connect_timeout"));
    expect([mesh.mux(0).isOpen, mesh.dials.length]).toEqual([false, 1]);
    expect(mesh.leftovers()).toEqual(NOTHING_LEFT);
    expect(mesh.cluster.isIdle).toBe(true);
    expect(mesh.cluster.endpoints[0]?.outlier.consecutive5xx).toBe(1);
    expect(mesh.time.timers.count).toBe(0);
  });

  it("nothing at first, and something in time", () => {
    const mesh = http2Mesh();
    mesh.connectsAtOnce = true;
    mesh.onOpened = (made) => {
      made.maxStreams = 0;
    };
    const requests = send(mesh, 3);
    mesh.time.pass(9_000);
    mesh.mux(0).allow(100);
    expect(requests.every((request) => request.lease !== null)).toBe(true);
    // The time of those who waited is not that of those who wait next.
    mesh.mux(0).finishAll();
    mesh.mux(0).maxStreams = 0;
    const [late] = send(mesh, 1);
    mesh.time.pass(9_000);
    expect(late?.isWaiting).toBe(true);
    mesh.time.pass(1_000);
    expect(late?.error?.code).toBe("connect_timeout");
  });

  it("nothing, and it goes away (CVE-2021-32780): requests fail, and no dial follows another for ever", () => {
    const mesh = http2Mesh();
    mesh.connectsAtOnce = true;
    mesh.onOpened = (made) => {
      made.maxStreams = 0;
    };
    const requests = send(mesh, 3);
    mesh.mux(0).goAway();
    expect(requests.map((request) => request.error?.code)).toEqual(["connect_failure", "connect_failure", "connect_failure"]);
    expect(mesh.dials.length).toBe(1);
    expect(mesh.cluster.isIdle).toBe(true);
  });
});

describe("a connection that goes away (C12)", () => {
  it("finishes what it carries and gets nothing new", () => {
    const mesh = http2Mesh();
    mesh.connectsAtOnce = true;
    const before = send(mesh, 2);
    mesh.mux(0).goAway();
    send(mesh, 1);
    expect(streams(mesh)).toEqual([2, 1]);
    mesh.mux(0).finishAll();
    expect(before.map((request) => request.status)).toEqual([200, 200]);
    expect(mesh.mux(0).isOpen).toBe(false);
    expect(mesh.cluster.limits.connections.count).toBe(1);
  });

  it("its requests that were not processed go onto one new connection, and nothing is held against its endpoint", () => {
    const mesh = http2Mesh({}, { outlierDetection: { ...OUTLIERS, consecutive5xx: 1, maxEjectionPercent: 100 } });
    mesh.connectsAtOnce = true;
    const requests = send(mesh, 6);
    const again: FakeRequest[] = [];
    for (const request of requests) {
      request.onReset = () => again.push(...send(mesh, 1));
    }
    mesh.connectsAtOnce = false;
    mesh.mux(0).goAway(2);
    expect(requests.map((request) => request.error?.code)).toEqual([undefined, undefined, ...Array.from({ length: 4 }, () => "refused_stream")]);
    expect(mesh.dials.length).toBe(2);
    mesh.dial(1).succeed();
    expect(streams(mesh)).toEqual([2, 4]);
    expect(mesh.events).toEqual([]);
  });

  it("a stream refused by a connection that stays counts against its endpoint like any failure", () => {
    const mesh = http2Mesh({}, { outlierDetection: { ...OUTLIERS, consecutive5xx: 2, maxEjectionPercent: 100 }, endpoints: [endpointSpec("10.0.0.1"), endpointSpec("10.0.0.2")] });
    mesh.connectsAtOnce = true;
    for (let round = 0; round < 4; round++) {
      send(mesh, 1);
      mesh.shared.find((connection) => connection.activeStreams > 0)?.resetStream("refused_stream");
    }
    expect(mesh.count("ejected")).toBe(1);
  });

  it("that is idle is closed", () => {
    const mesh = http2Mesh();
    mesh.connectsAtOnce = true;
    send(mesh, 1);
    mesh.mux(0).finish();
    mesh.mux(0).goAway();
    expect(mesh.mux(0).isOpen).toBe(false);
    expect(mesh.cluster.isIdle).toBe(true);
  });

  it("that is lost fails what it carried, and who waited gets a new one", () => {
    const mesh = http2Mesh({ maxConnections: 1 });
    mesh.connectsAtOnce = true;
    mesh.onOpened = (made) => {
      made.maxStreams = 2;
    };
    const requests = send(mesh, 3);
    mesh.mux(0).close();
    expect(requests.map((request) => request.error?.code)).toEqual(["upstream_disconnect", "upstream_disconnect", undefined]);
    expect(streams(mesh)).toEqual([0, 1]);
    expect(mesh.cluster.limits.requests.count).toBe(1);
  });
});

describe("the life of a connection", () => {
  it("ends after maxRequestsPerConnection requests, and not before they are done", () => {
    const mesh = http2Mesh({ maxRequestsPerConnection: 3 });
    mesh.connectsAtOnce = true;
    const requests = send(mesh, 4);
    expect(streams(mesh)).toEqual([3, 1]);
    expect(mesh.count("maxRequestsReached")).toBe(1);
    mesh.mux(0).finishAll();
    expect(requests.slice(0, 3).map((request) => request.status)).toEqual([200, 200, 200]);
    expect(mesh.mux(0).isOpen).toBe(false);
  });

  it("with one request each is a connection for each, one after the other", () => {
    const mesh = http2Mesh({ maxRequestsPerConnection: 1 });
    mesh.connectsAtOnce = true;
    send(mesh, 3);
    expect(streams(mesh)).toEqual([1, 1, 1]);
    for (const connection of mesh.shared) connection.finish();
    expect(mesh.cluster.isIdle).toBe(true);
  });

  it("ends when it lay idle for too long; then a new one is dialled", () => {
    const mesh = http2Mesh({ idleTimeoutMs: 2_000 });
    mesh.connectsAtOnce = true;
    send(mesh, 2);
    mesh.time.pass(5_000);
    expect(mesh.mux(0).isOpen).toBe(true);
    mesh.mux(0).finishAll();
    mesh.time.pass(2_500);
    expect([mesh.mux(0).isOpen, mesh.count("idleTimeout")]).toEqual([false, 1]);
    expect(mesh.time.timers.count).toBe(0);
    send(mesh, 1);
    expect(mesh.shared.length).toBe(2);
  });

  it("its close teaches how long its peer keeps idle ones", () => {
    const mesh = http2Mesh();
    mesh.connectsAtOnce = true;
    send(mesh, 1);
    mesh.mux(0).finish();
    mesh.time.pass(2_000);
    mesh.mux(0).close();
    send(mesh, 1);
    mesh.mux(1).finish();
    mesh.time.nowMs += 1_900;
    send(mesh, 1);
    expect(streams(mesh)).toEqual([0, 0, 1]);
  });

  it("a request lost to one that was idle is replayed on a fresh one: not an idle one, but any that is in use", () => {
    const mesh = http2Mesh();
    mesh.connectsAtOnce = true;
    send(mesh, 9);
    mesh.mux(0).finishAll();
    mesh.mux(1).finishAll();
    send(mesh, 1, { needsFreshConnection: true });
    expect(streams(mesh)).toEqual([0, 0, 1]);
    send(mesh, 2, { needsFreshConnection: true });
    expect(streams(mesh)).toEqual([0, 0, 3]);
    const mesh2 = http2Mesh({ maxConnections: 1 });
    mesh2.connectsAtOnce = true;
    send(mesh2, 1);
    mesh2.mux(0).finish();
    send(mesh2, 1, { needsFreshConnection: true });
    expect([mesh2.mux(0).isOpen, streams(mesh2)]).toEqual([false, [0, 1]]);
  });

  it("a request that was given up before it was sent leaves the connection as it was", () => {
    const mesh = http2Mesh();
    mesh.connectsAtOnce = true;
    const request = new FakeRequest();
    request.sendsAtOnce = false;
    mesh.acquire(H2, request);
    request.lease?.release();
    expect(mesh.leftovers()).toEqual(NOTHING_LEFT);
    expect(mesh.cluster.state().endpoints[0]?.connections).toEqual({ busy: 0, idle: 1, dialling: 0, tcp: 0, multiplexed: 1 });
    expect(send(mesh, 1, { needsFreshConnection: true })[0]?.lease).not.toBeNull();
    expect(mesh.dials.length).toBe(1);
  });

  it("a lease cannot cut the requests of others", () => {
    const mesh = http2Mesh();
    mesh.connectsAtOnce = true;
    const [first, second] = send(mesh, 2);
    first?.lease?.destroy();
    expect(mesh.mux(0).isOpen).toBe(true);
    mesh.mux(0).finishAll();
    expect(second?.status).toBe(200);
  });
});

describe("identity rotation (F10)", () => {
  it("nothing new goes onto a connection of the old generation, what it carries is finished", () => {
    for (const isTold of [true, false]) {
      const mesh = hopMesh();
      mesh.connectsAtOnce = true;
      mesh.alpn = "outrider";
      const before = [mesh.acquire(), mesh.acquire()];
      mesh.generation = 2;
      if (isTold) mesh.clusters.closeStale();
      mesh.acquire();
      expect(streams(mesh)).toEqual([2, 1]);
      mesh.mux(0).finishAll();
      expect(before.map((request) => request.status)).toEqual([200, 200]);
      expect(mesh.mux(0).isOpen).toBe(false);
    }
  });

  it("an idle one is closed at once", () => {
    const mesh = hopMesh();
    mesh.connectsAtOnce = true;
    mesh.alpn = "outrider";
    mesh.acquire();
    mesh.mux(0).finish();
    mesh.generation = 2;
    mesh.clusters.closeStale();
    expect(mesh.mux(0).isOpen).toBe(false);
  });

  it("a dial that the rotation overtook serves somebody, and the others get a dial under the new identity", () => {
    const mesh = hopMesh();
    const requests = [mesh.acquire(), mesh.acquire(), mesh.acquire()];
    mesh.generation = 2;
    const [dial] = mesh.dials;
    dial?.succeed("outrider");
    expect(requests.filter((request) => request.isWaiting).length).toBe(2);
    mesh.dial(1).succeed("outrider");
    expect(requests.every((request) => request.lease !== null)).toBe(true);
  });
});

describe("a new snapshot and the end", () => {
  it("an endpoint that left finishes its streams; its idle connection closes", () => {
    const mesh = http2Mesh();
    mesh.connectsAtOnce = true;
    const [request] = send(mesh, 1);
    mesh.clusters.apply([clusterSpec(["10.0.0.2"], { protocol: "http2" })]);
    mesh.mux(0).finish();
    expect([request?.status, mesh.mux(0).isOpen]).toEqual([200, false]);
    expect(mesh.cluster.isIdle).toBe(true);
  });

  it("who waits for an endpoint that left is still served", () => {
    const mesh = http2Mesh();
    const requests = send(mesh, 2);
    mesh.clusters.apply([clusterSpec(["10.0.0.2"], { protocol: "http2" })]);
    mesh.dial(0).succeed();
    mesh.mux(0).finishAll();
    expect([requests.map((request) => request.status), mesh.mux(0).isOpen]).toEqual([[200, 200], false]);
  });

  it.each([[{ hop: false }], [{ protocol: "http2" }]] as const)("%j: connections of the other kind are not used on", (changes) => {
    const mesh = hopMesh();
    mesh.connectsAtOnce = true;
    mesh.alpn = "outrider";
    mesh.acquire();
    mesh.mux(0).finish();
    mesh.clusters.apply([{ ...mesh.cluster.spec, ...changes }]);
    expect(mesh.mux(0).isOpen).toBe(false);
  });

  it("closeAll cuts everything, fails who waits, leaves no timer", () => {
    const mesh = http2Mesh({ maxConnections: 1 });
    mesh.connectsAtOnce = true;
    mesh.onOpened = (made) => {
      made.maxStreams = 1;
    };
    const requests = send(mesh, 2);
    mesh.clusters.closeAll();
    expect(requests.map((request) => request.error?.code)).toEqual(["upstream_disconnect", "no_healthy_upstream"]);
    expect(mesh.cluster.isIdle).toBe(true);
    expect(mesh.leftovers()).toEqual(NOTHING_LEFT);
    expect(mesh.time.timers.count).toBe(0);
  });
});
