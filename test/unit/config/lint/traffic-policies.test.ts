import { describe, expect, it } from "vitest";
import { TO_REVIEWS, destinationRule, lintYaml, serviceWith, virtualService } from "./lint-yaml.ts";

const PORT = "{ name: http, port: 80 }";
const labels = (count: number, version = "v1"): string[] => Array.from({ length: count }, () => `version: ${version}`);

describe("port-level-reset", () => {
  const rule = (top: string, port: string): string => destinationRule(`trafficPolicy: { ${top}, portLevelSettings: [{ port: { number: 80 }, ${port} }] }`);

  it("names what the port loses", () => {
    expect(lintYaml(rule("connectionPool: { tcp: { maxConnections: 5 } }, outlierDetection: {}", "loadBalancer: { simple: RANDOM }"))).toEqual([
      "port-level-reset: spec.trafficPolicy.portLevelSettings[0]: port 80 does not inherit connectionPool and outlierDetection, since a port-level entry replaces all of loadBalancer, connectionPool, outlierDetection and tls; repeat them here if the port is to have them",
    ]);
  });

  it("counts what a subset would have from the host", () => {
    const yaml = destinationRule("trafficPolicy: { tls: { mode: ISTIO_MUTUAL } }, subsets: [{ name: v1, trafficPolicy: { portLevelSettings: [{ port: { number: 80 }, outlierDetection: {} }] } }]");
    expect(lintYaml(yaml)).toEqual([
      "port-level-reset: spec.subsets[0].trafficPolicy.portLevelSettings[0]: port 80 does not inherit tls, since a port-level entry replaces all of loadBalancer, connectionPool, outlierDetection and tls; repeat it here if the port is to have it",
    ]);
  });

  it.each([
    ["what is repeated", "outlierDetection: {}", "outlierDetection: { interval: 1s }"],
    ["a plain balancer", "loadBalancer: { simple: ROUND_ROBIN }", "tls: { mode: DISABLE }"],
  ])("not: %s", (_what, top, port) => {
    expect(lintYaml(rule(top, port))).toEqual([]);
  });

  it("is told of a balancer that keeps requests together", () => {
    expect(lintYaml(rule("loadBalancer: { consistentHash: { useSourceIp: true } }", "tls: { mode: DISABLE }"))).toEqual([expect.stringContaining("does not inherit loadBalancer, since")]);
  });
});

describe("never-ejects", () => {
  const detection = (more: string): string => destinationRule(`trafficPolicy: { outlierDetection: { ${more} } }`);

  it.each([
    ["the default", 3, "", "one of 3 is 33 %, more than 10 %, the default; write at least 33"],
    ["0, which is the default", 2, "maxEjectionPercent: 0", "one of 2 is 50 %, more than 10 %, the default; write at least 50"],
    ["its own", 6, "maxEjectionPercent: 15", "one of 6 is 16 %, more than 15 %; write at least 16"],
    ["nine with the default", 9, "", "one of 9 is 11 %, more than 10 %, the default; write at least 11"],
  ])("%s", (_what, count, more, expected) => {
    expect(lintYaml(serviceWith("reviews", PORT, labels(count)) + detection(more))).toEqual([
      `never-ejects: spec.trafficPolicy.outlierDetection.maxEjectionPercent: no endpoint is ever ejected: ${expected}`,
    ]);
  });

  it.each([[10, ""], [6, "maxEjectionPercent: 16"], [3, "maxEjectionPercent: 33"], [2, "maxEjectionPercent: 50"], [1, ""], [0, ""]])("not: %i endpoints, %s", (count, more) => {
    expect(lintYaml(serviceWith("reviews", PORT, labels(count)) + detection(more))).toEqual([]);
  });

  it("counts the endpoints of the subset", () => {
    const endpoints = [...labels(9), ...labels(3, "v2")];
    const yaml = (version: string): string => `${serviceWith("reviews", PORT, endpoints)}${virtualService("[{ route: [{ destination: { host: reviews, subset: s } }] }]")}`
      + destinationRule(`subsets: [{ name: s, labels: { version: ${version} }, trafficPolicy: { outlierDetection: { maxEjectionPercent: 12 } } }]`);
    expect(lintYaml(yaml("v2"))).toEqual([
      "never-ejects: spec.subsets[0].trafficPolicy.outlierDetection.maxEjectionPercent: no endpoint is ever ejected: one of 3 is 33 %, more than 12 %; write at least 33",
    ]);
    expect(lintYaml(yaml("v1"))).toEqual([]);
  });
});

describe("failover-without-outlier-detection", () => {
  const policy = (setting: string, more = ""): string => destinationRule(`trafficPolicy: { loadBalancer: { localityLbSetting: { ${setting} } } ${more} }`);

  it.each([
    ["enabled: true", "enabled"],
    ["failover: [{ from: a, to: b }]", "failover"],
    ["failoverPriority: [topology.kubernetes.io/zone]", "failoverPriority"],
  ])("%s", (setting, field) => {
    expect(lintYaml(policy(setting))).toEqual([
      `failover-without-outlier-detection: spec.trafficPolicy.loadBalancer.localityLbSetting.${field}: has no effect: without outlierDetection no endpoint is ever found unhealthy; write an outlierDetection block beside loadBalancer, {} for its defaults`,
    ]);
  });

  it.each([
    ["with detection", "enabled: true", ", outlierDetection: {}"],
    ["turned off", "enabled: false", ""],
    ["distributing", "enabled: true, distribute: [{ from: a/*, to: { 'a/*': 100 } }]", ""],
  ])("not: %s", (_what, setting, more) => {
    expect(lintYaml(policy(setting, more))).toEqual([]);
  });

  it("not: a subset that has the detection of its host", () => {
    expect(lintYaml(destinationRule("trafficPolicy: { outlierDetection: {} }, subsets: [{ name: a, trafficPolicy: { loadBalancer: { localityLbSetting: { enabled: true } } } }]"))).toEqual([]);
  });
});

describe("unused-subset-policy", () => {
  const rule = serviceWith("reviews", PORT) + destinationRule("subsets: [{ name: v1, trafficPolicy: { connectionPool: { tcp: { maxConnections: 1 } } } }, { name: v2 }]");

  it("is told of a subset that nothing routes to", () => {
    expect(lintYaml(rule + virtualService(`[{ ${TO_REVIEWS} }]`))).toEqual([
      "unused-subset-policy: spec.subsets[0].trafficPolicy: is never in force: no VirtualService routes to subset v1 of reviews.default.svc.cluster.local; add a route with subset: v1, or move the policy up to spec.trafficPolicy",
    ]);
  });

  it.each(["route: [{ destination: { host: reviews, subset: v1 } }]", `${TO_REVIEWS}, mirror: { host: reviews, subset: v1 }`])("not: with %s", (route) => {
    expect(lintYaml(rule + virtualService(`[{ ${route} }]`))).toEqual([]);
  });

  it("not: of a service that is not there, when rules are linted alone", () => {
    expect(lintYaml(destinationRule("subsets: [{ name: v1, trafficPolicy: { outlierDetection: {} } }]"))).toEqual([]);
  });
});

describe("plaintext to the mesh", () => {
  const peer = (mode: string): string => `
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: p, namespace: default }
spec: { mtls: { mode: ${mode} } }
`;
  const off = destinationRule("trafficPolicy: { tls: { mode: DISABLE } }");
  const reviews = serviceWith("reviews", PORT, [""]);

  it("is an error where only mTLS is accepted", () => {
    expect(lintYaml(reviews + off + peer("STRICT"))).toEqual([
      "error: plaintext-to-strict: spec.trafficPolicy.tls.mode: every connection to reviews.default.svc.cluster.local port 80 is refused: PeerAuthentication is STRICT there and this turns TLS off; write ISTIO_MUTUAL, or leave tls out",
    ]);
  });

  it("is a warning where both are", () => {
    expect(lintYaml(reviews + off)).toEqual([
      "plaintext-in-mesh: spec.trafficPolicy.tls.mode: calls to port 80 are sent in plain text though its workloads take mesh mTLS: nobody knows who calls, and policies on principals and namespaces do not match; write ISTIO_MUTUAL, or leave tls out",
    ]);
  });

  it.each([
    ["where mTLS is off on both sides", reviews + off + peer("DISABLE")],
    ["of workloads that are not of the mesh", reviews.replace("tlsMode: istio", "tlsMode: disabled") + off + peer("STRICT")],
    ["with ISTIO_MUTUAL", reviews + destinationRule("trafficPolicy: { tls: { mode: ISTIO_MUTUAL } }") + peer("STRICT")],
    ["for another port", reviews + destinationRule("trafficPolicy: { portLevelSettings: [{ port: { number: 81 }, tls: { mode: DISABLE } }] }") + peer("STRICT")],
  ])("not: %s", (_what, yaml) => {
    expect(lintYaml(yaml)).toEqual([]);
  });
});
