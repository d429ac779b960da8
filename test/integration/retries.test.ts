import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { freePort } from "./free-port.ts";
import { ask, type HttpAnswer, type HttpQuestion } from "./http-client.ts";
import { ManualTime } from "./manual-time.ts";
import { httpRules, meshConfig, networking, type Resource, service, yamlOf } from "./mesh-resources.ts";
import { eventually, ProxyUnderTest } from "./proxy-under-test.ts";
import { ScriptedUpstream } from "./scripted-upstream.ts";

/* Attempts of a request: spec/03 3.4 to 3.7, faults F03 and F05, users 0.1. Time stands still until a test moves it. */

const VIP = { address: "10.96.0.10", port: 9080 };

describe("attempts", () => {
  const time = new ManualTime();
  let proxy: ProxyUnderTest;
  let upstream: ScriptedUpstream;
  let second: ScriptedUpstream;
  let number = 0;

  beforeAll(async () => {
    [upstream, second] = await Promise.all([ScriptedUpstream.start(), ScriptedUpstream.start()]);
    proxy = await ProxyUnderTest.start({ yaml: yamlOf(service({ name: "reviews", endpoints: [] })), clock: time, timers: time.timers, random: () => 0.5 });
  });

  beforeEach(() => {
    for (const each of [upstream, second]) each.reset();
  });

  afterAll(() => {
    proxy.stop();
    upstream.stop();
    second.stop();
  });

  /** One endpoint and one rule; `retries` undefined: the built-in policy. */
  async function use(retries: Resource | undefined, rule: Resource = {}, ...more: readonly Resource[]): Promise<void> {
    const route = [{ destination: { host: "reviews" } }];
    await proxy.apply(yamlOf(service({ name: "reviews", endpoints: [{ port: upstream.port }] }), httpRules("reviews", { route, ...(retries === undefined ? {} : { retries }), ...rule }), more));
  }

  /** Asks, and lets time pass whenever nothing else moves: back-offs end, limits run out. */
  async function get(question: HttpQuestion = {}): Promise<HttpAnswer> {
    const answer = ask(proxy.connectOutbound(VIP), { ...question, headers: { "x-test-id": `r${++number}`, ...question.headers } });
    let isOver = false;
    const over = (): void => {
      isOver = true;
    };
    answer.then(over, over);
    while (!isOver) {
      await new Promise((resolve) => {
        setTimeout(resolve, 2);
      });
      time.pass(20);
    }
    return answer;
  }

  const lastLog = (): Record<string, unknown> => proxy.accessLog.at(-1) ?? {};

  it.each([
    ["5xx", ["500", "200"]], ["5xx", ["503", "200"]], ["5xx", ["reset", "200"]], ["5xx", ["close", "200"]],
    ["gateway-error", ["502", "503", "200"]], ["gateway-error", ["504", "reset", "200"]],
    ["reset", ["reset", "close", "200"]],
    ["retriable-4xx", ["409", "200"]],
    ["retriable-status-codes,429", ["429", "200"]], ["418", ["418", "200"]],
    ["unavailable", ["grpc-14", "200"]], ["cancelled,internal", ["grpc-1", "grpc-13", "200"]],
  ])("retries on %s: %j", async (retryOn, script) => {
    await use({ attempts: 3, retryOn });
    upstream.script(...script);
    const answer = await get();
    expect([answer.status, upstream.executions(`r${number}`)]).toEqual([200, script.length]);
    expect(lastLog()).toMatchObject({ attempts: script.length, response_flags: "-" });
  });

  it.each([
    ["gateway-error", "500", 500], ["retriable-4xx", "404", 404], ["retriable-status-codes", "503", 503], ["503", "500", 500],
    ["connect-failure", "reset", 503], ["connect-failure", "503", 503], ["unavailable", "503", 503], ["5xx", "overloaded", 503], ["5xx", "429", 429],
  ])("does not retry on %s: %s", async (retryOn, reply, status) => {
    await use({ attempts: 3, retryOn });
    upstream.script(reply);
    expect((await get()).status).toBe(status);
    expect(upstream.executions(`r${number}`)).toBe(1);
  });

  it("does what its owner wrote for every method", async () => {
    await use({ attempts: 2, retryOn: "5xx" });
    upstream.script("503", "200");
    expect((await get({ method: "POST", body: "payment" })).status).toBe(200);
    expect(upstream.executions(`r${number}`)).toBe(2);
    expect(upstream.bodies).toEqual(["payment", "payment"]);
  });

  it("returns the last answer when the attempts are used up", async () => {
    await use({ attempts: 2, retryOn: "5xx" });
    upstream.script("500", "503", "501", "200");
    expect((await get()).status).toBe(501);
    expect(lastLog()).toMatchObject({ attempts: 3, response_flags: "URX", response_code_details: "via_upstream" });
    upstream.script("reset", "reset", "reset", "200");
    const answer = await get();
    expect([answer.status, answer.body]).toEqual([503, "upstream connect error or disconnect/reset before headers. retried and the latest reset reason: connection termination"]);
    expect(lastLog()["response_flags"]).toMatch(/^(UC,URX|URX,UC)$/);
  });

  it("limits each attempt, and all of them together", async () => {
    await use({ attempts: 2, retryOn: "5xx", perTryTimeout: "1s" }, { timeout: "10s" });
    upstream.script("hang", "200");
    expect((await get()).status).toBe(200);
    expect(upstream.executions(`r${number}`)).toBe(2);

    upstream.script("hang", "hang", "hang");
    const tried = await get();
    expect([tried.status, tried.body]).toEqual([504, "upstream request timeout"]);
    expect(lastLog()).toMatchObject({ response_code_details: "upstream_per_try_timeout" });
    expect(lastLog()["response_flags"]).toMatch(/^(UT,URX|URX,UT)$/);

    await use({ attempts: 5, retryOn: "5xx", perTryTimeout: "3s" }, { timeout: "5s" });
    upstream.script("hang", "hang", "hang");
    const timedOut = await get();
    expect([timedOut.status, timedOut.body]).toEqual([504, "upstream request timeout"]);
    expect(lastLog()).toMatchObject({ response_code_details: "response_timeout", response_flags: "UT", attempts: 2 });
    expect(lastLog()["duration"]).toBeGreaterThanOrEqual(5_000);
    expect(lastLog()["duration"]).toBeLessThan(6_000);
  });

  it("counts the route's time from the end of the request, and cuts a response that is not done in it", async () => {
    await use(undefined, { timeout: "2s" });
    upstream.script("half");
    await expect(get()).rejects.toThrow();
    await eventually(() => lastLog()["response_flags"] === "UT", "the cut was logged");
    expect(lastLog()).toMatchObject({ response_code: 200 });
  });

  it("asks each endpoint at most once while there are others", async () => {
    await proxy.apply(yamlOf(
      service({ name: "reviews", endpoints: [{ port: upstream.port }, { port: second.port }] }),
      httpRules("reviews", { route: [{ destination: { host: "reviews" } }], retries: { attempts: 1, retryOn: "5xx" } }),
    ));
    upstream.always("503");
    second.always("200");
    for (let round = 0; round < 10; round++) {
      expect((await get()).status).toBe(200);
      expect(upstream.executions(`r${number}`)).toBeLessThanOrEqual(1);
    }
  });

  it("keeps a body of up to 64 KiB for another attempt, and no longer one", async () => {
    await use({ attempts: 2, retryOn: "5xx" });
    upstream.script("503", "200");
    const kept = "k".repeat(65_536);
    expect((await get({ method: "PUT", body: kept })).status).toBe(200);
    expect(upstream.bodies).toEqual([kept, kept]);

    upstream.script("503", "200");
    expect((await get({ method: "PUT", body: `${kept}x` })).status).toBe(503);
    expect(upstream.executions(`r${number}`)).toBe(1);

    upstream.script("503", "200");
    expect((await get({ method: "PUT", body: kept.slice(0, 40_000), headers: { "transfer-encoding": "chunked" } })).status).toBe(200);
    expect(upstream.bodies.at(-1)).toBe(kept.slice(0, 40_000));
  });

  it("makes no attempt after the downstream heard of the last one", async () => {
    await use({ attempts: 2, retryOn: "5xx" });
    upstream.script("hints-503", "200");
    const answer = await get();
    expect([answer.status, answer.informational]).toEqual([503, [103]]);
    expect(upstream.executions(`r${number}`)).toBe(1);
  });

  it("obeys a budget of retries", async () => {
    await use({ attempts: 2, retryOn: "5xx" }, {}, networking("DestinationRule", "reviews", {
      host: "reviews", trafficPolicy: { connectionPool: { http: { maxRetries: 1 } } },
    }));
    upstream.always("hang-once-then-503");
    const both = await Promise.all([get(), get()]);
    expect(both.map(({ status }) => status)).toEqual([503, 503]);
    expect(proxy.accessLog.slice(-2).map((line) => String(line["response_flags"])).join()).toContain("UO");
  });

  describe("by the built-in policy", () => {
    it("repeats a GET that was reset, once", async () => {
      await use(undefined);
      upstream.script("reset", "200");
      expect((await get()).status).toBe(200);
      upstream.script("reset", "reset", "200");
      const answer = await get();
      expect([answer.status, upstream.executions(`r${number}`)]).toEqual([503, 2]);
    });

    it.each(["reset", "close", "503", "502", "garbage"])("never repeats a POST that may have been executed: %s", async (reply) => {
      await use(undefined);
      upstream.script(reply, "200");
      const answer = await get({ method: "POST", body: "payment" });
      expect([answer.status, upstream.executions(`r${number}`)]).toEqual([reply === "502" || reply === "garbage" ? 502 : 503, 1]);
    });

    it("does not repeat a request that was answered 503", async () => {
      await use(undefined);
      upstream.script("503", "200");
      expect((await get()).status).toBe(503);
      expect(upstream.executions(`r${number}`)).toBe(1);
    });

    it("goes to another endpoint when one refuses the connection, whatever the method", async () => {
      const refusing = { port: await freePort() };
      await proxy.apply(yamlOf(service({ name: "reviews", endpoints: [{ port: refusing.port }, { port: upstream.port }] })));
      upstream.always("200");
      for (let round = 0; round < 10; round++) {
        expect((await get({ method: "POST", body: "payment" })).status).toBe(200);
        expect(upstream.executions(`r${number}`)).toBe(1);
      }
    });

    it("says so when every endpoint refuses", async () => {
      const refusing = { port: await freePort() };
      await proxy.apply(yamlOf(service({ name: "reviews", endpoints: [{ port: refusing.port }] })));
      const answer = await get();
      expect(answer.status).toBe(503);
      expect(answer.body).toMatch(/^upstream connect error or disconnect\/reset before headers\. retried and the latest reset reason: remote connection failure, transport failure reason: .*refused/);
      expect(lastLog()["response_flags"]).toMatch(/^(UF,URX|URX,UF)$/);
      expect(String(lastLog()["response_code_details"])).toMatch(/^upstream_reset_before_response_started\{remote_connection_failure\|.*\}$/);
    });

    it("can be replaced for the whole mesh", async () => {
      await use(undefined, {}, meshConfig({ defaultHttpRetryPolicy: { attempts: 1, retryOn: "503" } }));
      upstream.script("503", "200");
      expect((await get()).status).toBe(200);
    });
  });
});
