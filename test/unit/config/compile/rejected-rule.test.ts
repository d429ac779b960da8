import { describe, expect, test } from "vitest";

import { compile } from "../../../../src/config/compile/compile.ts";
import type { WorkloadIdentity } from "../../../../src/config/compile/workload-identity.ts";
import { formatProblem } from "../../../../src/config/problem.ts";
import type { ClusterSpec } from "../../../../src/config/snapshot.ts";
import { parseFile } from "../../../../src/config/source/parse-file.ts";
import { ConfigurationStore } from "../../../../src/config/store/configuration-store.ts";
import { closedPolicies } from "../../../../src/config/store/rejected-policies.ts";
import { clusterOf, PRODUCTPAGE } from "./compile-yaml.ts";

/* A DestinationRule that nobody can obey must not have its host called in plain text where it was to ask for TLS. */

const ENTRIES = ["api.example.com", "other.example.com"].map((host) => `---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ${host}, namespace: default }
spec: { hosts: [${host}], location: MESH_EXTERNAL, resolution: DNS, ports: [{ number: 80, name: http, protocol: HTTP, targetPort: 443 }] }
`).join("");
const rule = (spec: string, metadata = "name: r, namespace: default", kind = "kind: DestinationRule\n"): string => `---
apiVersion: networking.istio.io/v1
${kind}metadata: { ${metadata} }
spec: ${spec}
`;
const TYPO = "outlierDetection: { consecutive5xxError: 1 }";
const SIMPLE = `{ host: api.example.com, trafficPolicy: { tls: { mode: SIMPLE }, ${TYPO} } }`;

const parsed = (yaml: string) => ({ files: [parseFile("test.yaml", Buffer.from(yaml)).parsed], problems: [] });
function clustersAfter(store: ConfigurationStore, yaml: string, workload: Partial<WorkloadIdentity> = {}) {
  const update = store.update(parsed(yaml));
  const own = { ...PRODUCTPAGE, ...workload };
  const { snapshot } = compile({ resources: update.resources, workload: own, rejectedPolicies: closedPolicies(update, own.namespace), version: 1 });
  const cluster = (host: string): ClusterSpec => clusterOf(snapshot, `outbound|80||${host}`);
  return { api: cluster("api.example.com"), other: cluster("other.example.com"), problems: update.problems.map(formatProblem) };
}
/** The hosts to which nothing may be sent. */
function closed(rules: string, workload: Partial<WorkloadIdentity> = {}): string[] {
  const { api, other } = clustersAfter(new ConfigurationStore(), ENTRIES + rules, workload);
  return [api, other].filter(({ endpoints }) => endpoints.length === 0).map(({ service }) => service?.host ?? "");
}

describe("a refused rule with TLS in it", () => {
  test.each([
    ["in its policy", SIMPLE],
    ["of a port", `{ host: api.example.com, trafficPolicy: { ${TYPO}, portLevelSettings: [{ port: { number: 80 }, tls: { mode: SIMPLE } }] } }`],
    ["of a subset", `{ host: api.example.com, trafficPolicy: { ${TYPO} }, subsets: [{ name: v1, trafficPolicy: { tls: { mode: SIMPLE } } }] }`],
    ["that is misspelt itself", "{ host: api.example.com, trafficPolicy: { tsl: { mode: SIMPLE } } }"],
    ["under any name", "{ host: api.example.com, trafficPolicy: { secure: { mode: SIMPLE } } }"],
    ["with an unknown mode", "{ host: api.example.com, trafficPolicy: { tls: { mode: SIMPEL } } }"],
    ["that is no mapping", "{ host: api.example.com, trafficPolicy: { tls: SIMPLE } }"],
    ["in a policy that is none", "{ host: api.example.com, trafficPolicy: 'tls' }"],
    ["at the wrong level", "{ host: api.example.com, tls: { mode: SIMPLE } }"],
    ["perhaps, under a key that is there twice", "{ host: api.example.com, trafficPolicy: {}, trafficPolicy: { tls: { mode: SIMPLE } } }"],
    ["perhaps, under a merge key", "{ host: api.example.com, trafficPolicy: { <<: { tls: { mode: SIMPLE } } } }"],
    ["for a wildcard", `{ host: "*.example.com", trafficPolicy: { tls: { mode: SIMPLE }, ${TYPO} } }`, ["api.example.com", "other.example.com"]],
    ["for a host that cannot be read", "{ host: 'no host', trafficPolicy: { tls: { mode: SIMPLE } } }", ["api.example.com", "other.example.com"]],
    ["for no host", "{ hots: api.example.com, trafficPolicy: { tls: { mode: SIMPLE } } }", ["api.example.com", "other.example.com"]],
  ])("closes its host: %s", (_where, spec, hosts = ["api.example.com"]) => {
    expect(closed(rule(spec))).toEqual(hosts);
  });

  test("closes also where its kind is misspelt or missing", () => {
    expect(closed(rule(SIMPLE, "name: r", "kind: DestinatonRule\n"))).toEqual(["api.example.com"]);
    expect(closed(rule(SIMPLE, "name: r", ""))).toEqual(["api.example.com"]);
  });

  test.each([
    ["no TLS", `{ host: api.example.com, trafficPolicy: { ${TYPO} } }`],
    ["TLS left empty", `{ host: api.example.com, trafficPolicy: { tls: null, ${TYPO} } }`],
    ["labels of that name", `{ host: api.example.com, trafficPolicy: { ${TYPO} }, subsets: [{ name: v1, labels: { tls: on-top } }] }`],
    ["another host", `{ host: else.example.com, trafficPolicy: { tls: { mode: SIMPLE }, ${TYPO} } }`],
    ["other clients", `{ host: api.example.com, workloadSelector: { matchLabels: { app: else } }, trafficPolicy: { tls: { mode: SIMPLE }, ${TYPO} } }`],
  ])("one with %s closes nothing", (_what, spec) => {
    expect(closed(rule(spec))).toEqual([]);
  });

  test("is for the clients it would have been seen by", () => {
    const elsewhere = "name: r, namespace: istio-system";
    expect(closed(rule(SIMPLE, elsewhere))).toEqual(["api.example.com"]);
    expect(closed(rule(SIMPLE.replace("{ host", "{ exportTo: ['.'], host"), elsewhere))).toEqual([]);
    expect(closed(rule(SIMPLE.replace("{ host", "{ exportTo: nobody, host"), elsewhere))).toEqual(["api.example.com"]);
    expect(closed(rule(SIMPLE, "name: r, namespace: unrelated"))).toEqual([]);
  });

  test("does not close what another rule decides before it", () => {
    const good = (host: string, namespace = "default") => rule(`{ host: "${host}", trafficPolicy: { tls: { mode: SIMPLE } } }`, `name: good, namespace: ${namespace}`);
    const broad = rule(SIMPLE.replace("api.example.com", "'*.example.com'"));
    expect(closed(good("api.example.com") + broad)).toEqual(["other.example.com"]);
    expect(closed(good("*.example.com") + rule(SIMPLE))).toEqual(["api.example.com"]);
    expect(closed(good("api.example.com") + rule(SIMPLE, "name: r, namespace: istio-system"))).toEqual([]);
    expect(closed(good("api.example.com", "istio-system") + rule(SIMPLE))).toEqual(["api.example.com"]);
    expect(closed(good("api.example.com") + rule("{ trafficPolicy: { tls: { mode: SIMPLE } } }"))).toEqual(["other.example.com"]);
  });

  test("is named where a call is refused", () => {
    const { api, other } = clustersAfter(new ConfigurationStore(), rule(SIMPLE) + ENTRIES);
    expect(api.refusal?.provenance).toEqual({ resource: "DestinationRule default/r", rule: null, file: "test.yaml", line: 2 });
    expect(other.refusal).toBeUndefined();
  });

  test("does not dial the addresses that applications choose either", () => {
    const store = new ConfigurationStore();
    const { api } = clustersAfter(store, ENTRIES.replaceAll("resolution: DNS", "resolution: NONE").replaceAll(", targetPort: 443", "") + rule(SIMPLE));
    expect(api).toMatchObject({ kind: "endpoints", endpoints: [], tls: null });
  });
});

describe("in the course of time", () => {
  const good = rule("{ host: api.example.com, trafficPolicy: { tls: { mode: SIMPLE } } }");

  test("a good version stays in force instead", () => {
    const store = new ConfigurationStore();
    clustersAfter(store, ENTRIES + good);
    const { api, problems } = clustersAfter(store, ENTRIES + rule(SIMPLE));
    expect(api).toMatchObject({ endpoints: [{ address: "api.example.com", port: 443 }], originatedTls: { mode: "SIMPLE" } });
    expect(problems.join("\n")).not.toContain("refused, never sent in plain text");
  });

  test("the host is told, and open again once the rule is mended", () => {
    const store = new ConfigurationStore();
    const { problems } = clustersAfter(store, ENTRIES + rule(SIMPLE));
    expect(problems).toContainEqual(expect.stringContaining("warning: DestinationRule default/r: until it is mended, connections to api.example.com are refused, never sent in plain text"));
    expect(clustersAfter(store, ENTRIES + good).api.endpoints).toHaveLength(1);
  });
});
