import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ask, type HttpAnswer, type HttpQuestion } from "./http-client.ts";
import { ManualTime } from "./manual-time.ts";
import { networking, type Resource, service, yamlOf } from "./mesh-resources.ts";
import { eventually, ProxyUnderTest } from "./proxy-under-test.ts";
import { TestApplication } from "./test-application.ts";

/* Local rate limits by annotation (docs/rate-limiting.md), and what refusals look like (spec/00 0.6, spec/07 7.4). */

const VIP = { address: "10.96.0.10", port: 9080 };

describe("outrider.io/rate-limit", () => {
  let application: TestApplication;

  beforeAll(async () => {
    application = await TestApplication.start("body");
  });
  afterAll(() => application.stop());

  interface Limited {
    readonly proxy: ProxyUnderTest;
    readonly time: ManualTime;
    readonly send: (question?: HttpQuestion) => Promise<HttpAnswer>;
  }

  async function limited(limits: string, use: (limited: Limited) => Promise<void>, rules?: readonly Resource[]): Promise<void> {
    const time = new ManualTime();
    const http = rules ?? [{ route: [{ destination: { host: "reviews" } }] }];
    const virtualService = { ...networking("VirtualService", "reviews", { hosts: ["reviews"], http }), metadata: { name: "reviews", namespace: "default", annotations: { "outrider.io/rate-limit": limits } } };
    const yaml = yamlOf(service({ name: "reviews", endpoints: [{ port: application.port }] }), virtualService);
    application.requests.length = 0;
    const proxy = await ProxyUnderTest.start({ yaml, clock: time, timers: time.timers });
    try {
      await use({ proxy, time, send: (question) => ask(proxy.connectOutbound(VIP), question) });
    } finally {
      proxy.stop();
    }
  }

  /** Statuses of as many requests. */
  async function statuses({ send }: Limited, count: number, question?: HttpQuestion): Promise<number[]> {
    const all: number[] = [];
    for (let request = 0; request < count; request++) all.push((await send(question)).status);
    return all;
  }

  it("lets requests through until the bucket is empty, and more as tokens come in", () =>
    limited("[{requests: 2, per: 1s, burst: 3}]", async (proxy) => {
      expect(await statuses(proxy, 4)).toEqual([200, 200, 200, 429]);
      proxy.time.pass(499);
      expect(await statuses(proxy, 1)).toEqual([429]);
      proxy.time.pass(1);
      expect(await statuses(proxy, 2)).toEqual([200, 429]);
      proxy.time.pass(60_000);
      expect(await statuses(proxy, 4)).toEqual([200, 200, 200, 429]);
      expect(application.requests.length).toBe(7);
    }));

  it("tells how much is left, and when to come again", () =>
    limited("[{requests: 2, per: 10s, name: all}]", async ({ proxy, send }) => {
      const name = '"VirtualService/default/reviews/all"';
      expect((await send()).headers).toMatchObject({ "ratelimit-policy": `${name};q=2;w=10`, ratelimit: `${name};r=1;t=5` });
      await send();
      const { status, headers, body } = await send();
      expect([status, body]).toEqual([429, "local_rate_limited"]);
      expect(headers).toMatchObject({ "x-envoy-ratelimited": "true", "retry-after": "5", "ratelimit-policy": `${name};q=2;w=10`, ratelimit: `${name};r=0;t=10` });
      await eventually(() => proxy.accessLog.length === 3, "the requests are logged");
      expect(proxy.accessLog[2]).toMatchObject({ response_code: 429, response_flags: "RL", response_code_details: "local_rate_limited" });
      const metrics = await proxy.metrics();
      const labels = '{http_conn_manager_prefix="outbound",local_http_ratelimit_prefix="VirtualService/default/reviews/all"}';
      for (const line of [`enabled${labels} 3`, `ok${labels} 2`, `rate_limited${labels} 1`, `enforced${labels} 1`]) expect(metrics).toContain(`envoy_http_local_rate_limit_${line}`);
    }));

  it("says nothing of it where headers are off, and answers with the status that is wanted", () =>
    limited("[{requests: 1, per: 10s, headers: false, status: 503}]", async ({ send }) => {
      expect((await send()).headers["ratelimit"]).toBeUndefined();
      const { status, headers } = await send();
      expect([status, headers["ratelimit"], headers["retry-after"], headers["x-envoy-ratelimited"]]).toEqual([503, undefined, undefined, "true"]);
    }));

  it("tells gRPC clients RESOURCE_EXHAUSTED", () =>
    limited("[{requests: 1, per: 10s}]", async ({ send }) => {
      await send();
      const { status, headers } = await send({ method: "POST", headers: { "content-type": "application/grpc" } });
      expect([status, headers["grpc-status"], headers["grpc-message"]]).toEqual([200, "8", "local_rate_limited"]);
    }));

  it("has a bucket for each value of a header; those without share one", () =>
    limited("[{requests: 1, per: 10s, by: header x-user}]", async (proxy) => {
      const as = (user: string): HttpQuestion => ({ headers: { "x-user": user } });
      expect(await statuses(proxy, 2, as("anna"))).toEqual([200, 429]);
      expect(await statuses(proxy, 2, as("bob"))).toEqual([200, 429]);
      expect(await statuses(proxy, 2)).toEqual([200, 429]);
      expect(await statuses(proxy, 1, as("anna"))).toEqual([429]);
    }));

  it("limits only what meets its conditions", () =>
    limited("[{requests: 1, per: 10s, when: {method: POST, header x-tier: {prefix: free}, path: /pay}}]", async (proxy) => {
      const pay: HttpQuestion = { method: "POST", path: "/pay?sum=1", headers: { "x-tier": "free-2" } };
      expect(await statuses(proxy, 3, { ...pay, method: "PUT" })).toEqual([200, 200, 200]);
      expect(await statuses(proxy, 3, { ...pay, headers: { "x-tier": "paid" } })).toEqual([200, 200, 200]);
      expect(await statuses(proxy, 3, { ...pay, path: "/payments" })).toEqual([200, 200, 200]);
      expect(await statuses(proxy, 2, pay)).toEqual([200, 429]);
    }));

  it("limits a rule by its name, and all rules together without one", () =>
    limited("[{requests: 2, per: 10s, rule: write}, {requests: 3, per: 10s}]", async (proxy) => {
      expect(await statuses(proxy, 3, { method: "POST" })).toEqual([200, 200, 429]);
      expect(await statuses(proxy, 2)).toEqual([200, 429]);
    }, [
      { name: "write", match: [{ method: { exact: "POST" } }], route: [{ destination: { host: "reviews" } }] },
      { name: "read", route: [{ destination: { host: "reviews" } }] },
    ]));

  it("refuses nothing in a dry run, and counts", () =>
    limited("[{requests: 1, per: 10s, dryRun: true}]", async (proxy) => {
      expect(await statuses(proxy, 3)).toEqual([200, 200, 200]);
      const metrics = await proxy.proxy.metrics();
      expect(metrics).toMatch(/envoy_http_local_rate_limit_rate_limited\{[^}]*\} 2/);
      expect(metrics).toMatch(/envoy_http_local_rate_limit_enforced\{[^}]*\} 0/);
    }));

  it("keeps its buckets over a change of the configuration that leaves it as it is", () =>
    limited("[{requests: 2, per: 10s}]", async (proxy) => {
      expect(await statuses(proxy, 3)).toEqual([200, 200, 429]);
      const again = (limits: string): string => yamlOf(service({ name: "reviews", endpoints: [{ port: application.port }] }), {
        ...networking("VirtualService", "reviews", { hosts: ["reviews"], http: [{ timeout: "9s", route: [{ destination: { host: "reviews" } }] }] }),
        metadata: { name: "reviews", namespace: "default", annotations: { "outrider.io/rate-limit": limits } },
      });
      await proxy.proxy.apply(again("[{requests: 2, per: 10s}]"));
      expect(await statuses(proxy, 1)).toEqual([429]);
      await proxy.proxy.apply(again("[{requests: 3, per: 10s}]"));
      expect(await statuses(proxy, 4)).toEqual([200, 200, 200, 429]);
    }));
});
