import { createServer as createHttpServer, type Server, type ServerResponse } from "node:http";
import { createServer as createHttp2Server, type Http2Server, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { ask, type HttpAnswer } from "./http-client.ts";
import { ManualTime } from "./manual-time.ts";
import { httpRules, networking, portOf, type Resource, service, yamlOf } from "./mesh-resources.ts";
import { ProxyPair, STRICT } from "./proxy-pair.ts";
import { eventually, ProxyUnderTest } from "./proxy-under-test.ts";

/* What `connectionPool` does to live traffic, field by field: spec/04 4.3, 4.9 and the last paragraph of 4.1. */

const VIP = { address: "10.96.0.10", port: 9080 };
const OVERFLOW = "upstream connect error or disconnect/reset before headers. reset reason: overflow";

/** An application that counts connections, and holds requests for `/wait` until it is told to answer. */
class Application {
  readonly held: ServerResponse[] = [];
  connections = 0;
  open = 0;
  readonly #server: Server;

  private constructor() {
    this.#server = createHttpServer({ keepAliveTimeout: 0 }, (request, response) => {
      if (request.url === "/wait") this.held.push(response);
      else response.end(`${request.httpVersion} ${this.connections}`);
    });
    this.#server.on("connection", (socket) => {
      this.connections++;
      this.open++;
      socket.on("close", () => this.open--);
    });
  }

  static async start(): Promise<Application> {
    const application = new Application();
    await new Promise<void>((resolve) => application.#server.listen(0, "127.0.0.1", resolve));
    return application;
  }

  get port(): number {
    return portOf(this.#server);
  }

  /** Answers what is held. */
  release(): void {
    for (const response of this.held.splice(0)) response.end();
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

const pool = (connectionPool: Resource): Resource => networking("DestinationRule", "reviews", { host: "reviews", trafficPolicy: { connectionPool } });

describe("a sidecar before HTTP/1.1 servers", () => {
  let application: Application;
  let time: ManualTime;
  let proxy: ProxyUnderTest;

  beforeAll(async () => {
    application = await Application.start();
  });
  beforeEach(async () => {
    time = new ManualTime();
    proxy = await ProxyUnderTest.start({ yaml: "", clock: time, timers: time.timers });
    application.connections = 0;
    return () => {
      proxy.stop();
      application.release();
    };
  });
  afterAll(() => application.stop());

  const use = (connectionPool: Resource, ...more: Resource[]): Promise<void> =>
    proxy.apply(yamlOf(service({ name: "reviews", endpoints: [{ port: application.port }] }), pool(connectionPool), more));
  const get = (path = "/"): Promise<HttpAnswer> => ask(proxy.connectOutbound(VIP), { path });
  /** A request that is under way at the application. */
  async function hold(): Promise<Promise<HttpAnswer>[]> {
    const before = application.held.length;
    const answer = get("/wait");
    await eventually(() => application.held.length > before, "the request is at the application");
    return [answer];
  }
  async function metric(name: string): Promise<number> {
    const line = (await proxy.metrics()).split("\n").find((each) => each.startsWith(`envoy_cluster_${name}{cluster_name="outbound|9080||reviews`));
    return line === undefined ? 0 : Number(line.slice(line.lastIndexOf(" ")));
  }
  const last = (): Record<string, unknown> => proxy.accessLog.at(-1) ?? {};

  it.each([
    ["http: { http2MaxRequests: 1 }", { http: { http2MaxRequests: 1 } }, "upstream_rq_active_overflow"],
    ["tcp: { maxConnections: 1 }, http: { http1MaxPendingRequests: 1 }", { tcp: { maxConnections: 1 }, http: { http1MaxPendingRequests: 1 } }, "upstream_rq_pending_overflow"],
  ])("4.3 overflow is answered at once and never retried: %s", async (_, connectionPool, counter) => {
    await use(connectionPool, httpRules("reviews", { route: [{ destination: { host: "reviews" } }], retries: { attempts: 5, retryOn: "5xx,connect-failure,refused-stream" } }));
    const [held] = await hold();
    const waiting = counter === "upstream_rq_pending_overflow" ? get() : null;
    if (waiting !== null) await eventually(() => proxy.clusters().outbound.some(({ limits }) => limits.pendingRequests.count === 1), "the second request waits");
    const answer = await get();
    expect([answer.status, answer.body, answer.headers["x-envoy-overloaded"]]).toEqual([503, OVERFLOW, "true"]);
    expect(last()).toMatchObject({ response_flags: "UO", response_code_details: "upstream_reset_before_response_started{overflow}" });
    expect([await metric(counter), await metric("upstream_rq_retry"), application.connections]).toEqual([1, 0, 1]);
    application.release();
    expect([(await held)?.status, (await waiting)?.status ?? 200]).toEqual([200, 200]);
    expect((await get()).status).toBe(200);
  });

  it("4.3 tcp.maxConnections: requests beyond it wait and share what there is", async () => {
    await use({ tcp: { maxConnections: 2 } });
    const answers = Array.from({ length: 6 }, () => get());
    expect((await Promise.all(answers)).map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 200]);
    expect(application.connections).toBeLessThanOrEqual(2);
  });

  it("4.3 http.maxRequestsPerConnection: 1 is no keep-alive, 2 is two requests", async () => {
    await use({ http: { maxRequestsPerConnection: 1 } });
    for (let index = 0; index < 3; index++) await get();
    expect(application.connections).toBe(3);
    expect(await metric("upstream_cx_max_requests")).toBe(3);
    await use({ http: { maxRequestsPerConnection: 2 } });
    application.connections = 0;
    for (let index = 0; index < 4; index++) await get();
    expect(application.connections).toBe(2);
  });

  it("4.3 http.idleTimeout: closed after it, not before", async () => {
    await use({ http: { idleTimeout: "2s" }, tcp: { idleTimeout: "1s" } });
    await get();
    time.pass(1_500);
    expect(application.open).toBe(1);
    time.pass(1_000);
    await eventually(() => application.open === 0, "the idle connection is closed");
    expect(await metric("upstream_cx_idle_timeout")).toBe(1);
  });

  it("4.3 tcp.maxConnectionDuration: drained, then closed", async () => {
    await use({ tcp: { maxConnectionDuration: "20s" } });
    const [held] = await hold();
    time.pass(21_000);
    expect([application.open, await metric("upstream_cx_max_duration_reached")]).toEqual([1, 1]);
    application.release();
    expect((await held)?.status).toBe(200);
    await eventually(() => application.open === 0, "the connection is closed after its request");
    await get();
    expect(application.connections).toBe(2);
  });

  it("4.3 zero means the default", async () => {
    await use({ tcp: { maxConnections: 0 }, http: { http1MaxPendingRequests: 0, http2MaxRequests: 0, maxRequestsPerConnection: 0, maxRetries: 0 } });
    const answers = Array.from({ length: 6 }, () => get());
    expect((await Promise.all(answers)).map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 200]);
  });

  it("4.9 limits change with the configuration, counts do not", async () => {
    await use({ http: { http2MaxRequests: 5 } });
    const [held] = await hold();
    await use({ http: { http2MaxRequests: 1 } });
    expect((await get()).status).toBe(503);
    expect(await metric("circuit_breakers_default_rq_open")).toBe(1);
    await use({ http: { http2MaxRequests: 2 } });
    expect((await get()).status).toBe(200);
    expect(await metric("circuit_breakers_default_rq_open")).toBe(0);
    application.release();
    expect((await held)?.status).toBe(200);
  });
});

describe("a sidecar before an HTTP/2 server", () => {
  let server: Http2Server;
  let proxy: ProxyUnderTest;
  const sessions = new Set<ServerHttp2Session>();
  const held: ServerHttp2Stream[] = [];
  let pings = 0;

  beforeAll(async () => {
    server = createHttp2Server();
    server.on("session", (session) => {
      sessions.add(session);
      session.on("ping", () => pings++);
      session.on("error", () => undefined);
      session.on("close", () => sessions.delete(session));
    });
    server.on("stream", (stream: ServerHttp2Stream, headers) => {
      stream.on("error", () => undefined);
      if (headers[":path"] === "/wait") {
        held.push(stream);
        return;
      }
      stream.respond({ ":status": 200 });
      stream.end("2.0");
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    proxy = await ProxyUnderTest.start({ yaml: "" });
  });
  afterAll(() => {
    proxy.stop();
    server.close();
    for (const session of sessions) session.destroy();
  });

  const use = (connectionPool: Resource, portName = "http"): Promise<void> =>
    proxy.apply(yamlOf(service({ name: "reviews", portName, endpoints: [{ port: portOf(server) }] }), pool(connectionPool)));
  const get = (path = "/"): Promise<HttpAnswer> => ask(proxy.connectOutbound(VIP), { path });

  it("4.3 http.h2UpgradePolicy: UPGRADE sends HTTP/1.1 requests as HTTP/2", async () => {
    await use({ http: { h2UpgradePolicy: "UPGRADE" } });
    const answer = await get();
    expect([answer.status, answer.body]).toEqual([200, "2.0"]);
  });

  it("4.3 http.useClientProtocol overrides the declared protocol", async () => {
    await use({ http: { useClientProtocol: true } }, "http2");
    // The server speaks HTTP/2 alone, and the client HTTP/1.1.
    expect((await get()).status).not.toBe(200);
    await use({ http: { maxRetries: 3 } }, "http2");
    expect((await get()).body).toBe("2.0");
  });

  it("4.3 http.maxConcurrentStreams: another connection carries what does not fit", async () => {
    await use({ http: { maxConcurrentStreams: 2 } }, "http2");
    const before = sessions.size;
    const answers = Array.from({ length: 5 }, () => get("/wait"));
    await eventually(() => held.length === 5, "all requests are at the server");
    expect(sessions.size - before).toBeGreaterThanOrEqual(2);
    const each = held.map(({ session }) => held.filter((stream) => stream.session === session).length);
    expect(Math.max(...each)).toBeLessThanOrEqual(2);
    for (const stream of held.splice(0)) {
      stream.respond({ ":status": 200 });
      stream.end();
    }
    expect((await Promise.all(answers)).map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
  });

  it("4.3 http.http2KeepAlive: PINGs on a quiet connection", async () => {
    await use({ http: { http2KeepAlive: { interval: "1s", timeout: "10s" }, maxRequestsPerConnection: 1000 } }, "http2");
    pings = 0;
    const answer = get("/wait");
    await eventually(() => held.length === 1 && pings > 0, "a PING");
    for (const stream of held.splice(0)) {
      stream.respond({ ":status": 200 });
      stream.end();
    }
    expect((await answer).status).toBe(200);
  });
});

describe("a pair of sidecars with mesh mTLS", () => {
  it("4.1 connectionPool holds before the application as well: the callee refuses, and its caller says whose doing it is", async () => {
    const application = await Application.start();
    const inbound = networking("DestinationRule", "reviews", { host: "reviews", trafficPolicy: { connectionPool: { http: { http2MaxRequests: 1 } } } });
    const pair = await ProxyPair.start({ port: application.port, resources: [STRICT] });
    await pair.callee.apply(yamlOf(service({ name: "reviews", targetPort: application.port, endpoints: [{ port: application.port, isMesh: true }] }), [STRICT, inbound]));
    const held = ask(pair.connect(), { path: "/wait" });
    await eventually(() => application.held.length === 1, "the first request is at the application");
    const answer = await ask(pair.connect());
    expect([answer.status, answer.headers["x-envoy-overloaded"]]).toEqual([503, "true"]);
    await eventually(() => pair.callee.accessLog.some(({ response_flags }) => response_flags === "UO"), "the callee's access log says UO");
    expect(pair.caller.accessLog.some(({ response_flags }) => response_flags === "UO")).toBe(false);
    application.release();
    expect((await held).status).toBe(200);
    pair.stop();
    application.stop();
  });
});
