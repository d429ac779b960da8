import { createServer as createHttpServer, type RequestListener } from "node:http";
import { createServer as createHttp2Server, type ServerHttp2Stream } from "node:http2";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { HealthChecks } from "../../../src/control/health-checks.ts";
import type { ClusterSpec, Snapshot, UpstreamTlsSpec } from "../../../src/config/snapshot.ts";
import type { HealthCheckSpec } from "../../../src/config/snapshot-cluster.ts";
import { systemClock } from "../../../src/core/clock.ts";
import { TimerWheel } from "../../../src/core/timer-wheel.ts";
import type { IdentityMaterial } from "../../../src/identity/identity-material.ts";
import { Logger } from "../../../src/telemetry/log.ts";
import { SeriesReader } from "../../../src/telemetry/series-reader.ts";
import { SeriesWriter } from "../../../src/telemetry/series-writer.ts";
import type { AddressLookup } from "../../../src/upstream/address-lookup.ts";
import { clusterSpec, endpointSpec } from "../cluster/fakes.ts";
import { TlsTestServer } from "../connection/tls-peer.ts";
import { idOf, identityOf, materialOf, newCa } from "../identity/test-mesh.ts";
import { snapshotOf } from "./sidecar.ts";

const NAME = "outbound|9080||reviews.default.svc.cluster.local";
const CHECK: HealthCheckSpec = {
  protocol: "http", path: "/ready", host: "reviews.test", service: "", port: null, intervalMs: 50, timeoutMs: 5_000, unhealthyThreshold: 2, healthyThreshold: 2,
  expectedStatuses: [{ from: 200, to: 299 }],
};
const EMPTY = snapshotOf("");

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop();
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

async function http(answer: RequestListener): Promise<number> {
  const server = createHttpServer(answer);
  stops.push(() => {
    server.close();
    server.closeAllConnections();
  });
  return listening(server);
}

/** A port nobody listens on. */
async function closedPort(): Promise<number> {
  const server = createServer();
  const port = await listening(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Health checks, and all they say. */
class Checking {
  readonly published: [string, readonly string[]][] = [];
  readonly log: string[] = [];
  readonly reader = new SeriesReader();
  readonly checks: HealthChecks;

  constructor(material: IdentityMaterial | null = null, lookup: AddressLookup = async () => ({ kind: "none", reason: "no name is known" })) {
    const timers = new TimerWheel(systemClock);
    this.checks = new HealthChecks({
      clock: systemClock, timers, random: () => 0, lookup,
      log: new Logger({ write: (line) => this.log.push(line) }, systemClock, timers, { level: "debug" }),
      metrics: new SeriesWriter((batch) => this.reader.accept("control", batch)),
      publish: (cluster, failing) => this.published.push([cluster, failing]),
    });
    if (material !== null) this.checks.applyIdentity(material);
    stops.push(() => this.checks.stop());
  }

  apply(...clusters: readonly ClusterSpec[]): void {
    const snapshot: Snapshot = { ...EMPTY, clusters };
    this.checks.apply(snapshot);
  }

  count(what: string, cluster = NAME): number {
    return this.reader.value(`envoy_cluster_health_check_${what}`, { cluster_name: cluster }) ?? 0;
  }

  /** Endpoints of the cluster that are not to be used. */
  failing(cluster = NAME): readonly string[] {
    return this.published.findLast(([name]) => name === cluster)?.[1] ?? [];
  }
}

const checked = (ports: readonly number[], check: Partial<HealthCheckSpec> = {}, changes: Partial<ClusterSpec> = {}): ClusterSpec =>
  clusterSpec([], { name: NAME, endpoints: ports.map((port) => endpointSpec("127.0.0.1", { port })), healthCheck: { ...CHECK, ...check }, ...changes });

describe("active health checks", () => {
  it("ask over HTTP as they are told to, at once and again at every interval", async () => {
    const asked: string[] = [];
    const port = await http((request, response) => {
      asked.push(`${request.method} ${request.url} ${request.headers.host} ${request.headers["user-agent"]}`);
      response.end();
    });
    const checking = new Checking();
    checking.apply(checked([port]));
    await until(() => checking.count("success") >= 3);
    expect(new Set(asked)).toEqual(new Set(["GET /ready reviews.test outrider-health-check"]));
    expect([checking.count("failure"), checking.failing(), checking.count("healthy")]).toEqual([0, [], 1]);
  });

  it("an answer that is not expected counts at once, two good ones bring the endpoint back; events are logged", async () => {
    let status = 500;
    const port = await http((_request, response) => {
      response.statusCode = status;
      response.end("a body that nobody reads");
    });
    const other = await http((_request, response) => response.end());
    const checking = new Checking();
    checking.apply(checked([port, other]));
    await until(() => checking.failing().length > 0);
    expect([checking.failing(), checking.count("healthy")]).toEqual([[`127.0.0.1:${port}`], 1]);
    expect(JSON.parse(checking.log[0] ?? "")).toMatchObject({ level: "warn", endpoint: `127.0.0.1:${port}`, clusters: NAME, reason: "status 500" });
    status = 204;
    await until(() => checking.failing().length === 0);
    expect(checking.count("healthy")).toBe(2);
    expect(JSON.parse(checking.log[1] ?? "")).toMatchObject({ level: "info", endpoint: `127.0.0.1:${port}`, reason: "status 204" });
  });

  it("silence and refused connections count against the endpoint only after the threshold", async () => {
    const silent = createServer((socket) => socket.on("error", () => undefined));
    const port = await listening(silent);
    stops.push(() => silent.close());
    const closed = await closedPort();
    const checking = new Checking();
    checking.apply(checked([port], { timeoutMs: 40, unhealthyThreshold: 3 }), checked([closed], { timeoutMs: 60_000, unhealthyThreshold: 3 }, { name: "closed" }));
    await until(() => checking.failing().length === 1 && checking.failing("closed").length === 1);
    for (const [cluster, reason] of [[NAME, "no answer within 40 ms"], ["closed", "connection refused"]] as const) {
      expect(checking.count("network_failure", cluster)).toBeGreaterThanOrEqual(3);
      expect(checking.log.filter((line) => line.includes(`"clusters":"${cluster}"`) && line.includes(reason))).toHaveLength(1);
    }
  });

  it("of TCP: a connection is enough, and another port may be asked", async () => {
    const server = createServer((socket) => socket.on("error", () => undefined).resume());
    const port = await listening(server);
    stops.push(() => server.close());
    const checking = new Checking();
    checking.apply(checked([await closedPort()], { protocol: "tcp", port }));
    await until(() => checking.count("success") >= 2);
    expect(checking.count("failure")).toBe(0);
  });

  it.each([
    ["00000000020801", "0", true, "SERVING"],
    ["00000000020802", "0", false, "NOT_SERVING"],
    ["0000", "0", false, "an answer that is no gRPC health status"],
    ["", "5", false, "gRPC status 5"],
  ])("of gRPC: %s and status %s", async (hex, grpcStatus, isHealthy, reason) => {
    const asked: string[] = [];
    const server = createHttp2Server();
    server.on("session", (session) => session.on("error", () => undefined));
    server.on("stream", (stream: ServerHttp2Stream, headers) => {
      let body = Buffer.alloc(0);
      stream.on("error", () => undefined);
      stream.on("data", (chunk: Buffer) => (body = Buffer.concat([body, chunk])));
      stream.on("end", () => {
        asked.push(`${headers[":method"]} ${headers[":path"]} ${String(headers["content-type"])} ${body.toString("hex")}`);
        stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
        stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": grpcStatus }));
        stream.end(Buffer.from(hex, "hex"));
      });
    });
    const port = await listening(server);
    stops.push(() => server.close());
    const checking = new Checking();
    checking.apply(checked([port], { protocol: "grpc", service: "shop" }));
    await until(() => checking.count("attempt") >= 1);
    expect(asked[0]).toBe("POST /grpc.health.v1.Health/Check application/grpc 00000000060a0473686f70");
    expect(checking.failing()).toEqual(isHealthy ? [] : [`127.0.0.1:${port}`]);
    if (!isHealthy) expect(checking.log[0]).toContain(reason);
  });

  it("ask every address of an endpoint that is a name, and those it has later", async () => {
    const port = await http((_request, response) => {
      response.statusCode = 500;
      response.end();
    });
    let addresses = ["127.0.0.1"];
    const checking = new Checking(null, async () => ({ kind: "found", addresses, ttlMs: 1 }));
    const named = checked([], { intervalMs: 50 }, { endpoints: [endpointSpec("db.test", { port })], dns: { mode: "STRICT_DNS", family: "v4", refreshMs: 1_000 } });
    checking.apply(named);
    await until(() => checking.failing().length === 1);
    expect(checking.failing()).toEqual([`127.0.0.1:${port}`]);
    addresses = [];
    // Another configuration, and the names are looked up anew.
    checking.apply();
    expect(checking.failing()).toEqual([]);
    checking.apply({ ...named, dns: { mode: "LOGICAL_DNS", family: "v4", refreshMs: 1_000 } });
    addresses = ["127.0.0.1"];
    await until(() => checking.failing().length === 1);
    expect(checking.failing()).toEqual([`db.test:${port}`]);
  });

  it("say whose connection it is to servers that expect a PROXY header", async () => {
    let received = "";
    const server = createServer((socket) => {
      socket.on("error", () => undefined);
      socket.on("data", (chunk) => {
        received += chunk.toString("latin1");
        if (received.includes("\r\n\r\n")) socket.end("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
      });
    });
    const port = await listening(server);
    stops.push(() => server.close());
    const checking = new Checking();
    checking.apply(checked([port], { intervalMs: 60_000 }, { proxyProtocol: "V1" }));
    await until(() => checking.count("success") === 1);
    expect(received).toMatch(/^PROXY TCP4 127\.0\.0\.1 127\.0\.0\.1 \d+ \d+\r\nGET \/ready HTTP\/1\.1\r\n/);
  });

  it("go through mesh TLS where requests do, and wait for our certificate", async () => {
    const ca = newCa();
    const server = await TlsTestServer.listen(identityOf(ca, "reviews"), { alpnPreference: ["http/1.1"] });
    stops.push(() => server.close());
    const tls: UpstreamTlsSpec = { mode: "ISTIO_MUTUAL", serverName: "reviews", expectedIdentities: [idOf("reviews")] };
    const checking = new Checking();
    const cluster = (identity: string): ClusterSpec => checked([], { unhealthyThreshold: 1, intervalMs: 60_000, timeoutMs: 60_000 }, {
      tls: { ...tls, expectedIdentities: [idOf(identity)] }, endpoints: [endpointSpec("127.0.0.1", { port: server.port, isMeshTls: true })],
    });
    checking.apply(cluster("reviews"));
    checking.checks.applyIdentity(materialOf(ca.issue(idOf("caller"))));
    const { socket, facts } = await server.next();
    expect(facts).toMatchObject({ peer: { spiffeId: idOf("caller") } });
    socket?.on("error", () => undefined);
    socket?.once("data", () => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
    socket?.resume();
    await until(() => checking.count("success") === 1);
    expect(checking.count("failure")).toBe(0);
    // Somebody else's certificate is no sign of health.
    checking.apply(cluster("ratings"));
    await until(() => checking.failing().length > 0);
    expect(checking.log.at(-1)).toContain("ratings");
  });

  it("ask an endpoint of several clusters once for all, and forget what is not asked for any more", async () => {
    let asked = 0;
    const port = await http((_request, response) => {
      asked++;
      response.statusCode = 503;
      response.end();
    });
    const checking = new Checking();
    const twice = [checked([port], { intervalMs: 60_000 }), checked([port], { intervalMs: 60_000 }, { name: "outbound|9080|v1|reviews" })];
    checking.apply(...twice);
    await until(() => checking.failing().length === 1 && checking.failing("outbound|9080|v1|reviews").length === 1);
    expect(asked).toBe(1);
    checking.apply(...twice);
    expect(checking.failing()).toHaveLength(1);
    checking.apply(clusterSpec([], { name: NAME, endpoints: [endpointSpec("127.0.0.1", { port })] }));
    expect([checking.failing(), checking.failing("outbound|9080|v1|reviews"), asked]).toEqual([[], [], 1]);
  });

  it("have a bounded number of probes under way; the others get their turn", async () => {
    const open = new Set<Socket>();
    const server = createServer((socket) => {
      open.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => open.delete(socket));
      socket.resume();
    });
    await new Promise<void>((resolve) => server.listen(0, "0.0.0.0", resolve));
    const { port } = server.address() as AddressInfo;
    stops.push(() => server.close());
    const endpoints = Array.from({ length: 100 }, (_, index) => endpointSpec(`127.0.1.${index + 1}`, { port }));
    const checking = new Checking();
    checking.apply(checked([], { timeoutMs: 60_000, intervalMs: 60_000 }, { endpoints }));
    await until(() => open.size === 64);
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
    expect(open.size).toBe(64);
    for (const socket of open) socket.destroy();
    await until(() => open.size === 36);
    for (const socket of open) socket.destroy();
    await until(() => checking.count("attempt") === 100);
    expect(checking.failing()).toEqual([]);
  });
});
