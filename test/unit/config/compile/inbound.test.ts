import { describe, expect, test } from "vitest";
import { REVIEWS, clusterOf, compileYaml } from "./compile-yaml.ts";

const V1 = { podName: "reviews-v1-6b5d7c8f9-x7k2p", addresses: ["10.1.0.11"], labels: { app: "reviews", version: "v1" }, serviceAccount: "reviews" };
const REF = { host: "reviews.default.svc.cluster.local", name: "reviews", namespace: "default" };

const object = (kind: string, group: string, spec: string, metadata: string): string => `
---
apiVersion: ${group}.istio.io/v1
kind: ${kind}
metadata: { ${metadata} }
spec: ${spec}
`;
const sidecar = (spec: string): string => object("Sidecar", "networking", spec, "name: s, namespace: default");
const policy = (spec: string, metadata = "name: pa, namespace: default"): string => object("PeerAuthentication", "security", spec, metadata);
const mesh = (text: string): string => `
---
apiVersion: v1
kind: ConfigMap
metadata: { name: istio, namespace: istio-system }
data: { mesh: "${text}" }
`;
const reviews = (yaml = "", workload = {}) => compileYaml(REVIEWS + yaml, { ...V1, ...workload });

describe("ports", () => {
  test("of the services that select the workload", () => {
    const { snapshot } = reviews();
    expect(snapshot.inbound.ports).toEqual([{ port: 9080, bind: null, protocol: "http", mtls: "PERMISSIVE", cluster: "inbound|9080||", service: REF }]);
    expect(snapshot.inbound.passthrough).toEqual({ port: 0, bind: null, protocol: "auto", mtls: "PERMISSIVE", cluster: "InboundPassthroughCluster", service: null });
    expect(clusterOf(snapshot, "inbound|9080||")).toMatchObject({ kind: "original-destination", endpoints: [], fromLoopbackSource: true, tls: null, service: REF });
    expect(compileYaml(REVIEWS).snapshot.inbound.ports).toEqual([]);
  });

  test("a named target port: from our endpoint, else from our pod's containers, else told", () => {
    const named = REVIEWS.replace("targetPort: 9080", "targetPort: web");
    expect(compileYaml(named, V1).snapshot.inbound.ports.map((port) => port.port)).toEqual([9080]);
    const containers = `${named.replace("spec: { serviceAccountName: reviews }", "spec: { serviceAccountName: reviews, containers: [{ name: a, ports: [{ name: web, containerPort: 8088 }] }] }")}`;
    expect(compileYaml(containers, { ...V1, addresses: ["10.9.9.9"] }).snapshot.inbound.ports.map((port) => port.port)).toEqual([8088]);
    const unknown = compileYaml(named, { ...V1, addresses: ["10.9.9.9"], podName: "x" });
    expect(unknown.snapshot.inbound.ports).toEqual([]);
    expect(unknown.problems).toEqual([expect.stringContaining('Service default/reviews: spec.ports[0].targetPort: the number of target port "web" is not known')]);
  });

  test("two services with one target port: the older decides, the disagreement is told", () => {
    const second = `
---
apiVersion: v1
kind: Service
metadata: { name: a, namespace: default, creationTimestamp: "2024-01-01T00:00:00Z" }
spec: { clusterIP: 10.0.0.5, selector: { app: reviews }, ports: [{ name: tcp, port: 1, targetPort: 9080 }] }
`;
    const { snapshot, problems } = reviews(second);
    expect(snapshot.inbound.ports).toMatchObject([{ port: 9080, protocol: "http", service: REF }]);
    expect(problems).toEqual([expect.stringContaining("Service default/a: spec.ports[0]: workload port 9080 is treated as service reviews.default")]);
  });

  test("LOCALHOST dials the loopback address, as itself", () => {
    const { snapshot } = reviews(mesh("inboundTrafficPolicy: { mode: LOCALHOST }"));
    expect(clusterOf(snapshot, "inbound|9080||")).toMatchObject({ kind: "endpoints", endpoints: [{ address: "127.0.0.1", port: 9080 }], fromLoopbackSource: false });
  });

  test("the connection pool of the DestinationRule holds, its outlier detection does not; the Sidecar's wins", () => {
    const rule = object("DestinationRule", "networking", "{ host: reviews, trafficPolicy: { connectionPool: { tcp: { maxConnections: 4 } }, outlierDetection: { interval: 1s } } }", "name: r, namespace: default");
    expect(clusterOf(reviews(rule).snapshot, "inbound|9080||")).toMatchObject({ limits: { maxConnections: 4 }, outlierDetection: null });
    const own = sidecar("{ inboundConnectionPool: { tcp: { maxConnections: 8 } } }");
    expect(clusterOf(reviews(rule + own).snapshot, "inbound|9080||").limits.maxConnections).toBe(8);
  });
});

describe("PeerAuthentication", () => {
  const modes = (yaml: string) => {
    const { ports, passthrough } = reviews(yaml).snapshot.inbound;
    return [...ports.map((port) => `${port.port} ${port.mtls}`), passthrough.mtls];
  };
  const strictMesh = policy("{ mtls: { mode: STRICT } }", "name: m, namespace: istio-system");

  test("port, workload, namespace, mesh, PERMISSIVE", () => {
    expect(modes("")).toEqual(["9080 PERMISSIVE", "PERMISSIVE"]);
    expect(modes(strictMesh)).toEqual(["9080 STRICT", "STRICT"]);
    expect(modes(strictMesh + policy("{ mtls: { mode: DISABLE } }"))).toEqual(["9080 DISABLE", "DISABLE"]);
    expect(modes(strictMesh + policy("{ mtls: { mode: UNSET } }"))).toEqual(["9080 STRICT", "STRICT"]);
    expect(modes(strictMesh + policy("{ selector: { matchLabels: { app: reviews } }, mtls: { mode: PERMISSIVE }, portLevelMtls: { 9080: { mode: DISABLE }, 7000: { mode: STRICT } } }")))
      .toEqual(["7000 STRICT", "9080 DISABLE", "PERMISSIVE"]);
    expect(modes(strictMesh + policy("{ selector: { matchLabels: { app: other } }, mtls: { mode: DISABLE } }"))).toEqual(["9080 STRICT", "STRICT"]);
  });

  test("the older of two in one scope; a selector in the root namespace has no effect", () => {
    const young = policy("{ mtls: { mode: DISABLE } }", 'name: a, namespace: default, creationTimestamp: "2025-01-01T00:00:00Z"');
    const old = policy("{ mtls: { mode: STRICT } }", 'name: z, namespace: default, creationTimestamp: "2024-01-01T00:00:00Z"');
    expect(modes(young + old)).toEqual(["9080 STRICT", "STRICT"]);
    const root = reviews(policy("{ selector: { matchLabels: { app: reviews } }, mtls: { mode: STRICT } }", "name: m, namespace: istio-system"));
    expect(root.snapshot.inbound.passthrough.mtls).toBe("PERMISSIVE");
    expect(root.problems).toEqual([expect.stringContaining("PeerAuthentication istio-system/m: spec.selector: ignored")]);
  });
});

describe("Sidecar ingress", () => {
  const ingress = (entry: string, workload = {}) => reviews(sidecar(`{ ingress: [${entry}] }`), workload);

  test("replaces the services' ports; NONE binds a socket and forwards to its endpoint", () => {
    const { snapshot, problems } = ingress("{ port: { number: 15106, protocol: HTTP, name: http }, bind: 127.0.0.1, captureMode: NONE, defaultEndpoint: '127.0.0.1:8080', connectionPool: { tcp: { maxConnections: 2 } } }");
    expect(problems).toEqual([]);
    expect(snapshot.inbound.ports).toEqual([{ port: 15106, bind: { address: "127.0.0.1", port: 15106 }, protocol: "http", mtls: "PERMISSIVE", cluster: "inbound|15106||", service: null }]);
    expect(clusterOf(snapshot, "inbound|15106||")).toMatchObject({ kind: "endpoints", endpoints: [{ address: "127.0.0.1", port: 8080 }], fromLoopbackSource: false, limits: { maxConnections: 2 } });
  });

  test.each([
    ["captureMode: NONE", { address: "0.0.0.0", port: 9080 }],
    ["captureMode: IPTABLES", null],
    ["captureMode: DEFAULT", { address: "0.0.0.0", port: 9080 }],
    ["bind: 127.0.0.1", { address: "127.0.0.1", port: 9080 }],
  ])("%s binds %j", (field, expected) => {
    expect(ingress(`{ port: { number: 9080, protocol: HTTP }, ${field}, defaultEndpoint: '127.0.0.1:8080' }`).snapshot.inbound.ports[0]?.bind).toEqual(expected);
  });

  test("DEFAULT does not take the application's own port from it", () => {
    const { snapshot } = ingress("{ port: { number: 9080, protocol: HTTP }, defaultEndpoint: '127.0.0.1:9080' }");
    expect(snapshot.inbound.ports).toMatchObject([{ port: 9080, bind: null, service: REF }]);
  });

  test.each([
    ["0.0.0.0:9080", { kind: "original-destination", fromLoopbackSource: true }],
    ["0.0.0.0:8080", { kind: "endpoints", endpoints: [{ address: "10.1.0.11", port: 8080 }], fromLoopbackSource: true }],
    ["[::1]:8080", { kind: "endpoints", endpoints: [{ address: "::1", port: 8080 }], fromLoopbackSource: false }],
    ["unix:///x", { kind: "endpoints", endpoints: [] }],
  ])("defaultEndpoint %s", (endpoint, expected) => {
    const { snapshot } = ingress(`{ port: { number: 9080, protocol: HTTP }, captureMode: IPTABLES, defaultEndpoint: "${endpoint}" }`);
    expect(clusterOf(snapshot, "inbound|9080||")).toMatchObject(expected);
  });

  test("a socket that would forward to itself forwards nowhere", () => {
    for (const endpoint of ["", ", defaultEndpoint: '127.0.0.1:9080'"]) {
      const { snapshot, problems } = ingress(`{ port: { number: 9080, protocol: HTTP }, captureMode: NONE${endpoint} }`);
      expect(clusterOf(snapshot, "inbound|9080||")).toMatchObject({ kind: "endpoints", endpoints: [] });
      expect(problems).toEqual([expect.stringContaining("error: Sidecar default/s: spec.ingress[0].defaultEndpoint:")]);
    }
  });

  test("on a laptop the service is known by its endpoint at the socket", () => {
    const entry = object("ServiceEntry", "networking", "{ hosts: [reviews.local], location: MESH_INTERNAL, resolution: STATIC, ports: [{ number: 80, name: http }], endpoints: [{ address: 127.0.0.1, ports: { http: 15106 } }] }", "name: e, namespace: default");
    const { snapshot } = compileYaml(entry + sidecar("{ ingress: [{ port: { number: 15106, protocol: HTTP }, bind: 127.0.0.1, captureMode: NONE, defaultEndpoint: '127.0.0.1:8080' }] }"), { labels: {}, addresses: ["192.168.1.2"] });
    expect(snapshot.inbound.ports[0]?.service?.host).toBe("reviews.local");
  });
});
