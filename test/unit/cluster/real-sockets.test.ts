import { createServer as createHttpServer, type Server as HttpServer } from "node:http";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { once } from "node:events";
import { afterEach, describe, expect, it } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import { TimerWheel } from "../../../src/core/timer-wheel.ts";
import type { ClusterSpec } from "../../../src/config/snapshot.ts";
import type { Cluster } from "../../../src/cluster/cluster.ts";
import { Clusters } from "../../../src/cluster/clusters.ts";
import { NO_CLUSTER_METRICS } from "../../../src/cluster/cluster-metrics.ts";
import type { OutlierEvent } from "../../../src/cluster/outlier-detector.ts";
import type { LeaseReceiver, RequestLease } from "../../../src/cluster/request-lease.ts";
import type { TlsIdentity } from "../../../src/identity/tls-identity.ts";
import { RequestHead, type ResponseHead } from "../../../src/message/head.ts";
import { HeaderList } from "../../../src/message/header-list.ts";
import type { ProxyError } from "../../../src/message/proxy-error.ts";
import type { ResponseReceiver, UpstreamConnection } from "../../../src/message/stream.ts";
import { Connector } from "../../../src/upstream/connector.ts";
import { Http1Client } from "../../../src/upstream/http1-client.ts";
import { seededRandom } from "../../contract/load-balancer.ts";
import { clusterSpec, endpointSpec, NOTHING_LEFT, OUTLIERS } from "./fakes.ts";

/** One request; settles when its response is complete or it failed. */
class Call implements LeaseReceiver, ResponseReceiver {
  readonly done: Promise<Call>;
  status = 0;
  body = "";
  error: ProxyError | null = null;
  endpoint = "";
  wasReused = false;
  #lease: RequestLease | null = null;
  #settle: () => void = () => {};

  constructor(cluster: Cluster) {
    this.done = new Promise((resolve) => {
      this.#settle = () => resolve(this);
    });
    cluster.acquire({ originalDestination: null, protocol: "http1", excludedEndpoints: null }, this);
  }

  ready(connection: UpstreamConnection, lease: RequestLease): void {
    this.#lease = lease;
    this.endpoint = lease.endpoint.name;
    this.wasReused = lease.isReused;
    connection.request(new RequestHead("GET", "reviews", "/", new HeaderList()), true, this);
  }

  failed(error: ProxyError): void {
    this.reset(error);
  }

  head(head: ResponseHead, end: boolean): void {
    this.status = head.status;
    this.#lease?.reportStatus(head.status);
    if (end) this.end();
  }

  data(chunk: Buffer): void {
    this.body += chunk.toString("latin1");
  }

  end(): void {
    this.#lease?.release();
    this.#settle();
  }

  reset(error: ProxyError): void {
    this.error = error;
    this.#lease?.reportReset(error);
    this.end();
  }

  informational(): void {}
  drain(): void {}
}

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

async function listen<S extends Server | HttpServer>(server: S): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  closing.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

async function application(name: string): Promise<number> {
  const server = createHttpServer((_request, response) => response.end(name));
  closing.push(() => server.closeAllConnections());
  return listen(server);
}

/** A port that nothing listens on. */
async function closedPort(): Promise<number> {
  const server = createServer();
  const port = await listen(server);
  server.close();
  await once(server, "close");
  return port;
}

function mesh(spec: ClusterSpec): { clusters: Clusters; cluster: Cluster; events: OutlierEvent[] } {
  const timers = new TimerWheel(systemClock);
  const connector = new Connector({ identity: { generation: 1 } as TlsIdentity, timers, trustDomains: () => [] });
  const events: OutlierEvent[] = [];
  const clusters = new Clusters({
    clock: systemClock,
    timers,
    random: seededRandom(1),
    dial: (target, done) => connector.connect(target, done),
    openClient: (socket, facts, owner) => new Http1Client(socket, facts, owner, { timers }),
    tlsGeneration: () => 1,
    metrics: () => NO_CLUSTER_METRICS,
    outliers: { outlier: (event) => events.push(event) },
  });
  clusters.apply([spec]);
  closing.push(() => clusters.closeAll());
  return { clusters, cluster: clusters.get(spec.name) as Cluster, events };
}

const at = (ports: readonly number[], changes: Partial<ClusterSpec> = {}): ClusterSpec =>
  clusterSpec([], { endpoints: ports.map((port) => endpointSpec("127.0.0.1", { port })), ...changes });

function leftovers(cluster: Cluster): unknown {
  const { limits, endpoints } = cluster.state();
  return {
    pending: limits.pendingRequests.count,
    requests: limits.requests.count,
    active: endpoints.reduce((sum, endpoint) => sum + endpoint.activeRequests, 0),
    waiting: endpoints.reduce((sum, endpoint) => sum + endpoint.waitingRequests, 0),
  };
}

describe("clusters on real sockets", () => {
  it("reuse connections and balance", async () => {
    const ports = [await application("one"), await application("two")];
    const { cluster } = mesh(at(ports));
    const bodies: string[] = [];
    for (let round = 0; round < 10; round++) bodies.push((await new Call(cluster).done).body);
    expect(bodies.filter((body) => body === "one").length).toBe(5);
    expect(cluster.limits.connections.count).toBe(2);
    expect(leftovers(cluster)).toEqual(NOTHING_LEFT);
  });

  it("lose no request while endpoints come and go", async () => {
    const ports = [await application("one"), await application("two"), await application("three")];
    const { clusters, cluster } = mesh(at(ports, { limits: { ...at([]).limits, maxConnections: 6 }, loadBalancer: "LEAST_REQUEST" }));
    const random = seededRandom(3);
    let left = 1_200;
    const worker = async (): Promise<number> => {
      let failures = 0;
      while (left-- > 0) {
        if (left % 25 === 0) {
          const kept = ports.filter(() => random() < 0.7);
          clusters.apply([at(kept.length > 0 ? kept : ports.slice(0, 1), { limits: { ...at([]).limits, maxConnections: 2 + Math.floor(random() * 8) } })]);
        }
        const call = await new Call(cluster).done;
        if (call.status !== 200) failures++;
      }
      return failures;
    };
    expect(await Promise.all(Array.from({ length: 12 }, worker))).toEqual(Array.from({ length: 12 }, () => 0));
    expect(leftovers(cluster)).toEqual(NOTHING_LEFT);
    clusters.apply([]);
    while (!cluster.isIdle) await new Promise((resolve) => setImmediate(resolve));
  });

  it("fail at once where nothing listens, eject, and keep the last endpoint", async () => {
    const ports = [await closedPort(), await closedPort()];
    const { cluster, events } = mesh(at(ports, { outlierDetection: { ...OUTLIERS, consecutive5xx: 3, maxEjectionPercent: 100 } }));
    const calls = [];
    for (let round = 0; round < 10; round++) calls.push(await new Call(cluster).done);
    expect(new Set(calls.map((call) => call.error?.code))).toEqual(new Set(["connect_failure"]));
    expect(cluster.endpoints.filter((endpoint) => endpoint.isEjected).length).toBe(1);
    expect(events.map((event) => event.kind)).toContain("kept");
    expect(cluster.isIdle).toBe(true);
    expect(leftovers(cluster)).toEqual(NOTHING_LEFT);
  });

  it("do not use a connection that its peer has closed", async () => {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("data", () => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"));
    });
    const { cluster } = mesh(at([await listen(server)]));
    expect((await new Call(cluster).done).body).toBe("ok");
    expect((await new Call(cluster).done).wasReused).toBe(true);
    for (const socket of sockets) socket.end();
    while (cluster.limits.connections.count > 0) await new Promise((resolve) => setImmediate(resolve));
    const call = await new Call(cluster).done;
    expect([call.body, call.wasReused]).toEqual(["ok", false]);
  });

  it("never give a response that nobody asked for to the next request", async () => {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("data", () => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"));
    });
    const { cluster } = mesh(at([await listen(server)]));
    await new Call(cluster).done;
    for (const socket of sockets) socket.write("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison");
    while (cluster.limits.connections.count > 0) await new Promise((resolve) => setImmediate(resolve));
    expect((await new Call(cluster).done).body).toBe("ok");
  });

  it("carry opaque bytes, and count until the socket closes", async () => {
    const server = createServer((socket) => {
      socket.on("error", () => {});
      socket.pipe(socket);
    });
    const { cluster } = mesh(at([await closedPort(), await listen(server)]));
    const echoed = await new Promise<string>((resolve, reject) => {
      cluster.connectTcp({ originalDestination: null, alpn: [] }, {
        connected(socket) {
          socket.once("data", (chunk: Buffer) => {
            resolve(chunk.toString("latin1"));
            socket.destroy();
          });
          socket.write("hello");
        },
        failed: reject,
      });
    });
    expect(echoed).toBe("hello");
    while (!cluster.isIdle) await new Promise((resolve) => setImmediate(resolve));
    expect(leftovers(cluster)).toEqual(NOTHING_LEFT);
  });
});
