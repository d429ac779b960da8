import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ask, type HttpAnswer, type HttpQuestion } from "./http-client.ts";
import { ManualTime } from "./manual-time.ts";
import { meshClient } from "./mesh-client.ts";
import { httpRules, networking, type Resource, service, yamlOf } from "./mesh-resources.ts";
import { ProxyUnderTest } from "./proxy-under-test.ts";
import { TestApplication } from "./test-application.ts";

/* Local rate limits of EnvoyFilters (spec/00 0.6) and, where requests arrive, those of a Service's annotation. */

const VIP = { address: "10.96.0.10", port: 9080 };
const SAMPLE = join(import.meta.dirname, "../../../shared/corpora/istio-samples/samples/ratelimit/local-rate-limit-service.yaml");
const TYPE = "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit";
const ON = { default_value: { numerator: 100 } };

interface BucketOf {
  readonly max_tokens: number;
  readonly tokens_per_fill?: number;
  readonly fill_interval: string;
}

const bucket = (maxTokens: number): BucketOf => ({ max_tokens: maxTokens, tokens_per_fill: maxTokens, fill_interval: "60s" });
const settings = (more: Resource): Resource => ({ "@type": TYPE, stat_prefix: "limiter", filter_enabled: ON, filter_enforced: ON, ...more });
const filterPatch = (config: Resource, context = "SIDECAR_OUTBOUND", match: Resource = {}): Resource => ({
  applyTo: "HTTP_FILTER", match: { context, ...match }, patch: { operation: "INSERT_BEFORE", value: { name: "envoy.filters.http.local_ratelimit", typed_config: config } },
});
const routePatch = (value: Resource, vhost: Resource = {}): Resource => ({
  applyTo: "HTTP_ROUTE", match: { context: "SIDECAR_OUTBOUND", routeConfiguration: { vhost } }, patch: { operation: "MERGE", value },
});
const perRoute = (config: Resource): Resource => ({ typed_per_filter_config: { "envoy.filters.http.local_ratelimit": config } });
const envoyFilter = (name: string, configPatches: readonly Resource[], more: Resource = {}, namespace = "default"): Resource =>
  ({ ...networking("EnvoyFilter", name, { configPatches, ...more }, namespace), apiVersion: "networking.istio.io/v1alpha3" });

describe("limits", () => {
  let application: TestApplication;

  beforeAll(async () => {
    application = await TestApplication.start("body");
  });
  afterAll(() => application.stop());

  interface Scene {
    readonly proxy: ProxyUnderTest;
    readonly send: (question?: HttpQuestion) => Promise<HttpAnswer>;
    readonly statuses: (count: number, question?: HttpQuestion) => Promise<number[]>;
  }

  const RULES = httpRules("reviews",
    { name: "pay", match: [{ uri: { prefix: "/pay" } }], route: [{ destination: { host: "reviews" } }] },
    { route: [{ destination: { host: "reviews" } }] });

  async function outbound(resources: readonly Resource[], use: (scene: Scene) => Promise<void>, random = 0.5): Promise<void> {
    const time = new ManualTime();
    application.requests.length = 0;
    const proxy = await ProxyUnderTest.start({ yaml: yamlOf(service({ name: "reviews", endpoints: [{ port: application.port }] }), RULES, resources), clock: time, timers: time.timers, random: () => random });
    const send = (question?: HttpQuestion): Promise<HttpAnswer> => ask(proxy.connectOutbound(VIP), question);
    try {
      await use({ proxy, send, statuses: (count, question) => statusesOf(count, () => send(question)) });
    } finally {
      proxy.stop();
    }
  }

  async function statusesOf(count: number, send: () => Promise<HttpAnswer>): Promise<number[]> {
    const all: number[] = [];
    for (let request = 0; request < count; request++) all.push((await send()).status);
    return all;
  }

  describe("of an EnvoyFilter", () => {
    it("hold for all requests of the direction, and answer as Envoy does", () =>
      outbound([envoyFilter("all", [filterPatch(settings({ token_bucket: bucket(2), enable_x_ratelimit_headers: "DRAFT_VERSION_03", response_headers_to_add: [{ header: { key: "x-limited", value: "yes" } }] }))])], async ({ proxy, send, statuses }) => {
        expect((await send()).headers).toMatchObject({ "x-ratelimit-limit": "2", "x-ratelimit-remaining": "1", "x-ratelimit-reset": "30" });
        expect(await statuses(2)).toEqual([200, 429]);
        const { headers, body } = await send();
        expect([body, headers["x-envoy-ratelimited"], headers["x-limited"], headers["x-ratelimit-remaining"], headers["ratelimit"]]).toEqual(["local_rate_limited", "true", "yes", "0", undefined]);
        expect(await proxy.metrics()).toContain('envoy_http_local_rate_limit_rate_limited{http_conn_manager_prefix="outbound",local_http_ratelimit_prefix="limiter"} 2');
      }));

    it.each([
      ["UNAVAILABLE, as Envoy has it", false, "14"],
      ["RESOURCE_EXHAUSTED where that is asked for", true, "8"],
    ])("tell gRPC clients %s", (_what, exhausted, told) =>
      outbound([envoyFilter("all", [filterPatch(settings({ token_bucket: bucket(1), rate_limited_as_resource_exhausted: exhausted }))])], async ({ send }) => {
        await send();
        const { headers } = await send({ method: "POST", headers: { "content-type": "application/grpc" } });
        expect(headers["grpc-status"]).toBe(told);
      }));

    it.each([
      ["filter_enabled and filter_enforced left out", { filter_enabled: undefined, filter_enforced: undefined }, 200],
      ["filter_enforced left out", { filter_enforced: undefined }, 200],
      ["enforced for 40 %, drawn 0.5", { filter_enforced: { default_value: { numerator: 40 } } }, 200],
      ["enforced for 60 %, drawn 0.5", { filter_enforced: { default_value: { numerator: 600_000, denominator: "MILLION" } } }, 429],
      ["a status below 400", { status: { code: 200 } }, 429],
      ["a status of its own", { status: { code: 503 } }, 503],
    ])("%s: the second request", (_what, more, status) =>
      outbound([envoyFilter("all", [filterPatch(settings({ token_bucket: bucket(1), ...more }))])], async ({ statuses }) => {
        expect(await statuses(2)).toEqual([200, status]);
      }));

    it("mark a request that is beyond them and let pass", () =>
      outbound([envoyFilter("all", [filterPatch(settings({ token_bucket: bucket(1), filter_enforced: undefined, request_headers_to_add_when_not_enforced: [{ header: { key: "x-beyond", value: "1" }, append_action: "OVERWRITE_IF_EXISTS_OR_ADD" }] }))])], async ({ statuses }) => {
        expect(await statuses(2, { headers: { "x-beyond": "mine" } })).toEqual([200, 200]);
        expect(application.requests.map(({ headers }) => headers["x-beyond"])).toEqual(["mine", "1"]);
      }));

    it("of a route stand in place of those of the filter, with a bucket of their own", () =>
      outbound([envoyFilter("all", [filterPatch(settings({ token_bucket: bucket(1) })), routePatch(perRoute(settings({ token_bucket: bucket(2) })), { name: "reviews.default.svc.cluster.local:9080", route: { name: "pay" } })])], async ({ statuses }) => {
        expect(await statuses(3, { path: "/pay" })).toEqual([200, 200, 429]);
        expect(await statuses(2)).toEqual([200, 429]);
      }));

    it("may hold for one route alone", () =>
      outbound([envoyFilter("all", [filterPatch({ "@type": TYPE, stat_prefix: "none" }), routePatch(perRoute(settings({ token_bucket: bucket(1) })), { route: { name: "pay" } })])], async ({ statuses }) => {
        expect(await statuses(2, { path: "/pay" })).toEqual([200, 429]);
        expect(await statuses(3)).toEqual([200, 200, 200]);
      }));

    it("count by what their route says: exact entries before any value", () => {
      const entries = (value: string, tokens: number): Resource => ({ entries: [{ key: "user", value }], token_bucket: bucket(tokens) });
      const limit = settings({ token_bucket: bucket(1000), descriptors: [entries("", 1), entries("anna", 2)], always_consume_default_token_bucket: false });
      return outbound([envoyFilter("users", [
        filterPatch(limit),
        routePatch({ route: { rate_limits: [{ actions: [{ request_headers: { header_name: "X-User", descriptor_key: "user" } }] }] } }),
      ])], async ({ statuses }) => {
        expect(await statuses(3, { headers: { "x-user": "anna" } })).toEqual([200, 200, 429]);
        expect(await statuses(2, { headers: { "x-user": "bob" } })).toEqual([200, 429]);
        expect(await statuses(3)).toEqual([200, 200, 200]);
      });
    });

    it("count by fixed entries on conditions", () => {
      const limit = settings({ token_bucket: bucket(1000), descriptors: [{ entries: [{ key: "kind", value: "write" }, { key: "who", value: "tester" }], token_bucket: bucket(1) }],
        rate_limits: [{ actions: [
          { header_value_match: { descriptor_key: "kind", descriptor_value: "write", expect_match: false, headers: [{ name: ":method", string_match: { exact: "GET" } }] } },
          { header_value_match: { descriptor_key: "who", descriptor_value: "tester", headers: [{ name: "x-user", string_match: { contains: "Test", ignore_case: true } }] } },
        ] }] });
      return outbound([envoyFilter("writes", [filterPatch(limit)])], async ({ statuses }) => {
        expect(await statuses(2, { headers: { "x-user": "a tester" } })).toEqual([200, 200]);
        expect(await statuses(2, { method: "POST" })).toEqual([200, 200]);
        expect(await statuses(2, { method: "POST", headers: { "x-user": "a tester" } })).toEqual([200, 429]);
      });
    });

    it("have buckets for each connection where that is asked for", () =>
      outbound([envoyFilter("each", [filterPatch(settings({ token_bucket: bucket(1), local_rate_limit_per_downstream_connection: true }))])], async ({ statuses }) => {
        expect(await statuses(3)).toEqual([200, 200, 200]);
      }));

    it("are for the workloads they select, in their own or the root namespace, and the context they name", () =>
      outbound([
        envoyFilter("other-workload", [filterPatch(settings({ token_bucket: bucket(1) }))], { workloadSelector: { labels: { app: "other" } } }),
        envoyFilter("other-namespace", [filterPatch(settings({ token_bucket: bucket(1) }))], {}, "elsewhere"),
        envoyFilter("inbound", [filterPatch(settings({ token_bucket: bucket(1) }), "SIDECAR_INBOUND")]),
        envoyFilter("port", [filterPatch(settings({ token_bucket: bucket(1) }), "ANY", { listener: { portNumber: 9999 } })]),
        envoyFilter("root", [filterPatch(settings({ token_bucket: bucket(3) }), "ANY", { listener: { portNumber: 9080 } })], { workloadSelector: { labels: { app: "test" } } }, "istio-system"),
      ], async ({ statuses }) => {
        expect(await statuses(4)).toEqual([200, 200, 200, 429]);
      }));
  });

  describe("where requests arrive", () => {
    async function inbound(resources: readonly Resource[], use: (proxy: ProxyUnderTest, send: (from?: string | null) => Promise<HttpAnswer>, time: ManualTime) => Promise<void>, annotation?: string): Promise<void> {
      const port = application.port;
      const [own, ...rest] = service({ name: "reviews", targetPort: port, endpoints: [{ port }] });
      const annotated = annotation === undefined ? own : { ...own, metadata: { name: "reviews", namespace: "default", annotations: { "outrider.io/rate-limit": annotation } } };
      const time = new ManualTime();
      const proxy = await ProxyUnderTest.start({ yaml: yamlOf([annotated as Resource, ...rest, ...resources]), workload: { serviceAccount: "reviews", labels: { app: "reviews" } }, clock: time, timers: time.timers });
      const send = (from: string | null = "productpage"): Promise<HttpAnswer> => {
        const socket = proxy.connectInbound(port);
        return ask(from === null ? socket : meshClient(socket, { spiffeId: `spiffe://cluster.local/ns/default/sa/${from}` }));
      };
      try {
        await use(proxy, send, time);
      } finally {
        proxy.stop();
      }
    }

    it("an annotation of the Service gives each identity a bucket; whoever proves none shares one", () =>
      inbound([], async (proxy, send) => {
        expect(await statusesOf(3, () => send("productpage"))).toEqual([200, 200, 429]);
        expect(await statusesOf(3, () => send("ratings"))).toEqual([200, 200, 429]);
        expect(await statusesOf(3, () => send(null))).toEqual([200, 200, 429]);
        expect(await proxy.metrics()).toContain('envoy_http_local_rate_limit_rate_limited{http_conn_manager_prefix="inbound",local_http_ratelimit_prefix="Service/default/reviews/0"} 3');
      }, "[{requests: 2, per: 1m, by: principal}]"));

    it("an annotation may be for one port of the Service", async () => {
      await inbound([], async (_proxy, send) => expect(await statusesOf(2, send)).toEqual([200, 429]), "[{requests: 1, per: 1m, port: 9080}]");
      await inbound([], async (_proxy, send) => expect(await statusesOf(2, send)).toEqual([200, 200]), "[{requests: 1, per: 1m, port: 9081}]");
    });

    it("who may not call takes no token", () =>
      inbound([{ apiVersion: "security.istio.io/v1", kind: "AuthorizationPolicy", metadata: { name: "only", namespace: "default" }, spec: { action: "ALLOW", rules: [{ from: [{ source: { principals: ["cluster.local/ns/default/sa/productpage"] } }] }] } }], async (_proxy, send) => {
        expect(await statusesOf(3, () => send("mallory"))).toEqual([403, 403, 403]);
        expect(await statusesOf(2, () => send("productpage"))).toEqual([200, 429]);
      }, "[{requests: 1, per: 1m}]"));

    it("an EnvoyFilter holds for each port by itself", () =>
      inbound([envoyFilter("in", [filterPatch(settings({ token_bucket: bucket(1) }), "SIDECAR_INBOUND")])], async (_proxy, send) => {
        expect(await statusesOf(2, send)).toEqual([200, 429]);
      }));
  });

  it.skipIf(!existsSync(SAMPLE))("Istio's sample limits productpage as its README says", async () => {
    const port = application.port;
    // The number in the sample is that of another application.
    const yaml = `${readFileSync(SAMPLE, "utf8").replace("inbound|http|8000", "inbound|http|9080")}\n---\n${yamlOf(service({ name: "productpage", targetPort: port, endpoints: [{ port }] }))}`;
    const time = new ManualTime();
    const proxy = await ProxyUnderTest.start({ yaml, workload: { namespace: "default", serviceAccount: "productpage", labels: { app: "productpage" } }, clock: time, timers: time.timers });
    try {
      const page = (): Promise<HttpAnswer> => ask(proxy.connectInbound(port), { path: "/ProductPage?u=test" });
      expect(await statusesOf(10, page)).toEqual(Array.from({ length: 10 }, () => 200));
      const { status, headers } = await page();
      expect([status, headers["x-local-rate-limit"], headers["x-ratelimit-limit"]]).toEqual([429, "true", "10"]);
      // The rest of a hundred is for everything else: what is refused takes no token of all.
      const others = await statusesOf(91, () => ask(proxy.connectInbound(port)));
      expect([others.filter((code) => code === 200).length, others.at(-1)]).toEqual([90, 429]);
    } finally {
      proxy.stop();
    }
  });
});
if (!existsSync(SAMPLE)) console.warn("skipped: ../shared/corpora/istio-samples is not there");
