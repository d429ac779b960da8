import { describe, expect, test } from "vitest";
import { REVIEWS, clusterOf, compileYaml } from "./compile-yaml.ts";

describe("Kubernetes services", () => {
  const { snapshot, problems } = compileYaml(REVIEWS);

  test("endpoints have the labels, health and identity of their pods", () => {
    const cluster = clusterOf(snapshot, "outbound|9080||reviews.default.svc.cluster.local");
    expect(problems).toEqual([]);
    expect(cluster).toMatchObject({
      kind: "endpoints",
      service: { host: "reviews.default.svc.cluster.local", name: "reviews", namespace: "default" },
      loadBalancer: "LEAST_REQUEST",
      outlierDetection: null,
      tls: {
        mode: "ISTIO_MUTUAL",
        serverName: "outbound_.9080_._.reviews.default.svc.cluster.local",
        expectedIdentities: ["spiffe://cluster.local/ns/default/sa/reviews"],
      },
    });
    expect(cluster.endpoints).toEqual([
      {
        address: "10.1.0.11", port: 9080, weight: 1, isHealthy: true, isMeshTls: true,
        labels: { workload: "reviews-v1", namespace: "default", canonicalService: "reviews", canonicalRevision: "v1", app: "reviews", version: "v1", cluster: "Kubernetes" },
      },
      expect.objectContaining({ address: "10.1.0.12", labels: expect.objectContaining({ workload: "reviews-v2", version: "v2" }) }),
    ]);
  });

  test.each([
    ["{ ready: false }", [["10.1.0.11", true], ["10.1.0.12", false]]],
    ["{ ready: false, serving: true, terminating: true }", [["10.1.0.11", true]]],
    ["{}", [["10.1.0.11", true], ["10.1.0.12", true]]],
  ])("conditions %s", (conditions, expected) => {
    const cluster = clusterOf(compileYaml(REVIEWS.replace("{ ready: true }", conditions)).snapshot, "outbound|9080||reviews.default.svc.cluster.local");
    expect(cluster.endpoints.map((endpoint) => [endpoint.address, endpoint.isHealthy])).toEqual(expected);
  });

  test("Endpoints count only where there is no slice", () => {
    const endpoints = `
---
apiVersion: v1
kind: Endpoints
metadata: { name: reviews, namespace: default }
subsets:
- addresses: [{ ip: 10.9.9.9 }]
  notReadyAddresses: [{ ip: 10.9.9.8 }]
  ports: [{ name: http, port: 9080 }]
`;
    const name = "outbound|9080||reviews.default.svc.cluster.local";
    expect(clusterOf(compileYaml(REVIEWS + endpoints).snapshot, name).endpoints.map((endpoint) => endpoint.address)).toEqual(["10.1.0.11", "10.1.0.12"]);
    const alone = REVIEWS.replace(/---\napiVersion: discovery[\s\S]*?(?=---\napiVersion: v1\nkind: Pod)/, "") + endpoints;
    expect(clusterOf(compileYaml(alone).snapshot, name).endpoints.map((endpoint) => [endpoint.address, endpoint.isHealthy])).toEqual([["10.9.9.8", false], ["10.9.9.9", true]]);
  });

  test("ExternalName has no cluster, is named, and destinations that name it go to what it stands for", () => {
    const result = compileYaml(`${REVIEWS}
---
apiVersion: v1
kind: Service
metadata: { name: old-reviews, namespace: default }
spec: { type: ExternalName, externalName: reviews.default.svc.cluster.local, ports: [{ name: http, port: 9080 }] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews, namespace: default }
spec: { hosts: [reviews], http: [{ route: [{ destination: { host: old-reviews } }] }] }
`);
    expect(result.problems).toEqual([expect.stringContaining("warning: Service default/old-reviews: spec.type: ExternalName")]);
    expect(JSON.stringify(result.snapshot.outbound)).toContain("outbound|9080||reviews.default.svc.cluster.local");
    expect(JSON.stringify(result.snapshot)).not.toContain("||old-reviews");
  });
});

describe("ServiceEntry", () => {
  const entry = (spec: string): string => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: entry, namespace: default }
spec: ${spec}
`;

  test("STATIC: ports by name, weight, identity, TLS by service account", () => {
    const { snapshot } = compileYaml(entry(`
  hosts: [db.example.com]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: 80, name: http, protocol: HTTP, targetPort: 8080 }]
  endpoints:
  - { address: 10.2.0.1, ports: { http: 9999 }, weight: 3, serviceAccount: db, labels: { version: v1 } }
  - { address: 10.2.0.2 }
`));
    const cluster = clusterOf(snapshot, "outbound|80||db.example.com");
    expect(cluster.service).toEqual({ host: "db.example.com", name: "db.example.com", namespace: "default" });
    expect(cluster.endpoints.map(({ address, port, weight, isMeshTls }) => [address, port, weight, isMeshTls])).toEqual([
      ["10.2.0.1", 9999, 3, true], ["10.2.0.2", 8080, 1, false],
    ]);
    expect(cluster.tls?.expectedIdentities).toEqual(["spiffe://cluster.local/ns/default/sa/db"]);
  });

  test("DNS without endpoints resolves the host itself, with endpoints their names; never mTLS outside the mesh", () => {
    const self = compileYaml(entry("{ hosts: [api.example.com], resolution: DNS, ports: [{ number: 80, name: http, targetPort: 8080 }] }"));
    const own = clusterOf(self.snapshot, "outbound|80||api.example.com");
    expect(own.endpoints).toMatchObject([{ address: "api.example.com", port: 8080, isMeshTls: false }]);
    expect(own).toMatchObject({ kind: "endpoints", tls: null });
    const named = compileYaml(entry("{ hosts: [api.example.com], resolution: DNS, ports: [{ number: 80, name: http }], endpoints: [{ address: Eu.Example.com }] }"));
    expect(clusterOf(named.snapshot, "outbound|80||api.example.com").endpoints).toMatchObject([{ address: "eu.example.com", port: 80 }]);
  });

  test("NONE goes to the original destination", () => {
    const { snapshot } = compileYaml(entry("{ hosts: ['*.example.com'], ports: [{ number: 80, name: http, protocol: HTTP }] }"));
    expect(clusterOf(snapshot, "outbound|80||*.example.com")).toMatchObject({ kind: "original-destination", endpoints: [], tls: null });
  });

  test("workloadSelector takes WorkloadEntries and Pods of its namespace", () => {
    const { snapshot } = compileYaml(`${entry("{ hosts: [vm.example.com], location: MESH_INTERNAL, resolution: STATIC, ports: [{ number: 80, name: http }], workloadSelector: { labels: { app: reviews } } }")}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: vm-1, namespace: default }
spec: { address: 10.3.0.1, labels: { app: reviews }, serviceAccount: vm }
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: vm-2, namespace: other }
spec: { address: 10.3.0.2, labels: { app: reviews } }
---${REVIEWS}`);
    const { endpoints } = clusterOf(snapshot, "outbound|80||vm.example.com");
    expect(endpoints.map((endpoint) => [endpoint.address, endpoint.labels.workload])).toEqual([
      ["10.1.0.11", "reviews-v1"], ["10.1.0.12", "reviews-v2"], ["10.3.0.1", "vm-1"],
    ]);
  });

  test("a host that a Kubernetes service has is only decorated", () => {
    const { snapshot } = compileYaml(`${REVIEWS}---${entry("{ hosts: [reviews.default.svc.cluster.local], resolution: STATIC, ports: [{ number: 1, name: x }], subjectAltNames: ['spiffe://other/ns/a/sa/b'] }")}`);
    const cluster = clusterOf(snapshot, "outbound|9080||reviews.default.svc.cluster.local");
    expect(cluster.tls?.expectedIdentities).toEqual(["spiffe://cluster.local/ns/default/sa/reviews", "spiffe://other/ns/a/sa/b"]);
    expect(snapshot.clusters.some((candidate) => candidate.name.startsWith("outbound|1|"))).toBe(false);
  });

  test("two of a namespace for one host: ports add up, what both define is told", () => {
    const { snapshot, problems } = compileYaml(`${entry("{ hosts: [a.com], resolution: DNS, ports: [{ number: 80, name: http }] }")}---${entry("{ hosts: [a.com], resolution: DNS, ports: [{ number: 80, name: http }, { number: 81, name: http-b }] }").replace("name: entry", "name: later")}`);
    expect(snapshot.clusters.filter((cluster) => cluster.name.endsWith("a.com")).map((cluster) => cluster.name)).toEqual(["outbound|80||a.com", "outbound|81||a.com"]);
    expect(problems).toEqual([expect.stringContaining("ServiceEntry default/later: spec.hosts: host a.com is already defined by entry")]);
  });
});

test("exportTo keeps services from other namespaces", () => {
  const exported = (value: string): string => REVIEWS.replace("{ name: reviews, namespace: default }", `{ name: reviews, namespace: default, annotations: { networking.istio.io/exportTo: "${value}" } }`);
  const isSeen = (yaml: string, namespace: string): boolean =>
    compileYaml(yaml, { namespace }).snapshot.clusters.some((cluster) => cluster.name.startsWith("outbound|9080"));
  expect(isSeen(exported("."), "default")).toBe(true);
  expect(isSeen(exported("."), "other")).toBe(false);
  expect(isSeen(exported("other"), "other")).toBe(true);
  expect(isSeen(exported("~"), "default")).toBe(false);
});
