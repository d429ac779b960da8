import { describe, expect, test } from "vitest";
import { EgressHosts } from "../../../../src/config/compile/egress-host.ts";
import { REVIEWS, clusterOf, compileYaml, listenerOf, tableOf } from "./compile-yaml.ts";

/* spec/00 0.5. The workload is in namespace `own`. */

const SERVICES = [
  ["own", "a.own.svc.cluster.local"], ["own", "b.own.svc.cluster.local"], ["far", "a.far.svc.cluster.local"], ["far", "api.example.com"], ["far", "*.wild.example.com"],
] as const;
const [A, B, FAR, API, WILD] = SERVICES.map(([, host]) => host);

describe("spec/00 0.5 egress hosts", () => {
  test.each<[hosts: string[], imported: (string | undefined)[]]>([
    [["*/*"], [A, B, FAR, API, WILD]], [["./*"], [A, B]], [["own/*"], [A, B]], [["far/*"], [FAR, API, WILD]], [["nowhere/*"], []], [["~/*"], []],
    [["./*", "far/*"], [A, B, FAR, API, WILD]], [["./*", "~/*"], [A, B]],
    [["*/a.own.svc.cluster.local"], [A]], [["./a.own.svc.cluster.local"], [A]], [["far/a.own.svc.cluster.local"], []], [["*/A.Own.svc.cluster.local"], [A]],
    [["*/*.svc.cluster.local"], [A, B, FAR]], [["far/*.svc.cluster.local"], [FAR]], [["*/*.com"], [API, WILD]], [["*/*.example.com"], [API, WILD]],
    [["*/*.wild.example.com"], [WILD]], [["*/x.wild.example.com"], []], [["*/example.com"], []],
    [["*/*", "~far/*"], [A, B]], [["*/*", "~far/api.example.com"], [A, B, FAR, WILD]], [["*/*", "~own/a.own.svc.cluster.local"], [B, FAR, API, WILD]],
    [["*/*", "~own/*", "~far/*.example.com"], [FAR]],
  ])("%j import %j", (hosts, imported) => {
    const egress = new EgressHosts(hosts, "own");
    expect(SERVICES.filter(([namespace, host]) => egress.importsService(namespace, host)).map(([, host]) => host)).toEqual(imported);
  });

  test.each([
    ["*/*", "far", "a.far.svc.cluster.local", true], ["./*", "far", "a.far.svc.cluster.local", false], ["./*", "own", "anything.example.com", true],
    ["*/api.example.com", "far", "api.example.com", true], ["*/api.example.com", "far", "*.example.com", true], ["*/*.example.com", "far", "api.example.com", true],
    ["*/api.example.com", "far", "other.example.com", false], ["~/*", "own", "a.own.svc.cluster.local", false],
  ])("%s imports the VirtualService %s/%s: %s", (hosts, namespace, host, expected) => {
    expect(new EgressHosts([hosts], "own").importsRule(namespace, [host])).toBe(expected);
  });
});

const service = (name: string, namespace: string, ip: string, port = "{ name: http, port: 80 }"): string => `
---
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: ${namespace} }
spec: { clusterIP: ${ip}, ports: [${port}] }
`;
const sidecar = (metadata: string, spec: string): string => `
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { ${metadata} }
spec: { ${spec} }
`;
const WORLD = service("a", "own", "10.0.0.1") + service("b", "own", "10.0.0.2") + service("c", "far", "10.0.0.3") + service("db", "far", "10.0.0.4", "{ name: tcp, port: 3306 }");
const ME = { namespace: "own", labels: { app: "me", tier: "web" } };
const only = (name: string, more = ""): string => `egress: [{ hosts: ["*/${name}"] }]${more}`;
const seen = (yaml: string, workload = {}): string[] =>
  compileYaml(WORLD + yaml, { ...ME, ...workload }).snapshot.clusters.map(({ name }) => name).filter((name) => name.startsWith("outbound|")).map((name) => (name.split("|")[3] as string).split(".")[0] as string);

describe("spec/00 0.5 and 10.2 which Sidecar applies", () => {
  const root = sidecar("name: root, namespace: istio-system", only("a.own.svc.cluster.local"));
  const plain = sidecar("name: plain, namespace: own", only("b.own.svc.cluster.local"));
  const selecting = (labels: string, name = "w"): string => sidecar(`name: ${name}, namespace: own`, only("c.far.svc.cluster.local", `, workloadSelector: { labels: ${labels} }`));
  test.each<[what: string, yaml: string, expected: string[], workload?: { readonly namespace: string }]>([
    ["none", "", ["a", "b", "c", "db"]],
    ["root", root, ["a"]],
    ["namespace over root", root + plain, ["b"]],
    ["workload over namespace over root", root + plain + selecting("{ app: me }"), ["c"]],
    ["all labels of the selector must be there", plain + selecting("{ app: me, tier: db }"), ["b"]],
    ["a selector in the root namespace is for that namespace's workloads", sidecar("name: r, namespace: istio-system", only("a.own.svc.cluster.local", ", workloadSelector: { labels: { app: me } }")), ["a", "b", "c", "db"]],
    ["another namespace's is not asked", sidecar("name: x, namespace: far", only("a.own.svc.cluster.local")), ["a", "b", "c", "db"]],
    ["the root namespace's own workloads", root, ["a"], { namespace: "istio-system" }],
  ])("%s", (_what, yaml, expected, workload) => {
    expect(seen(yaml, workload).toSorted()).toEqual(expected);
  });

  test("exactly one applies, the oldest; the other says so", () => {
    const { problems } = compileYaml(WORLD + plain + sidecar("name: later, namespace: own", only("c.far.svc.cluster.local")), ME);
    expect(problems).toEqual([expect.stringContaining("warning: Sidecar own/plain: ignored for productpage")]);
  });
});

describe("spec/00 0.5 outboundTrafficPolicy", () => {
  const mesh = (mode: string): string => `
---
apiVersion: v1
kind: ConfigMap
metadata: { name: istio, namespace: istio-system }
data: { mesh: "outboundTrafficPolicy: { mode: ${mode} }" }
`;
  test.each([
    ["", "", "ALLOW_ANY"], [mesh("REGISTRY_ONLY"), "", "REGISTRY_ONLY"], [mesh("REGISTRY_ONLY"), "outboundTrafficPolicy: { mode: ALLOW_ANY }", "ALLOW_ANY"],
    [mesh("REGISTRY_ONLY"), "egress: [{ hosts: ['./*'] }]", "REGISTRY_ONLY"], ["", "outboundTrafficPolicy: { mode: REGISTRY_ONLY }", "REGISTRY_ONLY"],
  ])("mesh %j, Sidecar %j: %s", (meshYaml, spec, expected) => {
    const yaml = WORLD + meshYaml + (spec === "" ? "" : sidecar("name: s, namespace: own", spec));
    expect(compileYaml(yaml, ME).snapshot.outbound.catchAll).toBe(expected);
  });
});

describe("spec/00 0.5 egress entries", () => {
  test("what is not imported has neither listener nor route, and its host goes to the catch-all", () => {
    const { snapshot } = compileYaml(WORLD + sidecar("name: s, namespace: own", "egress: [{ hosts: ['./*'] }]"), ME);
    expect(snapshot.outbound.listeners.map(({ name }) => name)).toEqual(["0.0.0.0_80"]);
    expect(tableOf(snapshot, "80").virtualHosts.map(({ name }) => name)).toEqual(["a.own.svc.cluster.local:80", "b.own.svc.cluster.local:80", "allow_any"]);
  });

  test("an entry with a port claims it: others' services on that port are not there", () => {
    const { snapshot } = compileYaml(WORLD + sidecar("name: s, namespace: own", "egress: [{ port: { number: 80, protocol: HTTP, name: http }, hosts: ['far/*'] }, { hosts: ['*/*'] }]"), ME);
    expect(tableOf(snapshot, "80").virtualHosts.map(({ name }) => name)).toEqual(["c.far.svc.cluster.local:80", "allow_any"]);
    expect(listenerOf(snapshot, "10.0.0.4_3306").tcp).not.toBeNull();
  });

  test("a VirtualService must be imported too", () => {
    const rule = `
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: v, namespace: far }
spec: { hosts: [a.own.svc.cluster.local], http: [{ name: ruled, directResponse: { status: 201 } }] }
`;
    const name = (hosts: string): string | undefined => tableOf(compileYaml(WORLD + rule + sidecar("name: s, namespace: own", `egress: [{ hosts: [${hosts}] }]`), ME).snapshot, "80").virtualHosts[0]?.routes[0]?.name;
    expect(name("'./*'")).toBe("default");
    expect(name("'./*', 'far/a.own.svc.cluster.local'")).toBe("ruled");
  });

  test("mirrors have clusters as destinations do", () => {
    const rule = `
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: v, namespace: own }
spec: { hosts: [a], http: [{ route: [{ destination: { host: a } }], mirrors: [{ destination: { host: c.far.svc.cluster.local } }] }] }
`;
    expect(seen(rule + sidecar("name: s, namespace: own", only("a.own.svc.cluster.local"))).toSorted()).toEqual(["a", "c"]);
  });

  test("hosts that import nothing are told", () => {
    const { problems } = compileYaml(WORLD + sidecar("name: s, namespace: own", "egress: [{ hosts: ['prod/*'] }]"), ME);
    expect(problems).toEqual(["warning: Sidecar own/s: spec.egress[0].hosts: no service of the configuration is imported by these hosts"]);
  });
});

describe("spec/00 0.5 inbound connection pools: ingress over the Sidecar's over the rule's port over the rule, never merged", () => {
  const pool = (max: number): string => `{ tcp: { maxConnections: ${max} } }`;
  const rule = (spec: string): string => `
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: d, namespace: default }
spec: { host: reviews, trafficPolicy: { ${spec} } }
`;
  const own = (spec: string): string => sidecar("name: s, namespace: default", spec);
  const general = rule(`connectionPool: { http: { http2MaxRequests: 9 }, tcp: { maxConnections: 1 } }`);
  const port = rule(`connectionPool: ${pool(1)}, portLevelSettings: [{ port: { number: 9080 }, connectionPool: ${pool(2)} }]`);
  const all = `inboundConnectionPool: ${pool(3)}`;
  const ingress = (more: string): string => `ingress: [{ port: { number: 9080, protocol: HTTP, name: http }, captureMode: IPTABLES${more} }]`;
  test.each([
    ["nothing", "", Infinity, Infinity], ["the rule", general, 1, 9], ["the rule's port", port, 2, Infinity], ["the Sidecar", general + own(all), 3, Infinity],
    ["an ingress entry without one", port + own(`${ingress("")}, ${all}`), 3, Infinity], ["the ingress entry", port + own(`${ingress(`, connectionPool: ${pool(4)}`)}, ${all}`), 4, Infinity],
  ])("%s", (_what, yaml, maxConnections, maxRequests) => {
    const me = { podName: "reviews-v1-6b5d7c8f9-x7k2p", addresses: ["10.1.0.11"], labels: { app: "reviews", version: "v1" } };
    expect(clusterOf(compileYaml(REVIEWS + yaml, me).snapshot, "inbound|9080||").limits).toMatchObject({ maxConnections, maxRequests });
  });
});
