import { once } from "node:events";
import { createServer, type Http2Server, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import type { ClusterSpec } from "../../../src/config/snapshot.ts";
import { systemClock } from "../../../src/core/clock.ts";
import { TimerWheel } from "../../../src/core/timer-wheel.ts";
import type { Cluster } from "../../../src/cluster/cluster.ts";
import { Clusters } from "../../../src/cluster/clusters.ts";
import type { LeaseReceiver, RequestLease } from "../../../src/cluster/request-lease.ts";
import { DEFAULT_HTTP2_SESSION_OPTIONS, type Http2SessionOptions } from "../../../src/codec/http2-session-options.ts";
import type { TlsIdentity } from "../../../src/identity/tls-identity.ts";
import { RequestHead, type ResponseHead } from "../../../src/message/head.ts";
import { HeaderList } from "../../../src/message/header-list.ts";
import type { ProxyError } from "../../../src/message/proxy-error.ts";
import type { ResponseReceiver, UpstreamConnection } from "../../../src/message/stream.ts";
import { Connector } from "../../../src/upstream/connector.ts";
import { Http2Client } from "../../../src/upstream/http2-client.ts";
import { seededRandom } from "../../contract/load-balancer.ts";
import { clusterSpec, countingMetrics, endpointSpec, NO_LIMITS } from "./fakes.ts";

/** A POST, sent again as long as its peer says that it did not process it. */
class Call implements LeaseReceiver, ResponseReceiver {
  readonly done: Promise<Call>;
  status = 0;
  replays = 0;
  error: ProxyError | null = null;
  readonly #cluster: Cluster;
  readonly #path: string;
  #lease: RequestLease | null = null;
  #settle: () => void = () => {};

  constructor(cluster: Cluster, path: string) {
    this.#cluster = cluster;
    this.#path = path;
    this.done = new Promise((resolve) => {
      this.#settle = () => resolve(this);
    });
    this.#attempt();
  }

  #attempt(): void {
    this.#cluster.acquire({ originalDestination: null, protocol: "http2" }, this);
  }

  ready(connection: UpstreamConnection, lease: RequestLease): void {
    this.#lease = lease;
    connection.request(new RequestHead("POST", "reviews", this.#path, new HeaderList()), true, this);
  }

  failed(error: ProxyError): void {
    this.reset(error);
  }

  head(head: ResponseHead, end: boolean): void {
    this.status = head.status;
    this.#lease?.reportStatus(head.status);
    if (end) this.end();
  }

  end(): void {
    this.#lease?.release();
    this.#settle();
  }

  reset(error: ProxyError): void {
    this.#lease?.reportReset(error);
    this.#lease?.release();
    this.#lease = null;
    if (error.code === "refused_stream") {
      this.replays++;
      this.#attempt();
      return;
    }
    this.error = error;
    this.#settle();
  }

  informational(): void {}
  data(): void {}
  drain(): void {}
}

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

interface Application {
  readonly port: number;
  readonly sessions: Set<ServerHttp2Session>;
  /** How often each path was executed. */
  readonly executions: Map<string, number>;
}

/** An HTTP/2 application that answers after a moment; `executed` hears of every request before it is answered. */
async function application(maxConcurrentStreams: number, executed: (session: ServerHttp2Session) => void = () => {}): Promise<Application> {
  const server: Http2Server = createServer({ settings: { maxConcurrentStreams } });
  const sessions = new Set<ServerHttp2Session>();
  const executions = new Map<string, number>();
  server.on("session", (session) => {
    sessions.add(session);
    session.on("error", () => {});
    session.on("close", () => sessions.delete(session));
  });
  server.on("stream", (stream: ServerHttp2Stream, headers) => {
    stream.on("error", () => {});
    const path = String(headers[":path"]);
    executions.set(path, (executions.get(path) ?? 0) + 1);
    if (stream.session !== undefined) executed(stream.session as ServerHttp2Session);
    setImmediate(() => {
      if (stream.closed || stream.destroyed) return;
      stream.respond({ ":status": 200 });
      stream.end("ok");
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  closing.push(() => {
    server.close();
    for (const session of sessions) session.destroy();
  });
  return { port: (server.address() as AddressInfo).port, sessions, executions };
}

function mesh(spec: ClusterSpec, session: Partial<Http2SessionOptions> = {}): { cluster: Cluster; counts: Map<string, number> } {
  const timers = new TimerWheel(systemClock);
  const connector = new Connector({ identity: { generation: 1 } as TlsIdentity, timers, trustDomains: () => [] });
  const counts = new Map<string, number>();
  const clusters = new Clusters({
    clock: systemClock,
    timers,
    random: seededRandom(1),
    dial: (target, done) => connector.connect(target, done),
    openClient: () => {
      throw new Error("nobody speaks HTTP/1 here");
    },
    openMultiplexed: (socket, facts, owner, { hop }) => new Http2Client(socket, facts, owner, { clock: systemClock, timers, hop, session: { ...DEFAULT_HTTP2_SESSION_OPTIONS, ...session } }),
    tlsGeneration: () => 1,
    metrics: () => countingMetrics(counts),
    outliers: { outlier: () => {} },
  });
  clusters.apply([spec]);
  closing.push(() => clusters.closeAll());
  return { cluster: clusters.get(spec.name) as Cluster, counts };
}

const at = ({ port }: Application, changes: Partial<ClusterSpec> = {}): ClusterSpec =>
  clusterSpec([], { protocol: "http2", endpoints: [endpointSpec("127.0.0.1", { port })], ...changes });

/** Sends `count` requests, `concurrency` at a time; resolves with the calls. */
async function sendAll(cluster: Cluster, count: number, concurrency: number): Promise<Call[]> {
  const calls: Call[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) calls.push(await new Call(cluster, `/${next++}`).done);
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  return calls;
}

async function closed(cluster: Cluster): Promise<void> {
  while (!cluster.isIdle) await new Promise((resolve) => setImmediate(resolve));
}

describe("multiplexed connections on real sockets, against Node's HTTP/2", () => {
  it("many requests share one", async () => {
    const app = await application(100);
    const { cluster, counts } = mesh(at(app));
    const calls = await sendAll(cluster, 400, 40);
    expect(new Set(calls.map((call) => call.status))).toEqual(new Set([200]));
    expect([counts.get("connectionOpened http2"), app.sessions.size, cluster.limits.connections.count]).toEqual([1, 1, 1]);
    expect(cluster.state().endpoints[0]).toMatchObject({ activeRequests: 0, waitingRequests: 0, totalRequests: 400 });
  });

  it("what a peer allows is obeyed once it has said so: nothing is lost, whatever it refused before", async () => {
    const app = await application(5);
    const { cluster } = mesh(at(app, { limits: { ...NO_LIMITS, maxConnections: 2 } }));
    const calls = await sendAll(cluster, 300, 60);
    expect(new Set(calls.map((call) => call.status))).toEqual(new Set([200]));
    expect(app.executions.size).toBe(300);
    expect(Math.max(...app.executions.values())).toBe(1);
    expect(app.sessions.size).toBeLessThanOrEqual(2);
  });

  it("a peer that goes away again and again costs no request, and none is executed twice (C12)", async () => {
    let executed = 0;
    const app = await application(100, (session) => {
      if (++executed % 25 === 0) session.close();
    });
    const { cluster, counts } = mesh(at(app));
    const calls = await sendAll(cluster, 1_000, 20);
    expect(new Set(calls.map((call) => call.error?.code ?? call.status))).toEqual(new Set([200]));
    expect(app.executions.size).toBe(1_000);
    expect(Math.max(...app.executions.values())).toBe(1);
    expect(counts.get("connectionOpened http2")).toBeGreaterThan(20);
    cluster.closeAll();
    await closed(cluster);
    expect(counts.get("connectionClosed")).toBe(counts.get("connectionOpened"));
    expect(counts.get("requestFinished")).toBe(counts.get("requestStarted"));
  });

  it("one whose stream ids are used up is followed by another, and no request is lost or sent twice (C19)", async () => {
    const app = await application(100);
    // The ids 1 to 99: fifty streams a connection.
    const { cluster, counts } = mesh(at(app), { maxStreamId: 99 });
    const calls = await sendAll(cluster, 500, 20);
    expect(new Set(calls.map((call) => call.error?.code ?? call.status))).toEqual(new Set([200]));
    expect(calls.reduce((sum, call) => sum + call.replays, 0)).toBe(0);
    expect(app.executions.size).toBe(500);
    expect(Math.max(...app.executions.values())).toBe(1);
    expect(counts.get("connectionOpened http2")).toBeGreaterThanOrEqual(10);
    cluster.closeAll();
    await closed(cluster);
    expect(counts.get("connectionClosed")).toBe(counts.get("connectionOpened"));
    expect(counts.get("requestFinished")).toBe(counts.get("requestStarted"));
  });

  it("an idle one closes after its time", async () => {
    const app = await application(100);
    const { cluster, counts } = mesh(at(app, { limits: { ...NO_LIMITS, idleTimeoutMs: 100 } }));
    await new Call(cluster, "/").done;
    await closed(cluster);
    expect(counts.get("idleTimeout")).toBe(1);
  });
});
