import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { connect as connectHttp2, constants } from "node:http2";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { ask, type HttpAnswer, type HttpQuestion } from "./http-client.ts";
import { ManualTime } from "./manual-time.ts";
import { httpRules, portOf, type Resource, service, yamlOf } from "./mesh-resources.ts";
import { eventually, ProxyUnderTest } from "./proxy-under-test.ts";

/* Faults that a rule injects: spec/03 3.8. */

const VIP = { address: "10.96.0.10", port: 9080 };
const TO_REVIEWS = { route: [{ destination: { host: "reviews" } }] };
const ALWAYS = { value: 100 };

describe("fault injection", () => {
  let server: Server;
  let served = 0;
  const bodies: string[] = [];

  beforeAll(async () => {
    server = createServer((request, response) => {
      served++;
      let body = "";
      request.on("data", (chunk: Buffer) => (body += chunk.toString()));
      request.on("end", () => {
        bodies.push(body);
        response.end("from the application");
      });
    });
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
  });
  afterAll(() => {
    server.close().closeAllConnections();
  });

  async function start(rule: Resource, random = 0.5): Promise<{ proxy: ProxyUnderTest; time: ManualTime }> {
    const time = new ManualTime();
    const yaml = yamlOf(service({ name: "reviews", endpoints: [{ port: portOf(server) }] }), httpRules("reviews", { ...TO_REVIEWS, ...rule }));
    served = 0;
    bodies.length = 0;
    return { proxy: await ProxyUnderTest.start({ yaml, clock: time, timers: time.timers, random: () => random }), time };
  }

  async function through(rule: Resource, question: HttpQuestion = {}, random = 0.5): Promise<{ answer: HttpAnswer; line: Record<string, unknown>; metrics: string }> {
    const { proxy } = await start(rule, random);
    try {
      const answer = await ask(proxy.connectOutbound(VIP), question);
      await eventually(() => proxy.accessLog.length > 0, "the request is logged");
      return { answer, line: proxy.accessLog[0] as Record<string, unknown>, metrics: await proxy.metrics() };
    } finally {
      proxy.stop();
    }
  }

  it("aborts with a status, without a retry and without asking the application", async () => {
    const { answer, line, metrics } = await through({ fault: { abort: { httpStatus: 503, percentage: ALWAYS } }, retries: { attempts: 3, retryOn: "5xx" } });
    expect([answer.status, answer.body, served]).toEqual([503, "fault filter abort", 0]);
    expect(line).toMatchObject({ response_flags: "FI", response_code_details: "fault_filter_abort", attempts: 0 });
    expect(metrics).toContain('envoy_http_fault_aborts_injected{http_conn_manager_prefix="outbound"} 1');
  });

  it.each([
    ["UNAVAILABLE", "application/grpc", 200, "14"],
    ["UNAVAILABLE", "text/plain", 503, undefined],
    ["PERMISSION_DENIED", "application/grpc+proto", 200, "7"],
    ["NOT_FOUND", "text/plain", 404, undefined],
  ])("aborts with gRPC status %s a request of %s: %i", async (grpcStatus, type, status, told) => {
    const { answer } = await through({ fault: { abort: { grpcStatus, percentage: ALWAYS } } }, { method: "POST", headers: { "content-type": type } });
    expect([answer.status, answer.headers["grpc-status"], served]).toEqual([status, told, 0]);
  });

  it.each([
    [{ abort: { httpStatus: 500 } }, 0, 200],
    [{ abort: { httpStatus: 500, percentage: { value: 0 } } }, 0, 200],
    [{ abort: { httpStatus: 500, percentage: { value: 0.0001 } } }, 0.000_000_9, 500],
    [{ abort: { httpStatus: 500, percentage: { value: 0.0001 } } }, 0.000_001, 200],
    [{ abort: { httpStatus: 500, percentage: { value: 25 } } }, 0.249, 500],
    [{ abort: { httpStatus: 500, percentage: { value: 25 } } }, 0.25, 200],
    [{ delay: { fixedDelay: "5s" }, abort: { httpStatus: 418, percentage: ALWAYS } }, 0, 418],
    [{ delay: { fixedDelay: "5s", percent: 0 }, abort: { httpStatus: 418, percentage: ALWAYS } }, 0, 418],
  ])("%j, drawn %d: %i", async (fault, random, status) => {
    expect((await through({ fault }, {}, random)).answer.status).toBe(status);
  });

  it("delays outside of the route's time-out, and holds the body until then", async () => {
    const { proxy, time } = await start({ fault: { delay: { fixedDelay: "5s", percentage: ALWAYS } }, timeout: "1s" });
    try {
      const asked = ask(proxy.connectOutbound(VIP), { method: "POST", body: "the body" });
      await eventually(async () => (await proxy.metrics()).includes('envoy_http_fault_active_faults{http_conn_manager_prefix="outbound"} 1'), "a delay is under way");
      time.pass(4900);
      expect(served).toBe(0);
      time.pass(200);
      expect(await asked).toMatchObject({ status: 200, body: "from the application" });
      expect(bodies).toEqual(["the body"]);
      await eventually(() => proxy.accessLog.length > 0, "the request is logged");
      expect(proxy.accessLog[0]).toMatchObject({ response_flags: "DI", response_code: 200 });
      expect(await proxy.metrics()).toContain('envoy_http_fault_active_faults{http_conn_manager_prefix="outbound"} 0');
    } finally {
      proxy.stop();
    }
  });

  it("delays first, then aborts", async () => {
    const { proxy, time } = await start({ fault: { delay: { fixedDelay: "2s", percent: 100 }, abort: { httpStatus: 500, percentage: ALWAYS } } });
    try {
      const asked = ask(proxy.connectOutbound(VIP));
      await eventually(() => proxy.activeCount() === 1, "the request has arrived");
      time.pass(2100);
      expect((await asked).status).toBe(500);
      await eventually(() => proxy.accessLog.length > 0, "the request is logged");
      expect(proxy.accessLog[0]).toMatchObject({ response_flags: "DI,FI" });
    } finally {
      proxy.stop();
    }
  });

  it("ends with a client that goes away while it is delayed", async () => {
    const { proxy, time } = await start({ fault: { delay: { fixedDelay: "1h", percentage: ALWAYS } } });
    try {
      const socket = proxy.connectOutbound(VIP);
      socket.on("error", () => undefined);
      socket.write("GET / HTTP/1.1\r\nHost: reviews\r\n\r\n");
      await eventually(() => proxy.activeCount() === 1, "the request has arrived");
      const scheduled = time.timers.count;
      socket.resetAndDestroy();
      await eventually(() => proxy.activeCount() === 0, "the request is over");
      expect(time.timers.count).toBeLessThan(scheduled);
      expect(proxy.accessLog[0]).toMatchObject({ response_code: 0, response_flags: "DI,DC" });
      expect(await proxy.metrics()).toContain('envoy_http_fault_active_faults{http_conn_manager_prefix="outbound"} 0');
      expect(served).toBe(0);
    } finally {
      proxy.stop();
    }
  });

  it("ends with a stream of HTTP/2 that is cancelled; others of its connection go on", async () => {
    const { proxy, time } = await start({ fault: { delay: { fixedDelay: "5s", percentage: ALWAYS } } });
    const session = connectHttp2("http://reviews", { createConnection: () => proxy.connectOutbound(VIP) });
    try {
      session.on("error", () => undefined);
      const [gone, kept] = [session.request({ ":path": "/gone" }), session.request({ ":path": "/kept" })];
      gone.on("error", () => undefined);
      await eventually(() => proxy.activeCount() === 2, "both have arrived");
      gone.close(constants.NGHTTP2_CANCEL);
      await eventually(() => proxy.activeCount() === 1, "one is over");
      expect(proxy.accessLog[0]).toMatchObject({ path: "/gone", response_code: 0 });
      const answer = once(kept, "response");
      time.pass(5100);
      expect((await answer)[0]).toMatchObject({ ":status": 200 });
      expect(served).toBe(1);
    } finally {
      session.destroy();
      proxy.stop();
    }
  });

  it("draws delay and abort apart", async () => {
    const yaml = yamlOf(service({ name: "reviews", endpoints: [{ port: portOf(server) }] }),
      httpRules("reviews", { ...TO_REVIEWS, fault: { delay: { fixedDelay: "1ms", percentage: { value: 50 } }, abort: { httpStatus: 500, percentage: { value: 50 } } } }));
    const draws = [0.1, 0.9, 0.1, 0.1, 0.9, 0.1, 0.9, 0.9];
    let drawn = 0;
    const proxy = await ProxyUnderTest.start({ yaml, clock: systemClock, random: () => draws[drawn++ % draws.length] as number });
    try {
      const seen: unknown[] = [];
      for (let request = 0; request < 4; request++) {
        seen.push((await ask(proxy.connectOutbound(VIP))).status);
        await eventually(() => proxy.accessLog.length === seen.length, "the request is logged");
        seen[request] = [seen[request], proxy.accessLog[request]?.["response_flags"]];
      }
      expect(seen).toEqual([[200, "DI"], [500, "DI,FI"], [500, "FI"], [200, "-"]]);
    } finally {
      proxy.stop();
    }
  });
});
