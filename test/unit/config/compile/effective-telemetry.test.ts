import { describe, expect, test } from "vitest";
import { effectiveTelemetry } from "../../../../src/config/compile/effective-telemetry.ts";
import { ProblemList } from "../../../../src/config/compile/problem-list.ts";
import { resourcesOf } from "./compile-yaml.ts";

/* spec/06 6.8; the workload is in namespace `own` with label `app: me`. */

const telemetry = (name: string, namespace: string, spec: string, year = 2024): string => `
---
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: { name: ${name}, namespace: ${namespace}, creationTimestamp: "${year}-01-01T00:00:00Z" }
spec: { ${spec} }
`;
const mesh = (text: string): string => `
---
apiVersion: v1
kind: ConfigMap
metadata: { name: istio, namespace: istio-system }
data: { mesh: '${text}' }
`;
const root = (spec: string): string => telemetry("root", "istio-system", spec);
const namespace = (spec: string): string => telemetry("ns", "own", spec);
const workload = (spec: string): string => telemetry("w", "own", `selector: { matchLabels: { app: me } }, ${spec}`);

function effective(yaml: string) {
  const problems = new ProblemList();
  return { ...effectiveTelemetry(resourcesOf(yaml).resources, { namespace: "own", labels: { app: "me" } }, problems), problems: problems.sorted().map(({ message }) => message) };
}

describe("spec/06 6.8 and 10.2 which Telemetry applies", () => {
  const log = (provider: string): string => `accessLogging: [{ providers: [{ name: ${provider} }] }]`;
  test.each([
    ["none", "", []],
    ["mesh, namespace, workload, in this order", workload(log("c")) + namespace(log("b")) + root(log("a")), ["root", "ns", "w"]],
    ["another namespace's", telemetry("x", "other", log("a")), []],
    ["a selector that does not hold", telemetry("x", "own", `selector: { matchLabels: { app: other } }, ${log("a")}`), []],
    ["a selector in the root namespace is for its own workloads", telemetry("x", "istio-system", `selector: { matchLabels: { app: me } }, ${log("a")}`), []],
    ["one for a gateway or waypoint", telemetry("x", "own", `targetRefs: [{ kind: Gateway, group: gateway.networking.k8s.io, name: g }], ${log("a")}`), []],
  ])("%s", (_what, yaml, names) => {
    expect(effective(yaml).sources.map(({ metadata }) => metadata.name)).toEqual(names);
  });

  test("the oldest of a scope counts, and the younger says so", () => {
    const found = effective(telemetry("a", "own", log("young"), 2025) + telemetry("b", "own", log("old"), 2023));
    expect(found.SERVER.accessLogs).toEqual([{ provider: "old", filter: null }]);
    expect(found.problems).toEqual(["ignored for this workload: Telemetry b is older and has the same scope; the two are not merged"]);
  });
});

describe("spec/06 6.8 accessLogging", () => {
  const entry = (text: string): string => `accessLogging: [{ ${text} }]`;
  const log = (provider: string, more = ""): string => entry(`providers: [{ name: ${provider} }]${more}`);
  const one = (provider: string, filter: string | null = null) => [{ provider, filter }];
  test.each<[what: string, yaml: string, client: object | null, server: object | null]>([
    ["nothing: accessLogFile decides", "", null, null],
    ["the mesh's default providers", mesh("defaultProviders: { accessLogging: [Envoy] }"), one("envoy"), one("envoy")],
    ["a provider by name, whatever its case", root(log("Envoy")), one("envoy"), one("envoy")],
    ["a lower level's providers replace the upper's", root(log("a")) + namespace(log("b")), one("b"), one("b")],
    ["a lower level without providers inherits them", root(log("a")) + namespace(entry("filter: { expression: 'response.code >= 400' }")), one("a", "response.code >= 400"), one("a", "response.code >= 400")],
    ["disabled at a lower level", root(log("a")) + workload(entry("disabled: true")), [], []],
    ["enabled again", root(log("a", ", disabled: true")) + namespace(entry("disabled: false")), one("a"), one("a")],
    ["one side only", root(entry("providers: [{ name: a }], match: { mode: CLIENT }")), one("a"), []],
    ["one side disabled", root(log("a")) + namespace(entry("disabled: true, match: { mode: SERVER }")), one("a"), []],
    ["a provider's own filter", root(log("a", ", filter: { expression: 'true' }")), one("a", "true"), one("a", "true")],
    ["no provider anywhere: said, and nothing", root(entry("disabled: false")), [], []],
    ["two entries of a level", root("accessLogging: [{ providers: [{ name: b }] }, { providers: [{ name: a }] }]"), [...one("a"), ...one("b")], [...one("a"), ...one("b")]],
  ])("%s", (_what, yaml, client, server) => {
    const found = effective(yaml);
    expect([found.CLIENT.accessLogs, found.SERVER.accessLogs]).toEqual([client, server]);
  });
});

describe("spec/06 6.8 tracing", () => {
  const zipkin = "tracing: [{ providers: [{ name: Zipkin }], randomSamplingPercentage: 10, customTags: { a: { literal: { value: x } } } }]";
  test("nothing is said", () => {
    expect(effective("").CLIENT.tracing).toBeNull();
  });

  test("later entries win field by field, custom tags as a whole", () => {
    const { CLIENT } = effective(root(zipkin) + namespace("tracing: [{ randomSamplingPercentage: 50, customTags: { b: { literal: { value: z } } } }]") + workload("tracing: [{ enableIstioTags: false }]"));
    expect(CLIENT.tracing).toEqual({
      provider: "zipkin", isDisabled: false, randomSamplingPercentage: 50, customTags: { b: { literal: { value: "z" } } },
      useRequestIdForTraceSampling: true, enableIstioTags: false, disableContextPropagation: false,
    });
  });

  test.each([
    ["no provider resolved: disabled", root("tracing: [{ randomSamplingPercentage: 5 }]"), { provider: null, isDisabled: true }],
    ["the mesh's first default provider", mesh("defaultProviders: { tracing: [OTel, other] }"), { provider: "otel", isDisabled: false }],
    ["disableSpanReporting", root(zipkin) + namespace("tracing: [{ disableSpanReporting: true }]"), { provider: "zipkin", isDisabled: true }],
    ["0 percent is a value", root(zipkin) + namespace("tracing: [{ randomSamplingPercentage: 0 }]"), { randomSamplingPercentage: 0 }],
  ])("%s", (_what, yaml, expected) => {
    expect(effective(yaml).SERVER.tracing).toMatchObject(expected);
  });

  test("match.mode", () => {
    const { CLIENT, SERVER } = effective(root("tracing: [{ match: { mode: CLIENT }, providers: [{ name: a }] }]"));
    expect([CLIENT.tracing?.provider, SERVER.tracing]).toEqual(["a", null]);
  });
});

describe("spec/06 6.8 metrics", () => {
  const overrides = (...entries: string[]): string => `metrics: [{ overrides: [${entries.join(", ")}] }]`;
  const off = "{ match: { metric: ALL_METRICS }, disabled: true }";
  const of = (yaml: string, mode: "CLIENT" | "SERVER" = "CLIENT") => {
    const prometheus = effective(yaml)[mode].metrics.providers.get("prometheus");
    return prometheus === undefined ? null : Object.fromEntries([...prometheus].map(([name, { isDisabled, tags }]) => [name, { isDisabled, tags: Object.fromEntries(tags) }]));
  };

  test("by default prometheus, as it is", () => {
    expect(of("")).toEqual({});
  });

  test("later overrides win metric by metric and label by label", () => {
    expect(of(root(overrides("{ match: { metric: REQUEST_COUNT }, tagOverrides: { a: { value: x }, b: { value: z } } }"))
      + namespace(overrides("{ match: { metric: REQUEST_COUNT }, tagOverrides: { b: { operation: REMOVE } } }", "{ match: { metric: REQUEST_SIZE }, disabled: true }")))).toEqual({
      REQUEST_COUNT: { isDisabled: false, tags: { a: "x", b: null } }, REQUEST_SIZE: { isDisabled: true, tags: {} },
    });
  });

  test("an override without match is for every metric", () => {
    expect(Object.keys(of(root(overrides("{ tagOverrides: { a: { value: x } } }"))) ?? {})).toHaveLength(10);
  });

  test("ALL_METRICS disabled drops the provider, and a later override brings it back", () => {
    expect(of(root(overrides(off)))).toBeNull();
    expect(of(root(overrides(off)) + namespace(overrides("{ match: { metric: REQUEST_COUNT }, disabled: false }")))).toEqual({ REQUEST_COUNT: { isDisabled: false, tags: {} } });
  });

  test("match.mode", () => {
    const yaml = root(overrides("{ match: { metric: ALL_METRICS, mode: SERVER }, disabled: true }"));
    expect([of(yaml, "CLIENT"), of(yaml, "SERVER")]).toEqual([{}, null]);
  });

  test("providers of a lower level replace those of the upper", () => {
    const { providers } = effective(root("metrics: [{ providers: [{ name: Prometheus }] }]") + namespace("metrics: [{ providers: [{ name: other }] }]")).CLIENT.metrics;
    expect([...providers.keys()]).toEqual(["other"]);
  });
});
