import { describe, expect, it } from "vitest";
import type { AcquireRequest } from "../../src/cluster/cluster.ts";
import type { ClusterSpec, LimitsSpec } from "../../src/config/snapshot.ts";
import { clusterSpec, endpointSpec, FakeMesh, type FakeRequest, NO_LIMITS, NOTHING_LEFT, OUTLIERS } from "../unit/cluster/fakes.ts";

const TLS = { mode: "ISTIO_MUTUAL", serverName: "reviews", expectedIdentities: [] } as const;

/** One way a pool carries requests. */
export interface PoolKind {
  readonly request: Pick<AcquireRequest, "protocol">;
  /** What the handshake agrees on. */
  readonly alpn: string | null;
  readonly hop: boolean;
  readonly metric: "http1" | "http2";
}

/** Ends the request that was sent first and is still under way with `status`. */
function finish(mesh: FakeMesh, status = 200): void {
  const client = mesh.clients.find((candidate) => candidate.receiver !== null);
  if (client !== undefined) client.finish(status);
  else mesh.shared.find((candidate) => candidate.activeStreams > 0)?.finish(status);
}

const open = (mesh: FakeMesh): number => [...mesh.clients, ...mesh.shared].filter((connection) => connection.isOpen).length;

/** What holds for every pool of HTTP connections, however many requests one of them carries (`spec/04` 4.3, 4.5, 4.9). */
export function describePool(name: string, kind: PoolKind): void {
  function make(limits: Partial<LimitsSpec> = {}, changes: Partial<ClusterSpec> = {}): FakeMesh {
    const mesh = new FakeMesh(clusterSpec([], {
      endpoints: [endpointSpec("10.0.0.1", { isMeshTls: true })], tls: TLS, hop: kind.hop, limits: { ...NO_LIMITS, ...limits }, ...changes,
    }));
    mesh.alpn = kind.alpn;
    mesh.connectsAtOnce = true;
    return mesh;
  }
  const ask = (mesh: FakeMesh, count = 1): FakeRequest[] => Array.from({ length: count }, () => mesh.acquire(kind.request));

  describe(name, () => {
    it("maxRequests counts requests, whatever carries them", () => {
      const mesh = make({ maxRequests: 3 });
      const requests = ask(mesh, 4);
      expect(requests.map((request) => request.error?.code)).toEqual([undefined, undefined, undefined, "overflow"]);
      expect(mesh.count("activeOverflow")).toBe(1);
      expect(mesh.counts.get("limitChanged rq")).toBe(1);
      finish(mesh);
      expect(ask(mesh)[0]?.lease).not.toBeNull();
    });

    it("maxRequests holds for requests that waited, too", () => {
      const mesh = make({ maxRequests: 2 });
      mesh.connectsAtOnce = false;
      const requests = ask(mesh, 4);
      for (const dial of mesh.dials) if (!dial.isCancelled) dial.succeed(kind.alpn);
      expect(requests.filter((request) => request.lease !== null).length).toBe(2);
      expect(requests.filter((request) => request.error?.code === "overflow").length).toBe(2);
      while (mesh.cluster.limits.requests.count > 0) finish(mesh);
      expect(mesh.leftovers()).toEqual(NOTHING_LEFT);
    });

    it("maxPendingRequests counts requests that wait", () => {
      const mesh = make({ maxPendingRequests: 2 });
      mesh.connectsAtOnce = false;
      const requests = ask(mesh, 3);
      expect(requests.map((request) => request.error?.code)).toEqual([undefined, undefined, "overflow"]);
      expect(mesh.count("pendingOverflow")).toBe(1);
      requests[0]?.cancel();
      expect(ask(mesh)[0]?.isWaiting).toBe(true);
    });

    it("maxConnectionDuration: a connection that old ends after its request, and a new one takes over", () => {
      const mesh = make({ maxConnectionDurationMs: 60_000 });
      const [request] = ask(mesh);
      mesh.time.pass(61_000);
      expect([open(mesh), request?.error, mesh.count("maxDurationReached")]).toEqual([1, null, 1]);
      finish(mesh);
      expect([open(mesh), mesh.cluster.limits.connections.count, mesh.leftovers()]).toEqual([0, 0, NOTHING_LEFT]);
      ask(mesh);
      expect([open(mesh), mesh.dials.length]).toEqual([1, 2]);
    });

    it("maxConnectionDuration: an idle connection that old is closed, up to a tenth earlier", () => {
      const mesh = make({ maxConnectionDurationMs: 10_000 });
      ask(mesh);
      finish(mesh);
      mesh.time.pass(8_500);
      expect(open(mesh)).toBe(1);
      mesh.time.pass(2_000);
      expect([open(mesh), mesh.count("maxDurationReached"), mesh.cluster.isIdle]).toEqual([0, 1, true]);
    });

    it("maxConnectionDuration: who ends earlier leaves no timer behind", () => {
      const mesh = make({ maxConnectionDurationMs: 600_000 });
      const before = mesh.time.timers.count;
      ask(mesh);
      finish(mesh);
      mesh.cluster.drain();
      expect([open(mesh), mesh.time.timers.count]).toEqual([0, before]);
    });

    it("maxConnections counts sockets, open and dialled", () => {
      const mesh = make({ maxConnections: 2, maxConcurrentStreams: 2 });
      const requests = ask(mesh, 7);
      expect([open(mesh), mesh.dials.length, mesh.cluster.limits.connections.count]).toEqual([2, 2, 2]);
      expect(mesh.count("connectionOverflow")).toBeGreaterThan(0);
      for (let count = 0; count < 7; count++) finish(mesh);
      expect(requests.map((request) => request.status)).toEqual(Array.from({ length: 7 }, () => 200));
      expect(mesh.cluster.limits.connections.count).toBe(2);
    });

    it("maxRequestsPerConnection closes a connection after its last request", () => {
      const mesh = make({ maxRequestsPerConnection: 2 });
      for (let count = 0; count < 6; count++) {
        ask(mesh);
        finish(mesh);
      }
      expect([mesh.dials.length, open(mesh), mesh.count("maxRequestsReached")]).toEqual([3, 0, 3]);
      expect(mesh.cluster.isIdle).toBe(true);
    });

    it("the idle time-out closes a connection without requests, and no other", () => {
      const mesh = make({ idleTimeoutMs: 2_000 });
      ask(mesh);
      mesh.time.pass(4_000);
      expect(open(mesh)).toBe(1);
      finish(mesh);
      mesh.time.pass(1_500);
      expect(open(mesh)).toBe(1);
      mesh.time.pass(1_000);
      expect([open(mesh), mesh.count("idleTimeout")]).toEqual([0, 1]);
      expect(mesh.time.timers.count).toBe(0);
    });

    it("counts requests towards least request and for operators", () => {
      const mesh = make();
      const requests = ask(mesh, 3);
      const state = () => mesh.cluster.state().endpoints[0];
      expect(state()).toMatchObject({ activeRequests: 3, totalRequests: 3, waitingRequests: 0 });
      finish(mesh);
      expect(state()).toMatchObject({ activeRequests: 2, totalRequests: 3 });
      requests[1]?.stream?.reset();
      requests[1]?.lease?.release();
      expect(state()?.activeRequests).toBe(1);
      finish(mesh);
      expect([mesh.count("requestStarted"), mesh.count("requestFinished"), mesh.count("responded")]).toEqual([3, 3, 2]);
      expect(mesh.counts.get(`connectionOpened ${kind.metric}`)).toBe(mesh.dials.length);
    });

    it("every failing request counts towards ejection", () => {
      const mesh = make({}, {
        outlierDetection: { ...OUTLIERS, consecutive5xx: 5, maxEjectionPercent: 100 },
        endpoints: [endpointSpec("10.0.0.1", { isMeshTls: true })],
      });
      ask(mesh, 5);
      for (let count = 0; count < 4; count++) finish(mesh, 503);
      expect(mesh.count("ejectionDetected")).toBe(0);
      finish(mesh, 503);
      expect(mesh.counts.get("ejectionDetected consecutive_5xx")).toBe(1);
    });

    it("who is given up while waiting hears nothing, and the connection is kept", () => {
      const mesh = make();
      mesh.connectsAtOnce = false;
      const [first] = ask(mesh);
      first?.cancel();
      mesh.dial(0).succeed(kind.alpn);
      expect([first?.told, mesh.count("requestCancelled")]).toEqual([0, 1]);
      ask(mesh);
      expect([mesh.dials.length, mesh.leftovers()]).toEqual([1, { ...NOTHING_LEFT, requests: 1, active: 1 }]);
    });

    it("a connection of another identity or trust serves nobody new", () => {
      const mesh = make();
      const [before] = ask(mesh);
      mesh.generation = 2;
      const [after] = ask(mesh);
      expect([before?.lease?.facts?.generation, after?.lease?.facts?.generation]).toEqual([1, 2]);
      finish(mesh);
      mesh.clusters.closeStale();
      expect(open(mesh)).toBe(1);
    });

    it("an endpoint that left keeps no connection", () => {
      const mesh = make();
      const [request] = ask(mesh);
      mesh.clusters.apply([clusterSpec(["10.0.0.2"])]);
      finish(mesh);
      expect([request?.status, open(mesh), mesh.cluster.isIdle]).toEqual([200, 0, true]);
    });
  });
}
