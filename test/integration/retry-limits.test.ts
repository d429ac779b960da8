import { createServer, type IncomingHttpHeaders } from "node:http";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { ask } from "./http-client.ts";
import { ManualTime } from "./manual-time.ts";
import { httpRules, networking, portOf, type Resource, service, yamlOf } from "./mesh-resources.ts";
import { ProxyPair, STRICT } from "./proxy-pair.ts";
import { eventually, ProxyUnderTest } from "./proxy-under-test.ts";
import { ScriptedUpstream } from "./scripted-upstream.ts";

/* How many retries there may be and where they go: spec/03 3.5 and 3.6, spec/04 4.3; and what upstreams hear of it. */

const VIP = { address: "10.96.0.10", port: 9080 };
const RULE = httpRules("reviews", { route: [{ destination: { host: "reviews" } }], retries: { attempts: 2, retryOn: "5xx", backoff: "1ms" } });
const annotated = (value: string): Resource => ({ ...networking("DestinationRule", "reviews", { host: "reviews" }), metadata: { name: "reviews", namespace: "default", annotations: { "outrider.io/retry-budget": value } } });

describe("a budget of retries", () => {
  let proxy: ProxyUnderTest;
  let upstream: ScriptedUpstream;

  beforeAll(async () => {
    upstream = await ScriptedUpstream.start();
  });
  afterAll(() => upstream.stop());
  beforeEach(async () => {
    upstream.always("503");
    // Time stands still, and no retry waits: the drawn pause is none.
    const time = new ManualTime();
    proxy = await ProxyUnderTest.start({ yaml: yamlOf(service({ name: "reviews", endpoints: [] })), clock: time, timers: time.timers, random: () => 0 });
  });
  afterEach(() => proxy.stop());

  const use = (...more: readonly Resource[]): Promise<void> => proxy.apply(yamlOf(service({ name: "reviews", endpoints: [{ port: upstream.port }] }), RULE, more));
  const get = (id: string): ReturnType<typeof ask> => ask(proxy.connectOutbound(VIP), { headers: { "x-test-id": id } });
  async function count(name: string): Promise<number> {
    const found = new RegExp(`^envoy_cluster_upstream_rq_${name}\\{[^}]*reviews[^}]*\\} (\\d+)`, "m").exec(await proxy.metrics());
    return Number(found?.[1] ?? 0);
  }

  it("of none leaves the failure as it is, with UO, and counts what was not allowed", async () => {
    await use(annotated("0% 0/s"));
    const answer = await get("none");
    expect([answer.status, answer.body, answer.headers["x-outrider-no-retry"], upstream.executions("none")]).toEqual([503, "503", "1", 1]);
    await eventually(() => proxy.accessLog.length === 1, "it was logged");
    expect(proxy.accessLog[0]).toMatchObject({ response_flags: "UO", attempts: 1, response_code_details: "via_upstream" });
    expect([await count("retry_overflow"), await count("retry")]).toEqual([1, 0]);
  });

  it("by default lets thirty through at once, and counts what became of them", async () => {
    await use();
    for (let index = 0; index < 20; index++) await get("default");
    expect(upstream.executions("default")).toBe(20 + 30);
    // Fifteen requests had two retries each, the others none.
    expect([await count("retry"), await count("retry_limit_exceeded"), await count("retry_overflow"), await count("retry_success")]).toEqual([30, 15, 5, 0]);
    upstream.script("503", "200");
    await use(annotated("off"));
    expect((await get("off")).status).toBe(200);
    expect(await count("retry_success")).toBe(1);
  });

  it("of a DestinationRule limits those under way at once", async () => {
    await use(networking("DestinationRule", "reviews", { host: "reviews", trafficPolicy: { retryBudget: { percent: 0, minRetryConcurrency: 2 } } }));
    upstream.always("503-then-hang");
    const ids = ["a", "b", "c", "d", "e"];
    for (const id of ids) get(id).catch(() => undefined);
    // The first attempt of each fails; two retries wait for their answer, and the others may not begin.
    await eventually(async () => await count("retry_overflow") === 3, "three retries were not allowed");
    expect(ids.filter((id) => upstream.executions(id) === 1)).toHaveLength(3);
  });
});

describe("where retries go", () => {
  const upstreams: ScriptedUpstream[] = [];
  let proxy: ProxyUnderTest;

  beforeAll(async () => {
    for (let count = 0; count < 3; count++) upstreams.push(await ScriptedUpstream.start());
    proxy = await ProxyUnderTest.start({ yaml: yamlOf(service({ name: "reviews", endpoints: [] })), random: () => 0 });
  });
  afterAll(() => {
    proxy.stop();
    for (const upstream of upstreams) upstream.stop();
  });

  /** How often each endpoint was asked for one request, all of them answering 503. */
  async function executions(id: string, retries: Resource): Promise<number[]> {
    for (const upstream of upstreams) upstream.always("503");
    await proxy.apply(yamlOf(
      service({ name: "reviews", endpoints: upstreams.map(({ port }) => ({ port })) }),
      networking("DestinationRule", "reviews", { host: "reviews", trafficPolicy: { loadBalancer: { simple: "RANDOM" } } }),
      httpRules("reviews", { route: [{ destination: { host: "reviews" } }], retries: { attempts: 2, retryOn: "503", backoff: "1ms", ...retries } }),
    ));
    await ask(proxy.connectOutbound(VIP), { headers: { "x-test-id": id } });
    return upstreams.map((upstream) => upstream.executions(id)).toSorted((a, b) => a - b);
  }

  it("is elsewhere, each endpoint once while there are others (retryIgnorePreviousHosts)", async () => {
    expect(await executions("elsewhere", {})).toEqual([1, 1, 1]);
  });

  it("is where the balancer says with retryIgnorePreviousHosts: false", async () => {
    // The draw is always the same.
    expect(await executions("same", { retryIgnorePreviousHosts: false })).toEqual([0, 0, 3]);
  });
});

describe("retries that leave a locality", () => {
  it("do so after two attempts, with retryRemoteLocalities", async () => {
    const upstreams = await Promise.all(["near", "near", "far"].map(() => ScriptedUpstream.start()));
    const endpoints = upstreams.map(({ port }, index) => ({ port, labels: { "istio-locality": index < 2 ? "eu.a" : "us.b" } }));
    const yaml = (retries: Resource): string => yamlOf(
      service({ name: "reviews", endpoints }),
      networking("DestinationRule", "reviews", { host: "reviews", trafficPolicy: { loadBalancer: { simple: "RANDOM" }, outlierDetection: { consecutive5xxErrors: 100 } } }),
      httpRules("reviews", { route: [{ destination: { host: "reviews" } }], retries: { attempts: 2, retryOn: "503", backoff: "1ms", retryIgnorePreviousHosts: false, ...retries } }),
    );
    // The draw is always the same.
    const proxy = await ProxyUnderTest.start({ yaml: yaml({}), random: () => 0, workload: { locality: "eu/a" } });
    try {
      const statusOf = async (id: string): Promise<number> => {
        upstreams.forEach((upstream, index) => upstream.always(index < 2 ? "503" : "200"));
        return (await ask(proxy.connectOutbound(VIP), { headers: { "x-test-id": id } })).status;
      };
      expect(await statusOf("stays")).toBe(503);
      await proxy.apply(yaml({ retryRemoteLocalities: true }));
      expect(await statusOf("leaves")).toBe(200);
      expect(["stays", "leaves"].map((id) => upstreams.map((upstream) => upstream.executions(id)).toSorted((a, b) => a - b))).toEqual([[0, 0, 3], [0, 1, 2]]);
    } finally {
      proxy.stop();
      for (const upstream of upstreams) upstream.stop();
    }
  });
});

describe("what an upstream hears of its attempt (spec/07 7.1 item 10)", () => {
  it("is which one it is and, on the way to its sidecar, how long it is waited for", async () => {
    const heard: IncomingHttpHeaders[] = [];
    const application = createServer((request, response) => {
      heard.push(request.headers);
      response.writeHead(heard.length === 1 ? 503 : 200).end();
    });
    await new Promise<void>((resolve) => {
      application.listen(0, "127.0.0.1", resolve);
    });
    const rule = httpRules("reviews", { route: [{ destination: { host: "reviews" } }], timeout: "30s", retries: { attempts: 1, retryOn: "503", perTryTimeout: "7s" } });
    const pair = await ProxyPair.start({ port: portOf(application), resources: [STRICT, rule] });
    const direct = await ProxyUnderTest.start({ yaml: yamlOf(service({ name: "reviews", endpoints: [{ port: portOf(application) }] }), rule) });
    try {
      expect((await ask(pair.connect(), { headers: { "x-envoy-attempt-count": "9", "x-envoy-expected-rq-timeout-ms": "1" } })).status).toBe(200);
      expect(heard.map((headers) => [headers["x-envoy-attempt-count"], headers["x-envoy-expected-rq-timeout-ms"]])).toEqual([["1", undefined], ["2", undefined]]);
      expect((await ask(direct.connectOutbound(VIP))).status).toBe(200);
      expect([heard.at(-1)?.["x-envoy-attempt-count"], heard.at(-1)?.["x-envoy-expected-rq-timeout-ms"]]).toEqual(["1", "7000"]);
    } finally {
      pair.stop();
      direct.stop();
      application.closeAllConnections();
      application.close();
    }
  });
});
