import { describe, expect, test } from "vitest";
import { effectiveProxyConfig } from "../../../../src/config/compile/effective-proxy-config.ts";
import { ProblemList } from "../../../../src/config/compile/problem-list.ts";
import { resourcesOf } from "./compile-yaml.ts";

/* spec/00 0.2 and Istio's order of ProxyConfig: mesh, root namespace, namespace, workload. */

const config = (name: string, namespace: string, spec: string, year = 2024): string => `
---
apiVersion: networking.istio.io/v1beta1
kind: ProxyConfig
metadata: { name: ${name}, namespace: ${namespace}, creationTimestamp: "${year}-01-01T00:00:00Z" }
spec: { ${spec} }
`;
const MESH = `
---
apiVersion: v1
kind: ConfigMap
metadata: { name: istio, namespace: istio-system }
data: { mesh: "defaultConfig: { concurrency: 1, proxyMetadata: { A: mesh, B: mesh, C: mesh, D: mesh } }" }
`;
const ROOT = config("root", "istio-system", "concurrency: 2, environmentVariables: { B: root, C: root, D: root }");
const NAMESPACE = config("ns", "own", "concurrency: 3, environmentVariables: { C: ns, D: ns }");
const WORKLOAD = config("w", "own", "selector: { matchLabels: { app: me } }, concurrency: 4, environmentVariables: { D: workload }");

function effective(yaml: string, namespace = "own") {
  const problems = new ProblemList();
  const { concurrency, environment } = effectiveProxyConfig(resourcesOf(yaml).resources, { namespace, labels: { app: "me" } }, problems);
  return { concurrency, environment: Object.fromEntries(environment), problems: problems.sorted().map(({ message }) => message) };
}

describe("ProxyConfig precedence", () => {
  test.each([
    ["nothing", "", null, {}],
    ["mesh", MESH, 1, { A: "mesh", B: "mesh", C: "mesh", D: "mesh" }],
    ["root namespace over mesh", MESH + ROOT, 2, { A: "mesh", B: "root", C: "root", D: "root" }],
    ["namespace over root", MESH + ROOT + NAMESPACE, 3, { A: "mesh", B: "root", C: "ns", D: "ns" }],
    ["workload over namespace", WORKLOAD + NAMESPACE + ROOT + MESH, 4, { A: "mesh", B: "root", C: "ns", D: "workload" }],
    ["an absent concurrency is inherited", NAMESPACE + config("w", "own", "selector: { matchLabels: { app: me } }, environmentVariables: { D: workload }"), 3, { C: "ns", D: "workload" }],
    ["0 is a value", NAMESPACE + config("w", "own", "selector: { matchLabels: { app: me } }, concurrency: 0"), 0, { C: "ns", D: "ns" }],
    ["a selector that does not hold", config("w", "own", "selector: { matchLabels: { app: other } }, concurrency: 4"), null, {}],
    ["a selector in the root namespace is for its own workloads", config("w", "istio-system", "selector: { matchLabels: { app: me } }, concurrency: 4"), null, {}],
    ["another namespace's", config("ns", "other", "concurrency: 4"), null, {}],
  ])("%s", (_what, yaml, concurrency, environment) => {
    expect(effective(yaml)).toEqual({ concurrency, environment, problems: [] });
  });

  test("workloads of the root namespace have its one once", () => {
    expect(effective(ROOT, "istio-system")).toMatchObject({ concurrency: 2, problems: [] });
  });

  test("the oldest of a scope counts, and the younger says so", () => {
    expect(effective(config("a", "own", "concurrency: 7", 2025) + config("b", "own", "concurrency: 3", 2023))).toEqual({
      concurrency: 3, environment: {}, problems: ["ignored for this workload: ProxyConfig b is older and has the same scope; the two are not merged"],
    });
  });
});
