import { spawn } from "node:child_process";
import { connect, type Socket } from "node:net";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { freePort } from "./free-port.ts";
import { ask, type HttpAnswer } from "./http-client.ts";
import { ManualTime } from "./manual-time.ts";
import { networking, type Resource, service, yamlOf } from "./mesh-resources.ts";
import { eventually, exchange, ProxyUnderTest, rawServer, statusOf } from "./proxy-under-test.ts";
import { TestApplication } from "./test-application.ts";

/* What the proxy answers by itself: status, body, flags and details of spec/07 7.4; limits of spec/04 4.3. */

const VIP = { address: "10.96.0.10", port: 9080 };
const RESET = "upstream connect error or disconnect/reset before headers. reset reason: ";
const OVERFLOW = `${RESET}overflow`;

describe("local replies", () => {
  const time = new ManualTime();
  let application: TestApplication;
  let proxy: ProxyUnderTest;
  const waiting: (() => void)[] = [];

  beforeAll(async () => {
    application = await TestApplication.start("app", (request, response) => {
      request.resume();
      if (request.url === "/wait") waiting.push(() => response.end("waited"));
      else response.end("app");
    });
    proxy = await ProxyUnderTest.start({ yaml: yamlOf(service({ name: "reviews", endpoints: [] })), clock: time, timers: time.timers });
  });

  afterAll(() => {
    proxy.stop();
    application.stop();
  });

  const use = (ports: readonly number[], connectionPool: Resource = { tcp: { maxConnections: 1_000 } }): Promise<void> => proxy.apply(yamlOf(
    service({ name: "reviews", endpoints: ports.map((port) => ({ port })) }),
    networking("DestinationRule", "reviews", { host: "reviews", trafficPolicy: { connectionPool } }),
    networking("VirtualService", "reviews", { hosts: ["reviews"], http: [{ route: [{ destination: { host: "reviews" } }], retries: { attempts: 0 } }] }),
  ));
  const get = (path = "/"): Promise<HttpAnswer> => ask(proxy.connectOutbound(VIP), { path });
  const last = (): Record<string, unknown> => proxy.accessLog.at(-1) ?? {};

  /** A request that is under way at the application until `finish`. */
  async function hold(): Promise<{ finish(): Promise<HttpAnswer> }> {
    const before = waiting.length;
    const answer = get("/wait");
    await eventually(() => waiting.length > before, "the request is at the application");
    return {
      finish: () => {
        waiting.shift()?.();
        return answer;
      },
    };
  }

  it("503 UF: the endpoint refuses", async () => {
    const refusing = { port: await freePort() };
    await use([refusing.port]);
    const answer = await get();
    const reason = `127.0.0.1:${refusing.port}: connection refused`;
    expect([answer.status, answer.body]).toEqual([503, `${RESET}remote connection failure, transport failure reason: ${reason}`]);
    expect(answer.headers).toMatchObject({ "content-type": "text/plain", "content-length": String(answer.body.length), server: "envoy", "x-outrider-error": "connect_failure" });
    expect(answer.headers.date).toBeDefined();
    expect(last()).toMatchObject({
      response_code: 503, response_flags: "UF", upstream_transport_failure_reason: reason, upstream_host: `127.0.0.1:${refusing.port}`,
      response_code_details: `upstream_reset_before_response_started{remote_connection_failure|${reason.replaceAll(" ", "_")}}`,
    });
  });

  it("503 UF: the connection takes too long", async () => {
    const deaf = await deafServer();
    await use([deaf.port], { tcp: { connectTimeout: "2s" } });
    const answer = get();
    answer.catch(() => undefined);
    await passUntil(answer);
    expect([(await answer).status, (await answer).body]).toEqual([503, `${RESET}connection timeout`]);
    expect(last()).toMatchObject({ response_flags: "UF", response_code_details: "upstream_reset_before_response_started{connection_timeout}" });
    deaf.close();
  });

  it.each([
    ["a FIN", (socket: Socket) => socket.end()],
    ["a reset", (socket: Socket) => socket.resetAndDestroy()],
  ])("503 UC: the upstream ends the connection by %s", async (_how, end) => {
    const upstream = await rawServer((socket) => socket.once("data", () => end(socket)));
    await use([upstream.port]);
    const answer = await get();
    expect([answer.status, answer.body]).toEqual([503, `${RESET}connection termination`]);
    expect(last()).toMatchObject({ response_flags: "UC", response_code_details: "upstream_reset_before_response_started{connection_termination}" });
    upstream.close();
  });

  it("502 UPE: the upstream speaks no HTTP", async () => {
    const upstream = await rawServer((socket) => socket.once("data", () => socket.write("220 mail.example ESMTP\r\n")));
    await use([upstream.port]);
    const answer = await get();
    expect([answer.status, answer.body]).toEqual([502, `${RESET}protocol error`]);
    expect(last()).toMatchObject({ response_flags: "UPE", response_code_details: "upstream_reset_before_response_started{protocol_error}" });
    upstream.close();
  });

  it("503 UH: no endpoint is healthy", async () => {
    await proxy.apply(yamlOf(service({ name: "reviews", endpoints: [{ port: application.port, isReady: false }] })));
    const answer = await get();
    expect([answer.status, answer.body]).toEqual([503, "no healthy upstream"]);
    expect(last()).toMatchObject({ response_flags: "UH", response_code_details: "no_healthy_upstream" });
  });

  it("503 UO: too many requests under way", async () => {
    await use([application.port], { http: { http2MaxRequests: 1 } });
    const held = await hold();
    const answer = await get();
    expect([answer.status, answer.body, answer.headers["x-envoy-overloaded"]]).toEqual([503, OVERFLOW, "true"]);
    expect(last()).toMatchObject({ response_flags: "UO", response_code_details: "upstream_reset_before_response_started{overflow}" });
    expect((await held.finish()).status).toBe(200);
    expect((await get()).status).toBe(200);
  });

  it("lets requests wait for a connection, as many as may", async () => {
    await use([application.port], { tcp: { maxConnections: 1 }, http: { http1MaxPendingRequests: 1 } });
    const held = await hold();
    const queued = get("/queued");
    const pending = (): number => proxy.clusters().outbound.flatMap(({ endpoints }) => endpoints).reduce((sum, { activeRequests }) => sum + activeRequests, 0);
    await eventually(() => pending() === 2, "the second request waits");
    const answer = await get();
    expect([answer.status, answer.body, answer.headers["x-envoy-overloaded"]]).toEqual([503, OVERFLOW, "true"]);
    await held.finish();
    expect((await queued).status).toBe(200);
  });

  it("closes an opaque connection beyond the limit", async () => {
    const echo = await rawServer((socket) => socket.pipe(socket));
    const db = { address: "10.96.0.12", port: 5432 };
    await proxy.apply(yamlOf(
      service({ name: "db", clusterIP: db.address, port: db.port, portName: "tcp", endpoints: [{ port: echo.port }] }),
      networking("DestinationRule", "db", { host: "db", trafficPolicy: { connectionPool: { tcp: { maxConnections: 1 } } } }),
    ));
    const first = proxy.connectOutbound(db);
    let received = "";
    first.on("data", (chunk: Buffer) => (received += chunk.toString()));
    first.write("one");
    await eventually(() => received === "one", "the first connection works");
    expect(await exchange(proxy.connectOutbound(db), "two")).toBe("");
    await eventually(() => last()["response_flags"] === "UO", "the refusal was logged");
    first.destroy();
    echo.close();
  });

  it("504 UT: the route's time is up", async () => {
    await proxy.apply(yamlOf(
      service({ name: "reviews", endpoints: [{ port: application.port }] }),
      networking("VirtualService", "reviews", { hosts: ["reviews"], http: [{ timeout: "3s", route: [{ destination: { host: "reviews" } }] }] }),
    ));
    const answer = get("/wait");
    await eventually(() => waiting.length > 0, "the request is at the application");
    time.pass(2_900);
    expect(proxy.activeCount()).toBe(1);
    time.pass(200);
    expect([(await answer).status, (await answer).body]).toEqual([504, "upstream request timeout"]);
    expect(last()).toMatchObject({ response_flags: "UT", response_code_details: "response_timeout", attempts: 1 });
    expect(proxy.activeCount()).toBe(0);
    waiting.length = 0;
  });

  it("answers HEAD with the head alone", async () => {
    await use([]);
    const text = await exchange(proxy.connectOutbound(VIP), "HEAD / HTTP/1.1\r\nHost: reviews\r\nConnection: close\r\n\r\n");
    expect(statusOf(text)).toBe(503);
    expect(text.toLowerCase()).toContain("content-length: 19");
    expect(text).toMatch(/\r\n\r\n$/);
  });

  it.each([
    ["400 for a request that can be read in two ways", "GET / HTTP/1.1\r\nHost: reviews\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "DPE"],
    ["400 without Host", "GET / HTTP/1.1\r\n\r\n", 400, "DPE"],
    ["431 for too long a head", `GET / HTTP/1.1\r\nHost: reviews\r\nX-Long: ${"x".repeat(70_000)}\r\n\r\n`, 431, "DPE"],
    ["400 for a path that leaves the root", "GET /a/../../b HTTP/1.1\r\nHost: reviews\r\nConnection: close\r\n\r\n", 400, "-"],
  ])("%s, and nothing reaches the application", async (_what, request, status, flags) => {
    await use([application.port]);
    const before = application.requests.length;
    expect(statusOf(await exchange(proxy.connectOutbound(VIP), request))).toBe(status);
    expect(last()).toMatchObject({ response_code: status, response_flags: flags });
    expect(application.requests).toHaveLength(before);
  });

  /** Lets time pass until a promise is settled. */
  async function passUntil(promise: Promise<unknown>): Promise<void> {
    let isOver = false;
    const over = (): void => {
      isOver = true;
    };
    promise.then(over, over);
    while (!isOver) {
      await new Promise((resolve) => {
        setTimeout(resolve, 5);
      });
      time.pass(100);
    }
  }
});

/** A server whose queue of connections is full and never taken from: it neither takes another nor refuses it. */
async function deafServer(): Promise<{ readonly port: number; close(): void }> {
  const program = `require("node:net").createServer().listen({ port: 0, host: "127.0.0.1", backlog: 1 }, function () {
    require("node:fs").writeSync(1, this.address().port + "\\n");
    process.kill(process.pid, "SIGSTOP");
  });`;
  const child = spawn(process.execPath, ["-e", program]);
  const port = await new Promise<number>((resolve) => {
    child.stdout.once("data", (chunk: Buffer) => resolve(Number(chunk.toString())));
  });
  const fillers = Array.from({ length: 8 }, () => connect(port, "127.0.0.1").on("error", () => undefined));
  // The kernel completes what fits into the queue; one that does not is there to stay.
  await eventually(() => fillers.some(({ connecting }) => !connecting), "the queue fills");
  await new Promise((resolve) => {
    setTimeout(resolve, 100);
  });
  return {
    port,
    close() {
      for (const filler of fillers) filler.destroy();
      child.kill("SIGKILL");
    },
  };
}
