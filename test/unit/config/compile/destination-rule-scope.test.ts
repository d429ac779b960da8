import { describe, expect, test } from "vitest";
import { REVIEWS, clusterOf, compileYaml } from "./compile-yaml.ts";

/* spec/04 4.1: which rule, and what of it. Which rule it was is told by its limit on connections. */

const HOST = "reviews.default.svc.cluster.local";
const CLIENT = { namespace: "client", labels: { app: "me", tier: "web" } };

interface Rule {
  readonly namespace: string;
  readonly max: number;
  readonly host?: string;
  readonly more?: string;
  readonly year?: number;
}
let count = 0;
const rule = ({ namespace, max, host = HOST, more = "", year = 2024 }: Rule): string => `
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: r${count++}, namespace: ${namespace}, creationTimestamp: "${year}-01-01T00:00:00Z" }
spec: { host: "${host}", trafficPolicy: { connectionPool: { tcp: { maxConnections: ${max} } } }${more} }
`;
const mesh = (text: string): string => `
---
apiVersion: v1
kind: ConfigMap
metadata: { name: istio, namespace: istio-system }
data: { mesh: '${text}' }
`;
const limits = (yaml: string, subset = "", workload: object = CLIENT) => clusterOf(compileYaml(REVIEWS + yaml, workload).snapshot, `outbound|9080|${subset}|${HOST}`);
const maxOf = (rules: readonly Rule[], workload: object = CLIENT): number => limits(rules.map(rule).join(""), "", workload).limits.maxConnections;
const selecting = (labels: string): string => `, workloadSelector: { matchLabels: ${labels} }`;

describe("spec/04 4.1 (1) and 10.2 namespace tiers: the first with a match decides", () => {
  const client = { namespace: "client", max: 1 };
  const service = { namespace: "default", max: 2 };
  const root = { namespace: "istio-system", max: 3 };
  test.each<[string, Rule[], number, object?]>([
    ["client over service over root", [root, service, client], 1], ["service over root", [root, service], 2], ["root", [root], 3],
    ["a namespace that is none of the three", [{ namespace: "third", max: 9 }], Infinity],
    ["a wildcard of the client's over an exact host of the service's", [{ ...client, host: "*.local" }, service], 1],
    ["what the service's namespace keeps for itself is passed over", [{ ...service, more: ", exportTo: ['.']" }, root], 3],
    ["what it exports to the client counts", [{ ...service, more: ", exportTo: [client]" }, root], 2],
    ["what the root namespace keeps for itself", [{ ...root, more: ", exportTo: ['.']" }], Infinity],
    ["a client in the root namespace asks the service's first", [root, service], 2, { namespace: "istio-system" }],
  ])("%s", (_what, rules, expected, workload) => {
    expect(maxOf(rules, workload)).toBe(expected);
  });
});

describe("spec/04 4.1 (2) the most specific host of a tier", () => {
  test.each<[string, Rule[], number]>([
    ["exact", [{ namespace: "default", max: 1, host: "*" }, { namespace: "default", max: 2, host: "*.default.svc.cluster.local" }, { namespace: "default", max: 3 }], 3],
    ["the longest wildcard", [{ namespace: "default", max: 1, host: "*" }, { namespace: "default", max: 2, host: "*.default.svc.cluster.local" }, { namespace: "default", max: 3, host: "*.local" }], 2],
    ["`*` is everything", [{ namespace: "default", max: 1, host: "*" }], 1],
    ["a short name is of the rule's own namespace", [{ namespace: "default", max: 1, host: "reviews" }], 1],
    ["and not of the client's, nor of the service's", [{ namespace: "client", max: 1, host: "reviews" }], Infinity],
    ["a wildcard that only looks alike", [{ namespace: "default", max: 1, host: "*.reviews.default.svc.cluster.local" }], Infinity],
    ["case does not count", [{ namespace: "default", max: 1, host: "Reviews.default.svc.cluster.local" }], 1],
  ])("%s", (_what, rules, expected) => {
    expect(maxOf(rules)).toBe(expected);
  });
});

describe("spec/04 4.1 (3) workloadSelector", () => {
  const general = { namespace: "client", max: 1 };
  const root = { namespace: "istio-system", max: 3 };
  test.each<[string, Rule[], number]>([
    ["preferred where it holds", [general, { ...general, max: 2, more: selecting("{ app: me }"), year: 2025 }], 2],
    ["all labels must be there", [general, { ...general, max: 2, more: selecting("{ app: me, tier: db }") }], 1],
    ["only for clients of the rule's own namespace", [{ namespace: "default", max: 2, more: selecting("{ app: me }") }, root], Infinity],
    ["only rules that do not hold: none applies, and no other tier is asked", [{ ...general, max: 2, more: selecting("{ app: other }") }, root], Infinity],
    ["the more specific host decides first", [{ ...general, max: 1 }, { ...general, max: 2, host: "*.local", more: selecting("{ app: me }") }], 1],
    ["an empty selector is none", [{ ...general, max: 2, more: selecting("{}") }, root], 2],
  ])("%s", (_what, rules, expected) => {
    expect(maxOf(rules)).toBe(expected);
  });
});

describe("spec/04 4.1 (4) several rules of one host", () => {
  const subset = (name: string): string => `, subsets: [{ name: ${name}, labels: { version: ${name} } }]`;
  const both = (first: string, second: string) => compileYaml(REVIEWS
    + rule({ namespace: "default", max: 1, more: subset("v1") + first, year: 2023 }) + rule({ namespace: "default", max: 2, more: subset("v2") + second, year: 2024 }), CLIENT);
  const subsetsOf = (found: ReturnType<typeof both>): string[] => found.snapshot.clusters.map(({ name }) => name.split("|")[2] ?? "").filter((name) => name !== "");

  test("subsets add up, the first policy counts, the other is told", () => {
    const found = both("", "");
    expect(subsetsOf(found)).toEqual(["v1", "v2"]);
    expect(clusterOf(found.snapshot, `outbound|9080|v2|${HOST}`).limits.maxConnections).toBe(1);
    expect(found.problems).toEqual([expect.stringMatching(/spec\.trafficPolicy: ignored: DestinationRule \w+ for the same host came first/)]);
  });

  test.each([
    [", exportTo: ['*']", ", exportTo: ['*']", true], [", exportTo: [client, other]", ", exportTo: [other, client]", true],
    [", exportTo: ['*']", ", exportTo: [client]", false], ["", ", exportTo: [client]", false],
  ])("exportTo %j and %j merge: %s", (first, second, isMerged) => {
    const found = both(first, second);
    expect(subsetsOf(found)).toEqual(isMerged ? ["v1", "v2"] : ["v1"]);
    if (!isMerged) expect(found.problems).toContainEqual(expect.stringMatching(/spec\.exportTo: ignored: DestinationRule \w+ for the same host came first and has another exportTo/));
  });

  test("of two selectors that both hold the older counts, and the other says so", () => {
    const rules = [selecting("{ app: me }"), selecting("{ tier: web }")].map((more, index) => rule({ namespace: "client", max: index + 1, more, year: 2023 + index }));
    const { snapshot, problems } = compileYaml(REVIEWS + rules.join(""), CLIENT);
    expect(clusterOf(snapshot, `outbound|9080||${HOST}`).limits.maxConnections).toBe(1);
    expect(problems).toEqual([expect.stringMatching(/spec\.workloadSelector: ignored: DestinationRule \w+ .* has another workloadSelector/)]);
  });
});

test("spec/04 4.1 settings of a port that the service does not have are told", () => {
  const levels = (port: number): string => `portLevelSettings: [{ port: { number: ${port} }, loadBalancer: { simple: RANDOM } }]`;
  const text = `
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: d, namespace: default }
spec: { host: reviews, trafficPolicy: { ${levels(80)} }, subsets: [{ name: v1, labels: { version: v1 }, trafficPolicy: { ${levels(9080)} } }, { name: v2, labels: { version: v2 }, trafficPolicy: { ${levels(81)} } }] }
`;
  expect(compileYaml(REVIEWS + text).problems).toEqual([
    `warning: DestinationRule default/d: spec.trafficPolicy.portLevelSettings[0].port.number: ${HOST} has no port 80: these settings have no effect; its ports are 9080`,
    `warning: DestinationRule default/d: spec.subsets[1].trafficPolicy.portLevelSettings[0].port.number: ${HOST} has no port 81: these settings have no effect; its ports are 9080`,
  ]);
});

describe("spec/04 4.1 meshConfig.defaultTrafficPolicy", () => {
  const DEFAULTS = mesh("defaultTrafficPolicy: { connectionPool: { tcp: { maxConnections: 70 }, http: { http2MaxRequests: 71 } }, outlierDetection: { consecutive5xxErrors: 3 } }");
  const policy = (text: string): string => `
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: own, namespace: default }
spec: { host: reviews, ${text} }
`;
  test.each([
    ["without a rule", "", { limits: { maxConnections: 70, maxRequests: 71 }, outlierDetection: { consecutive5xx: 3 } }],
    ["a rule without these blocks", policy("trafficPolicy: { loadBalancer: { simple: RANDOM } }"), { loadBalancer: "RANDOM", limits: { maxConnections: 70 }, outlierDetection: { consecutive5xx: 3 } }],
    ["a rule's block replaces the whole", policy("trafficPolicy: { connectionPool: { tcp: { maxConnections: 5 } } }"), { limits: { maxConnections: 5, maxRequests: Infinity }, outlierDetection: { consecutive5xx: 3 } }],
    ["what a port-level entry resets falls back to the mesh's", policy("trafficPolicy: { connectionPool: { tcp: { maxConnections: 5 } }, portLevelSettings: [{ port: { number: 9080 }, loadBalancer: { simple: RANDOM } }] }"),
      { loadBalancer: "RANDOM", limits: { maxConnections: 70 }, outlierDetection: { consecutive5xx: 3 } }],
  ])("%s", (_what, yaml, expected) => {
    expect(limits(yaml + DEFAULTS)).toMatchObject(expected);
  });

  test("a subset's block replaces it, its other block is the mesh's", () => {
    const yaml = policy("subsets: [{ name: v1, labels: { version: v1 }, trafficPolicy: { outlierDetection: { consecutive5xxErrors: 9 } } }]") + DEFAULTS;
    expect(limits(yaml, "v1")).toMatchObject({ limits: { maxConnections: 70 }, outlierDetection: { consecutive5xx: 9 } });
  });

  test("the inbound side has no part in it", () => {
    const me = { podName: "reviews-v1-6b5d7c8f9-x7k2p", addresses: ["10.1.0.11"], labels: { app: "reviews", version: "v1" } };
    expect(clusterOf(compileYaml(REVIEWS + DEFAULTS, me).snapshot, "inbound|9080||").limits.maxConnections).toBe(Infinity);
    expect(clusterOf(compileYaml(REVIEWS + policy("trafficPolicy: { connectionPool: { tcp: { maxConnections: 5 } } }"), me).snapshot, "inbound|9080||").limits.maxConnections).toBe(5);
  });
});
