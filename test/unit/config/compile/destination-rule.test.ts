import { describe, expect, test } from "vitest";
import { REVIEWS, clusterOf, compileYaml } from "./compile-yaml.ts";

const HOST = "reviews.default.svc.cluster.local";

const rule = (spec: string, metadata = "name: reviews, namespace: default"): string => `
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { ${metadata} }
spec: ${spec}
`;
const peerAuthentication = (spec: string, namespace = "default"): string => `
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: pa, namespace: ${namespace} }
spec: ${spec}
`;
const mesh = (text: string): string => `
---
apiVersion: v1
kind: ConfigMap
metadata: { name: istio, namespace: istio-system }
data: { mesh: '${text}' }
`;
const cluster = (yaml: string, subset = "", workload = {}) => clusterOf(compileYaml(REVIEWS + yaml, workload).snapshot, `outbound|9080|${subset}|${HOST}`);

describe("policy", () => {
  test("limits, outlier detection and load balancer", () => {
    expect(cluster(rule(`
  host: reviews
  trafficPolicy:
    loadBalancer: { simple: ROUND_ROBIN }
    connectionPool: { tcp: { maxConnections: 10, connectTimeout: 1s, idleTimeout: 20s }, http: { http1MaxPendingRequests: 5, http2MaxRequests: 6, maxRetries: 0, maxRequestsPerConnection: 1, idleTimeout: 30s } }
    outlierDetection: { consecutive5xxErrors: 3, interval: 1s, baseEjectionTime: 3s, maxEjectionPercent: 100 }
`))).toMatchObject({
      loadBalancer: "ROUND_ROBIN",
      limits: { connectTimeoutMs: 1000, idleTimeoutMs: 30_000, tcpIdleTimeoutMs: 20_000, maxConnections: 10, maxPendingRequests: 5, maxRequests: 6, maxRetries: Infinity, maxRequestsPerConnection: 1 },
      outlierDetection: { consecutive5xx: 3, consecutiveGatewayErrors: 0, intervalMs: 1000, baseEjectionMs: 3000, maxEjectionPercent: 100, minHealthPercent: 0 },
    });
  });

  test("defaults: an empty outlier detection ejects after five errors, at most a tenth", () => {
    expect(cluster(rule("{ host: reviews, trafficPolicy: { outlierDetection: { consecutiveGatewayErrors: 2 } } }")).outlierDetection)
      .toEqual({ consecutive5xx: 5, consecutiveGatewayErrors: 2, intervalMs: 10_000, baseEjectionMs: 30_000, maxEjectionPercent: 10, minHealthPercent: 0 });
    expect(cluster("").limits).toEqual({
      connectTimeoutMs: 10_000, idleTimeoutMs: 3_600_000, tcpIdleTimeoutMs: 3_600_000, maxConnections: Infinity, maxPendingRequests: Infinity, maxRequests: Infinity, maxRetries: Infinity, maxRequestsPerConnection: Infinity,
      maxConcurrentStreams: Infinity,
    });
    expect(cluster(mesh("connectTimeout: 3s")).limits.connectTimeoutMs).toBe(3000);
  });

  test.each([
    ["tcp: { maxConnections: 7 }", { limits: { maxConnections: 7 } }],
    ["tcp: { maxConnections: 0 }", { limits: { maxConnections: Infinity } }],
    ["tcp: { connectTimeout: 250ms }", { limits: { connectTimeoutMs: 250 } }],
    ["tcp: { maxConnectionDuration: 90s }", { limits: { maxConnectionDurationMs: 90_000 } }],
    ["tcp: { idleTimeout: 20s }", { limits: { idleTimeoutMs: 20_000, tcpIdleTimeoutMs: 20_000 } }],
    ["tcp: { idleTimeout: 20s }, http: { idleTimeout: 30s }", { limits: { idleTimeoutMs: 30_000, tcpIdleTimeoutMs: 20_000 } }],
    ["tcp: { tcpKeepalive: {} }", { limits: { tcpKeepAlive: { timeMs: 7_200_000, intervalMs: 75_000, probes: 9 } } }],
    ["tcp: { tcpKeepalive: { time: 30s, interval: 10ms, probes: 3 } }", { limits: { tcpKeepAlive: { timeMs: 30_000, intervalMs: 1_000, probes: 3 } } }],
    ["tcp: { tcpKeepalive: { time: 100h, probes: 1000 } }", { limits: { tcpKeepAlive: { timeMs: 32_767_000, intervalMs: 75_000, probes: 127 } } }],
    ["http: { http1MaxPendingRequests: 5 }", { limits: { maxPendingRequests: 5 } }],
    ["http: { http2MaxRequests: 6 }", { limits: { maxRequests: 6 } }],
    ["http: { maxRetries: 2 }", { limits: { maxRetries: 2 } }],
    ["http: { maxRequestsPerConnection: 1 }", { limits: { maxRequestsPerConnection: 1 } }],
    ["http: { maxConcurrentStreams: 10 }", { limits: { maxConcurrentStreams: 10 } }],
    ["http: { h2UpgradePolicy: UPGRADE }", { protocol: "http2" }],
    ["http: { h2UpgradePolicy: DO_NOT_UPGRADE }", { protocol: "http1", hop: false }],
    ["http: { useClientProtocol: true }", { protocol: "downstream" }],
    ["http: { http2KeepAlive: { interval: 10s } }", { http2KeepAlive: { intervalMs: 10_000, timeoutMs: 5_000 } }],
  ])("spec/04 4.3: connectionPool { %s }", (pool, expected) => {
    const { snapshot, problems } = compileYaml(REVIEWS + rule(`{ host: reviews, trafficPolicy: { connectionPool: { ${pool} } } }`));
    expect(clusterOf(snapshot, `outbound|9080||${HOST}`)).toMatchObject(expected);
    expect(problems).toEqual([]);
  });

  test("spec/04 4.3: the mesh's tcpKeepalive holds where a connection pool has none", () => {
    const meshWide = mesh("tcpKeepalive: { time: 60s }");
    expect(cluster(meshWide).limits.tcpKeepAlive).toEqual({ timeMs: 60_000, intervalMs: 75_000, probes: 9 });
    const own = rule("{ host: reviews, trafficPolicy: { connectionPool: { tcp: { tcpKeepalive: { probes: 2 } } } } }");
    expect(cluster(meshWide + own).limits.tcpKeepAlive).toEqual({ timeMs: 7_200_000, intervalMs: 75_000, probes: 2 });
  });

  test("a port-level entry replaces all four blocks, also those it leaves out", () => {
    const found = cluster(rule(`
  host: reviews
  trafficPolicy:
    loadBalancer: { simple: RANDOM }
    outlierDetection: { consecutive5xxErrors: 1 }
    portLevelSettings: [{ port: { number: 9080 }, connectionPool: { tcp: { maxConnections: 7 } } }]
`));
    expect(found).toMatchObject({ loadBalancer: "LEAST_REQUEST", outlierDetection: null, limits: { maxConnections: 7 } });
  });

  test("a subset replaces block by block, its port-level entry all four", () => {
    const yaml = rule(`
  host: reviews
  trafficPolicy: { loadBalancer: { simple: RANDOM }, connectionPool: { tcp: { maxConnections: 7 } } }
  subsets:
  - { name: v1, labels: { version: v1 }, trafficPolicy: { loadBalancer: { simple: ROUND_ROBIN } } }
  - { name: v2, labels: { version: v2 }, trafficPolicy: { outlierDetection: { interval: 1s }, portLevelSettings: [{ port: { number: 9080 }, outlierDetection: { consecutive5xxErrors: 2 } }] } }
`);
    expect(cluster(yaml, "v1")).toMatchObject({ loadBalancer: "ROUND_ROBIN", limits: { maxConnections: 7 }, endpoints: [{ address: "10.1.0.11" }] });
    expect(cluster(yaml, "v2")).toMatchObject({ loadBalancer: "LEAST_REQUEST", limits: { maxConnections: Infinity }, outlierDetection: { consecutive5xx: 2, intervalMs: 10_000 }, endpoints: [{ address: "10.1.0.12" }] });
  });

  test("a subset that selects nothing is there, empty, and told", () => {
    const { snapshot, problems } = compileYaml(REVIEWS + rule("{ host: reviews, subsets: [{ name: v9, labels: { version: v9 } }] }"));
    expect(clusterOf(snapshot, `outbound|9080|v9|${HOST}`).endpoints).toEqual([]);
    expect(problems).toEqual([expect.stringContaining("warning: DestinationRule default/reviews: spec.subsets[0].labels: no endpoint of")]);
  });
});

describe("selection", () => {
  const limited = (host: string, max: number, metadata: string, more = ""): string =>
    rule(`{ host: "${host}", trafficPolicy: { connectionPool: { tcp: { maxConnections: ${max} } } }${more} }`, metadata);
  const maxOf = (yaml: string, workload = {}): number => cluster(yaml, "", workload).limits.maxConnections;

  test("client's namespace, then the service's, then the root's; the first with a rule decides", () => {
    const own = limited(HOST, 1, "name: a, namespace: client");
    const service = limited("reviews", 2, "name: b, namespace: default");
    const root = limited(HOST, 3, "name: c, namespace: istio-system");
    const from = { namespace: "client" };
    expect(maxOf(own + service + root, from)).toBe(1);
    expect(maxOf(service + root, from)).toBe(2);
    expect(maxOf(root, from)).toBe(3);
    expect(maxOf(limited("*.local", 4, "name: d, namespace: client") + service, from)).toBe(4);
    expect(maxOf(limited("reviews", 5, "name: e, namespace: default", ", exportTo: ['.']") + root, from)).toBe(3);
  });

  test("in one namespace the exact host, then the longest wildcard", () => {
    const exact = limited("reviews", 1, "name: z, namespace: default");
    const long = limited("*.default.svc.cluster.local", 2, "name: yy, namespace: default");
    const short = limited("*.local", 3, "name: x, namespace: default");
    expect(maxOf(short + long + exact)).toBe(1);
    expect(maxOf(short + long)).toBe(2);
    expect(maxOf(short)).toBe(3);
  });

  test("workloadSelector: preferred where it matches, and no rule at all where only others match", () => {
    const selecting = (app: string): string => limited("reviews", 1, "name: s, namespace: default", `, workloadSelector: { matchLabels: { app: ${app} } }`);
    const general = limited("reviews", 2, "name: g, namespace: default");
    const root = limited(HOST, 3, "name: r, namespace: istio-system");
    expect(maxOf(selecting("productpage") + general)).toBe(1);
    expect(maxOf(selecting("other") + general)).toBe(2);
    expect(maxOf(selecting("other") + root)).toBe(Infinity);
  });

  test("rules of one host are merged: subsets add up, the older policy counts", () => {
    const old = rule("{ host: reviews, trafficPolicy: { loadBalancer: { simple: RANDOM } }, subsets: [{ name: v1, labels: { version: v1 } }] }", 'name: z, namespace: default, creationTimestamp: "2024-01-01T00:00:00Z"');
    const young = rule("{ host: reviews.default.svc.cluster.local, trafficPolicy: { loadBalancer: { simple: ROUND_ROBIN } }, subsets: [{ name: v1, labels: {} }, { name: v2, labels: { version: v2 } }] }", 'name: a, namespace: default, creationTimestamp: "2025-01-01T00:00:00Z"');
    const { snapshot, problems } = compileYaml(REVIEWS + young + old);
    expect(clusterOf(snapshot, `outbound|9080|v1|${HOST}`)).toMatchObject({ loadBalancer: "RANDOM", endpoints: [{ address: "10.1.0.11" }] });
    expect(clusterOf(snapshot, `outbound|9080|v2|${HOST}`)).toMatchObject({ loadBalancer: "RANDOM", endpoints: [{ address: "10.1.0.12" }] });
    expect(problems).toEqual([
      expect.stringContaining("DestinationRule default/a: spec.trafficPolicy: ignored"),
      expect.stringContaining('DestinationRule default/a: spec.subsets[0].name: subset "v1" is already defined'),
    ]);
  });
});

describe("TLS", () => {
  const tls = (block: string): string => rule(`{ host: reviews, trafficPolicy: { tls: ${block} } }`);
  const plainPod = REVIEWS.replace("version: v2, security.istio.io/tlsMode: istio", "version: v2");

  test("auto-mTLS: each endpoint as its label says, unless its port's policy is DISABLE", () => {
    const states = (yaml: string): boolean[] => clusterOf(compileYaml(yaml).snapshot, `outbound|9080||${HOST}`).endpoints.map((endpoint) => endpoint.isMeshTls);
    expect(states(REVIEWS)).toEqual([true, true]);
    expect(states(plainPod)).toEqual([true, false]);
    expect(states(REVIEWS + peerAuthentication("{ mtls: { mode: DISABLE } }"))).toEqual([false, false]);
    expect(states(REVIEWS + peerAuthentication("{ mtls: { mode: STRICT } }"))).toEqual([true, true]);
    expect(states(REVIEWS + peerAuthentication("{ selector: { matchLabels: { version: v1 } }, mtls: { mode: STRICT }, portLevelMtls: { 9080: { mode: DISABLE } } }"))).toEqual([false, true]);
    expect(states(REVIEWS + mesh("enableAutoMtls: false"))).toEqual([false, false]);
  });

  test("no endpoint that takes it: no TLS at all", () => {
    expect(cluster(peerAuthentication("{ mtls: { mode: DISABLE } }", "istio-system")).tls).toBeNull();
  });

  test("DISABLE is plaintext, ISTIO_MUTUAL TLS to all", () => {
    expect(cluster(tls("{ mode: DISABLE }"))).toMatchObject({ tls: null, endpoints: [{ isMeshTls: false }, { isMeshTls: false }] });
    const mutual = clusterOf(compileYaml(plainPod + tls("{ mode: ISTIO_MUTUAL, sni: x.example.com, subjectAltNames: ['spiffe://td/ns/a/sa/b'] }")).snapshot, `outbound|9080||${HOST}`);
    expect(mutual).toMatchObject({
      tls: { mode: "ISTIO_MUTUAL", serverName: "x.example.com", expectedIdentities: ["spiffe://td/ns/a/sa/b"] },
      endpoints: [{ isMeshTls: true }, { isMeshTls: true }],
    });
  });

  test.each(["{ mode: SIMPLE, credentialName: a/c }", "{ mode: MUTUAL, credentialName: a/c }"])("%s sends nothing rather than plain text", (block) => {
    const { snapshot, problems } = compileYaml(REVIEWS + tls(block));
    expect(clusterOf(snapshot, `outbound|9080||${HOST}`)).toMatchObject({ kind: "endpoints", tls: null, endpoints: [] });
    expect(problems.join("\n")).not.toContain("internal");
    const passthrough = REVIEWS.replace("clusterIP: 10.0.0.9", "clusterIP: None") + tls(block);
    expect(clusterOf(compileYaml(passthrough).snapshot, `outbound|9080||${HOST}`)).toMatchObject({ kind: "endpoints", endpoints: [] });
  });

  test("spec/04 4.7: SIMPLE and MUTUAL originate TLS to every endpoint, and never mesh TLS", () => {
    const originated = (block: string) => clusterOf(compileYaml(REVIEWS + tls(block)).snapshot, `outbound|9080||${HOST}`);
    expect(originated("{ mode: SIMPLE, clientCertificate: /c }")).toMatchObject({
      tls: null, hop: false, endpoints: [{ isMeshTls: false }, { isMeshTls: false }],
      originatedTls: { mode: "SIMPLE", serverName: null, subjectAltNames: [], fallbackName: HOST, caCertificatesPath: null, clientCertificatePath: null, insecureSkipVerify: false },
    });
    expect(originated("{ mode: MUTUAL, clientCertificate: /c, privateKey: /k, caCertificates: /ca, caCrl: /crl, sni: API.example.com, subjectAltNames: [a.test] }").originatedTls).toEqual({
      mode: "MUTUAL", serverName: "api.example.com", subjectAltNames: ["a.test"], fallbackName: HOST, filesDigest: "", insecureSkipVerify: false,
      caCertificatesPath: "/ca", crlPath: "/crl", clientCertificatePath: "/c", privateKeyPath: "/k",
    });
  });

  test("trust domain aliases widen whom the destination may be", () => {
    expect(cluster(mesh("{ trustDomain: new.example, trustDomainAliases: [old.example] }")).tls?.expectedIdentities)
      .toEqual(["spiffe://new.example/ns/default/sa/reviews", "spiffe://old.example/ns/default/sa/reviews"]);
  });

  test("a headless service: only if every endpoint takes it", () => {
    const headless = (yaml: string) => clusterOf(compileYaml(yaml.replace("clusterIP: 10.0.0.9", "clusterIP: None")).snapshot, `outbound|9080||${HOST}`);
    expect(headless(REVIEWS)).toMatchObject({ kind: "original-destination", tls: { mode: "ISTIO_MUTUAL" } });
    expect(headless(plainPod)).toMatchObject({ kind: "original-destination", tls: null });
  });
});
