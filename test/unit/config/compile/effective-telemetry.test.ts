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
  return { ...effectiveTelemetry(resourcesOf(yaml).resources, { namespace: "own", labels: { app: "me" } }, problems, "istio-system"), problems: problems.sorted().map(({ message }) => message) };
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
