import { createServer, type Server } from "node:http";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ask } from "./http-client.ts";
import { httpRules, networking, portOf } from "./mesh-resources.ts";
import { eventually } from "./proxy-under-test.ts";
import { ProxyPair, STRICT } from "./proxy-pair.ts";

/* What a caller behind its own sidecar makes of a limit at the callee's, and of faults on the way (spec/03 3.6, 3.8). */

let server: Server;
let served = 0;

beforeAll(async () => {
  server = createServer((_request, response) => {
    served++;
    response.end("body");
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
});
afterAll(() => {
  server.close().closeAllConnections();
});

const TYPE = "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit";
const ON = { default_value: { numerator: 100 } };
const LIMIT = {
  ...networking("EnvoyFilter", "limit", { workloadSelector: { labels: { app: "reviews" } }, configPatches: [{
    applyTo: "HTTP_FILTER", match: { context: "SIDECAR_INBOUND" },
    patch: { operation: "INSERT_FIRST", value: { name: "envoy.filters.http.local_ratelimit", typed_config: { "@type": TYPE, stat_prefix: "in", token_bucket: { max_tokens: 2, fill_interval: "3600s" }, filter_enabled: ON, filter_enforced: ON } } },
  }] }), apiVersion: "networking.istio.io/v1alpha3",
};

it("a refusal of the callee reaches the caller as it is, and is not retried as a failure", async () => {
  const rules = httpRules("reviews", { route: [{ destination: { host: "reviews" } }], retries: { attempts: 3, retryOn: "5xx,reset" } });
  const pair = await ProxyPair.start({ port: portOf(server), resources: [STRICT, LIMIT, rules] });
  try {
    served = 0;
    const answers = [];
    for (let request = 0; request < 4; request++) answers.push(await ask(pair.connect()));
    expect(answers.map(({ status, body }) => `${status} ${body}`)).toEqual(["200 body", "200 body", "429 local_rate_limited", "429 local_rate_limited"]);
    expect(served).toBe(2);
    await eventually(() => pair.caller.accessLog.length === 4 && pair.callee.accessLog.length === 4, "all are logged");
    expect(pair.callee.accessLog[3]).toMatchObject({ response_flags: "RL", response_code_details: "local_rate_limited" });
    expect(pair.caller.accessLog[3]).toMatchObject({ response_flags: "-", response_code_details: "via_upstream", attempts: 1 });
  } finally {
    pair.stop();
  }
});

it("a fault is the caller's alone: its callee hears of nothing", async () => {
  const rules = httpRules("reviews", { route: [{ destination: { host: "reviews" } }], fault: { abort: { httpStatus: 503, percentage: { value: 100 } } }, retries: { attempts: 3, retryOn: "5xx" } });
  const pair = await ProxyPair.start({ port: portOf(server), resources: [STRICT, rules] });
  try {
    served = 0;
    expect((await ask(pair.connect())).body).toBe("fault filter abort");
    await eventually(() => pair.caller.accessLog.length === 1, "it is logged");
    expect([served, pair.callee.accessLog.length]).toEqual([0, 0]);
    expect(pair.caller.accessLog[0]).toMatchObject({ response_flags: "FI" });
  } finally {
    pair.stop();
  }
});
