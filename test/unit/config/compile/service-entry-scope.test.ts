import { describe, expect, test } from "vitest";
import { clusterOf, compileYaml, listenerOf } from "./compile-yaml.ts";

/* spec/00 0.4. */

const entry = (spec: string, metadata = "name: e, namespace: default"): string => `
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { ${metadata} }
spec: { hosts: [vm.example.com], ${spec} }
`;
const workload = (name: string, spec: string, metadata = ""): string => `
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: ${name}, namespace: default${metadata} }
spec: { ${spec} }
`;
const cluster = (yaml: string, port = 80) => clusterOf(compileYaml(yaml).snapshot, `outbound|${port}||vm.example.com`);
const addresses = (yaml: string, port = 80): string[] => cluster(yaml, port).endpoints.map((endpoint) => `${endpoint.address}:${endpoint.port}`);
const STATIC = "location: MESH_INTERNAL, resolution: STATIC";
const HTTP = "ports: [{ number: 80, name: http, protocol: HTTP, targetPort: 8080 }]";

describe("spec/00 0.4 ports of an endpoint: its own map, else targetPort, else the same number", () => {
  test.each([
    ["{ number: 80, name: http }", "", 80], ["{ number: 80, name: http, targetPort: 8080 }", "", 8080],
    ["{ number: 80, name: http, targetPort: 8080 }", ", ports: { http: 9999 }", 9999],
  ])("%s with %j: %i", (port, ports, expected) => {
    expect(addresses(entry(`${STATIC}, ports: [${port}], endpoints: [{ address: 10.2.0.1${ports} }]`))).toEqual([`10.2.0.1:${expected}`]);
    const selecting = entry(`${STATIC}, ports: [${port}], workloadSelector: { labels: { app: vm } }`);
    expect(addresses(selecting + workload("w", `address: 10.2.0.1, labels: { app: vm }${ports}`))).toEqual([`10.2.0.1:${expected}`]);
  });
});

describe("spec/00 0.4 WorkloadEntry", () => {
  const selecting = entry(`${STATIC}, ${HTTP}, workloadSelector: { labels: { app: vm } }`);
  test("weight, labels, identity; labels of its metadata count as well", () => {
    const found = cluster(selecting + workload("a", "address: 10.2.0.1, weight: 5, serviceAccount: vm, labels: { app: vm, version: v1 }") + workload("b", "address: 10.2.0.2", ", labels: { app: vm }"));
    expect(found.endpoints.map(({ address, weight, isMeshTls, labels }) => [address, weight, isMeshTls, labels.version])).toEqual([["10.2.0.1", 5, true, "v1"], ["10.2.0.2", 1, false, "unknown"]]);
    expect(found.tls?.expectedIdentities).toEqual(["spiffe://cluster.local/ns/default/sa/vm"]);
  });

  test("the label tlsMode decides before the service account", () => {
    const found = cluster(selecting + workload("a", "address: 10.2.0.1, serviceAccount: vm, labels: { app: vm, security.istio.io/tlsMode: disabled }") + workload("b", "address: 10.2.0.2, labels: { app: vm, security.istio.io/tlsMode: istio }"));
    expect(found.endpoints.map(({ isMeshTls }) => isMeshTls)).toEqual([false, true]);
  });

  test.each([
    ["of another namespace", workload("w", "address: 10.2.0.1, labels: { app: vm }").replace("namespace: default", "namespace: far")],
    ["with other labels", workload("w", "address: 10.2.0.1, labels: { app: other }")],
    ["without address", workload("w", "labels: { app: vm }, network: vpc")],
  ])("one %s is not an endpoint", (_what, text) => {
    expect(addresses(selecting + text)).toEqual([]);
  });

  test("subsets select by its labels", () => {
    const subsets = `
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: d, namespace: default }
spec: { host: vm.example.com, subsets: [{ name: v1, labels: { version: v1 } }] }
`;
    const { snapshot } = compileYaml(selecting + subsets + workload("a", "address: 10.2.0.1, labels: { app: vm, version: v1 }") + workload("b", "address: 10.2.0.2, labels: { app: vm }"));
    expect(clusterOf(snapshot, "outbound|80|v1|vm.example.com").endpoints.map(({ address }) => address)).toEqual(["10.2.0.1"]);
  });

  test("a selector that selects nothing, beside workloads it could select, is told", () => {
    const { problems } = compileYaml(selecting + workload("w", "address: 10.2.0.1, labels: { app: mv }"));
    expect(problems).toEqual(expect.arrayContaining([expect.stringContaining("ServiceEntry default/e: spec.workloadSelector: selects no workload of the configuration")]));
  });
});

describe("spec/00 0.4 WorkloadEntries of a Kubernetes Service", () => {
  const service = (port: string, selector = "{ app: vm }"): string => `
---
apiVersion: v1
kind: Service
metadata: { name: vm, namespace: default }
spec: { clusterIP: 10.0.0.1, selector: ${selector}, ports: [${port}] }
`;
  const entries = workload("a", "address: 10.2.0.1, labels: { app: vm }, ports: { web: 9999 }") + workload("b", "address: 10.2.0.2, labels: { app: vm }") + workload("c", "address: vm.example.com, labels: { app: vm }");
  test.each([
    ["{ name: http, port: 80, targetPort: 8080 }", ["10.2.0.1:8080", "10.2.0.2:8080"]], ["{ name: web, port: 80, targetPort: 8080 }", ["10.2.0.1:9999", "10.2.0.2:8080"]],
    ["{ name: http, port: 80, targetPort: web }", ["10.2.0.1:9999"]], ["{ name: http, port: 80 }", ["10.2.0.1:80", "10.2.0.2:80"]],
  ])("port %s", (port, expected) => {
    const { snapshot } = compileYaml(service(port) + entries);
    expect(clusterOf(snapshot, "outbound|80||vm.default.svc.cluster.local").endpoints.map((endpoint) => `${endpoint.address}:${endpoint.port}`)).toEqual(expected);
  });

  test("nothing selects it: it says so", () => {
    const { problems } = compileYaml(service("{ name: http, port: 80 }", "{ app: other }") + workload("a", "address: 10.2.0.1, labels: { app: vm }"));
    expect(problems).toEqual(["warning: WorkloadEntry default/a: no ServiceEntry or Service of its namespace selects it: it is the endpoint of nothing"]);
  });
});

describe("spec/00 0.4 location, resolution and addresses", () => {
  test.each([
    ["MESH_EXTERNAL, by default: never mesh TLS", "resolution: STATIC", null], ["MESH_INTERNAL: as its endpoints take it", STATIC, "ISTIO_MUTUAL"],
  ])("%s", (_what, fields, mode) => {
    expect(cluster(entry(`${fields}, ${HTTP}, endpoints: [{ address: 10.2.0.1, serviceAccount: vm }]`)).tls?.mode ?? null).toBe(mode);
  });

  test.each([
    ["NONE", "original-destination", []], ["DNS", "endpoints", ["vm.example.com:8080"]],
  ])("resolution %s", (resolution, kind, endpoints) => {
    const yaml = entry(`resolution: ${resolution}, ${HTTP}`);
    expect(cluster(yaml).kind).toBe(kind);
    expect(addresses(yaml)).toEqual(endpoints);
  });

  test("TCP with addresses has a listener on each, without one the whole port", () => {
    const tcp = "resolution: STATIC, ports: [{ number: 5000, name: tcp, protocol: TCP }], endpoints: [{ address: 10.2.0.1 }]";
    const { snapshot } = compileYaml(entry(`${tcp}, addresses: [192.0.2.1, 192.0.2.2/32]`));
    expect(snapshot.outbound.listeners.map(({ name }) => name)).toEqual(["192.0.2.1_5000", "192.0.2.2_5000"]);
    expect(listenerOf(compileYaml(entry(tcp)).snapshot, "0.0.0.0_5000").address).toBeNull();
  });

  test("a Kubernetes Service of the same host is only decorated, and the entry says so", () => {
    const service = `
---
apiVersion: v1
kind: Service
metadata: { name: reviews, namespace: default }
spec: { clusterIP: 10.0.0.1, ports: [{ name: http, port: 9080 }] }
`;
    const { problems, snapshot } = compileYaml(service + entry(`${STATIC}, ${HTTP}`).replace("vm.example.com", "reviews.default.svc.cluster.local"));
    expect(problems).toEqual([expect.stringContaining("warning: ServiceEntry default/e: spec.hosts: reviews.default.svc.cluster.local is Service default/reviews already")]);
    expect(snapshot.clusters.map(({ name }) => name).filter((name) => name.startsWith("outbound|"))).toEqual(["outbound|9080||reviews.default.svc.cluster.local"]);
  });

  test("one host of several namespaces: a client's own before the oldest", () => {
    const of = (namespace: string, address: string, year: number): string => entry(`${STATIC}, ${HTTP}, endpoints: [{ address: ${address} }]`, `name: e, namespace: ${namespace}, creationTimestamp: "${year}-01-01T00:00:00Z"`);
    const yaml = of("a", "10.2.0.1", 2024) + of("b", "10.2.0.2", 2023);
    const from = (namespace: string): string | undefined => clusterOf(compileYaml(yaml, { namespace }).snapshot, "outbound|80||vm.example.com").endpoints[0]?.address;
    expect([from("a"), from("b"), from("c")]).toEqual(["10.2.0.1", "10.2.0.2", "10.2.0.2"]);
  });
});
