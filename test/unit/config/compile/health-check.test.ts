import { describe, expect, test } from "vitest";
import { REVIEWS, clusterOf, compileYaml } from "./compile-yaml.ts";

const HOST = "reviews.default.svc.cluster.local";
const NAME = `outbound|9080||${HOST}`;
const DEFAULTS = {
  protocol: "http", path: "/", host: HOST, service: "", port: null, intervalMs: 10_000, timeoutMs: 1_000, unhealthyThreshold: 3, healthyThreshold: 2,
  expectedStatuses: [{ from: 200, to: 200 }],
};

/** The cluster of a host whose DestinationRule has the annotation, and what is said about it. */
function checked(annotation: string, trafficPolicy = "{ loadBalancer: { simple: RANDOM } }"): { readonly healthCheck: unknown; readonly problems: readonly string[] } {
  const { snapshot, problems } = compileYaml(`${REVIEWS}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: reviews
  namespace: default
  annotations:
    outrider.io/health-check: ${JSON.stringify(annotation)}
spec: { host: reviews, trafficPolicy: ${trafficPolicy} }
`);
  return { healthCheck: clusterOf(snapshot, NAME).healthCheck, problems };
}

describe("the annotation outrider.io/health-check", () => {
  test.each([
    ["{}", {}],
    ["{ path: /ready, host: reviews.test, port: 8081 }", { path: "/ready", host: "reviews.test", port: 8081 }],
    ["{\"path\":\"/ready\"}", { path: "/ready" }],
    ["path: /ready\ninterval: 500ms\ntimeout: 200ms", { path: "/ready", intervalMs: 500, timeoutMs: 200 }],
    ["{ unhealthyThreshold: 1, healthyThreshold: 5 }", { unhealthyThreshold: 1, healthyThreshold: 5 }],
    ["{ expectedStatuses: [200-299, 401, '404'] }", { expectedStatuses: [{ from: 200, to: 299 }, { from: 401, to: 401 }, { from: 404, to: 404 }] }],
    ["{ protocol: tcp }", { protocol: "tcp" }],
    ["{ protocol: grpc, service: shop.Reviews }", { protocol: "grpc", service: "shop.Reviews" }],
  ])("%s", (annotation, expected) => {
    expect(checked(annotation)).toEqual({ healthCheck: { ...DEFAULTS, ...expected }, problems: [] });
  });

  test.each([
    ["", "must be a mapping"],
    ["yes", "must be a mapping"],
    ["{ path: ready }", "path: must be a path that begins with /"],
    ["{ path: \"/a b\" }", "path: must be a path that begins with /"],
    ["{ host: \"a\\r\\nb\" }", "host: must be a host name"],
    ["{ pth: /ready }", "unknown field"],
    ["{ protocol: udp }", "protocol: "],
    ["{ interval: 1ms }", "interval: must be at least 100ms"],
    ["{ timeout: 0s }", "timeout: must be a duration of at least 1ms"],
    ["{ unhealthyThreshold: 0 }", "unhealthyThreshold: "],
    ["{ expectedStatuses: [] }", "expectedStatuses: must not be an empty list"],
    ["{ expectedStatuses: [99] }", "must be a status or a range"],
    ["{ protocol: tcp, path: /ready }", "path is for the protocol http"],
    ["{ service: a }", "service is for the protocol grpc"],
    ["{ protocol: grpc, expectedStatuses: [200] }", "expectedStatuses is for the protocol http"],
    ["{ path: [", "is no YAML"],
    ["{ a: &a [1], b: *a }", "is no YAML"],
    [`{ path: /${"a".repeat(5_000)} }`, "must not be longer than 4096 characters"],
  ])("what it cannot mean is told, and nothing is checked: %s", (annotation, message) => {
    const { healthCheck, problems } = checked(annotation);
    expect(healthCheck).toBeUndefined();
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain("warning: DestinationRule default/reviews: metadata.annotations");
    expect(problems[0]).toContain(message);
    expect(problems[0]).toContain(" (no health is checked)");
  });

  test("all that is wrong is told at once", () => {
    expect(checked("{ path: ready, intervall: 5s, timeout: 0s }").problems).toEqual([
      expect.stringContaining("intervall: unknown field"),
      expect.stringContaining("path: must be a path that begins with /"),
      expect.stringContaining("timeout: must be a duration"),
    ]);
  });

  test("where the application chooses the address there is nothing to check", () => {
    const { healthCheck, problems } = checked("{}", "{ loadBalancer: { simple: PASSTHROUGH } }");
    expect(healthCheck).toBeUndefined();
    expect(problems).toEqual([expect.stringContaining("the application chooses the address by itself (no health is checked)")]);
  });
});
