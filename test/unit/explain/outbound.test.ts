import { describe, expect, it } from "vitest";
import { httpRules, meshConfig, networking, service } from "../../integration/mesh-resources.ts";
import { meshOf } from "./explainer-of.ts";

const REVIEWS = service({
  name: "reviews", endpoints: [
    { port: 9080, address: "10.0.0.1", labels: { version: "v1" }, isMesh: true },
    { port: 9080, address: "10.0.0.2", labels: { version: "v1" }, isMesh: true, isReady: false },
    { port: 9080, address: "10.0.0.3", labels: { version: "v2" } },
  ],
});
const SUBSETS = networking("DestinationRule", "reviews", {
  host: "reviews", subsets: ["v1", "v2", "v3"].map((version) => ({ name: version, labels: { version } })),
});
const REDIS = service({ name: "redis", clusterIP: "10.96.0.20", port: 6379, portName: "tcp-redis", endpoints: [{ port: 6379, address: "10.0.0.7" }] });
const to = (subset: string, weight?: number) => ({ destination: { host: "reviews", subset }, ...(weight === undefined ? {} : { weight }) });
const RULES = httpRules("reviews",
  { name: "admins", match: [{ headers: { "x-user": { exact: "anna" } } }], route: [to("v2")] },
  { name: "frozen", match: [{ uri: { prefix: "/frozen" } }], directResponse: { status: 503, body: { string: "not now" } } },
  { name: "empty", match: [{ uri: { exact: "/empty" } }], route: [to("v3")] },
  { name: "leaning", match: [{ uri: { exact: "/leaning" } }], route: [to("v3", 60), to("v2", 40)] },
  { name: "split", match: [{ uri: { prefix: "/reviews" } }], timeout: "3s", retries: { attempts: 4, perTryTimeout: "1s", retryOn: "5xx" }, route: [to("v1", 90), to("v2", 10)] },
);
const mesh = meshOf([REVIEWS, SUBSETS, RULES, REDIS]);
const ask = (url: string, more: object = {}) => mesh.explain({ direction: "outbound", url, ...more });

describe("an outbound request", () => {
  it("is routed by the first rule that takes it, with where it was written and why those before did not", () => {
    const explained = ask("http://reviews:9080/reviews/../reviews/1?full=1", { headers: [["X-User", "bob"]] });
    expect(explained).toMatchObject({
      verdict: "route", status: null, flag: "-", listener: "0.0.0.0_9080", destination: "reviews:9080 (10.96.0.10:9080)",
      route: { resource: "VirtualService default/reviews", rule: 4, file: "mesh.yaml", name: "split", action: "forward" },
      timeoutMs: 3000, retries: { attempts: 4, perTryTimeoutMs: 1000, retryOn: ["5xx"], isExplicit: true },
      request: { method: "GET", authority: "reviews:9080", path: "/reviews/1?full=1" },
    });
    expect(explained.tried.map(({ rule, reason }) => [rule, reason])).toEqual([
      [0, 'header x-user "bob" does not equal "anna"'],
      [1, 'path "/reviews/1" does not begin with "/frozen"'],
      [2, 'path "/reviews/1" does not equal "/empty"'],
      [3, 'path "/reviews/1" does not equal "/leaning"'],
      [4, null],
    ]);
    expect(explained.route?.line).toBeGreaterThan(1);
  });

  it("names clusters with their weights, and endpoints that may be picked", () => {
    expect(ask("http://reviews:9080/reviews").clusters).toEqual([
      { name: "outbound|9080|v1|reviews.default.svc.cluster.local", weight: 90, endpoints: ["10.0.0.1:9080"], unhealthy: ["10.0.0.2:9080"], transport: "mtls" },
      { name: "outbound|9080|v2|reviews.default.svc.cluster.local", weight: 10, endpoints: ["10.0.0.3:9080"], unhealthy: [], transport: "plaintext" },
    ]);
  });

  it.each([
    ["no route", "http://reviews:9080/", { verdict: "reply", status: 404, flag: "NR", details: "route_not_found", route: null, clusters: [], request: null }],
    ["a direct response", "http://reviews:9080/frozen/x", { verdict: "reply", status: 503, flag: "-", details: "direct_response", route: { rule: 1, action: "direct-response" }, reply: { body: "not now" } }],
    ["a subset without endpoints", "http://reviews:9080/empty", { verdict: "reply", status: 503, flag: "UH", details: "no_healthy_upstream", route: { rule: 2 }, clusters: [{ endpoints: [] }] }],
    ["a split of which one part works", "http://reviews:9080/leaning", { verdict: "route", route: { rule: 3 }, clusters: [{ weight: 60, endpoints: [] }, { weight: 40, endpoints: ["10.0.0.3:9080"] }] }],
    ["a path above its root", "http://reviews:9080/../x", { verdict: "reply", status: 400, details: "path_normalization_failed" }],
    ["no request", "http://reviews:9080/a b", { verdict: "reply", status: 400, flag: "DPE" }],
    ["a host nobody knows", "http://elsewhere.test:9080/", { verdict: "route", route: { name: "allow_any", resource: null }, clusters: [{ name: "PassthroughCluster", endpoints: ["elsewhere.test:9080"] }] }],
    ["a port nobody knows", "http://elsewhere.test:7/", { verdict: "route", protocol: "tcp", listener: null, clusters: [{ name: "PassthroughCluster", endpoints: ["elsewhere.test:7"] }], request: null }],
  ])("%s", (_name, url, expected) => {
    expect(ask(url)).toMatchObject(expected);
  });

  it("is copied where its rule says so, unless it may become a tunnel (spec/03 3.9)", () => {
    const anywhere = networking("ServiceEntry", "anywhere", { hosts: ["anywhere.test"], ports: [{ number: 80, name: "http", protocol: "HTTP" }], resolution: "NONE" });
    const shadow = { destination: { host: "redis", port: { number: 6379 } } };
    const mirrored = meshOf([REVIEWS, REDIS, httpRules("reviews", { route: [{ destination: { host: "reviews" } }], retries: { attempts: 1, retryIgnorePreviousHosts: false, retryRemoteLocalities: true }, mirrors: [shadow, { ...shadow, percentage: { value: 0.5 } }, { destination: { host: "gone" } }, { destination: { host: "anywhere.test", port: { number: 80 } } }] }), anywhere]);
    const request = { direction: "outbound", url: "http://reviews:9080/" } as const;
    const cluster = "outbound|6379||redis.default.svc.cluster.local";
    expect(mirrored.explain(request)).toMatchObject({ mirrors: [{ cluster, percent: 100 }, { cluster, percent: 0.5 }], retries: { avoidsPreviousHosts: false, prefersRemoteLocalities: true } });
    expect(mirrored.explain({ ...request, headers: [["Connection", "upgrade"], ["Upgrade", "websocket"]] }).mirrors).toEqual([]);
    expect(ask("http://reviews:9080/reviews").mirrors).toEqual([]);
  });

  it("sends what is left of it after hygiene", () => {
    const { request } = ask("http://reviews:9080/reviews", { headers: [["X-Envoy-Retry-On", "5xx"], ["Keep-Me", "1"], ["Connection", "x-hop"], ["X-Hop", "1"]] });
    expect(request?.headers.map(([name]) => name)).toEqual(["Keep-Me", "x-envoy-peer-metadata-id", "x-envoy-peer-metadata", "x-forwarded-proto", "x-request-id", "x-envoy-attempt-count", "x-envoy-expected-rq-timeout-ms"]);
    expect(request?.headers.at(-3)).toEqual(["x-request-id", "(generated)"]);
    expect(ask("http://reviews:9080/reviews", { headers: [["x-request-id", "mine"]] }).request?.headers).toContainEqual(["x-request-id", "mine"]);
  });

  it("goes by Host where the URL is a path, and by `to` to its listener", () => {
    expect(ask("/reviews", { to: "10.96.0.10:9080", headers: [["Host", "reviews"]] })).toMatchObject({ route: { rule: 4 }, request: { authority: "reviews" } });
    expect(() => ask("/reviews")).toThrow("to: is required where the URL names no host");
    expect(() => ask("http://reviews:99999/")).toThrow("the host of the URL: must be HOST:PORT");
  });

  it("goes nowhere unknown under REGISTRY_ONLY", () => {
    const strict = meshOf([REVIEWS, meshConfig({ outboundTrafficPolicy: { mode: "REGISTRY_ONLY" } })]);
    expect(strict.explain({ direction: "outbound", url: "http://elsewhere.test:9080/" })).toMatchObject({ verdict: "reply", status: 502, route: { name: "block_all" } });
    expect(strict.explain({ direction: "outbound", protocol: "tcp", to: "192.0.2.1:7" })).toMatchObject({ verdict: "reset", flag: "UH", clusters: [{ name: "BlackHoleCluster" }] });
  });

  it("draws nothing twice: the same request is explained the same, thousands of times", () => {
    const first = ask("http://reviews:9080/leaning");
    for (let count = 0; count < 3000; count++) expect(ask("http://reviews:9080/leaning")).toEqual(first);
  });
});

describe("a listener with a socket of its own", () => {
  const bound = meshOf([REVIEWS, networking("Sidecar", "local", {
    egress: [{ captureMode: "NONE", bind: "127.0.0.1", port: { number: 19080, name: "http", protocol: "HTTP" }, hosts: ["./*"] }],
  })]);

  it("takes what is dialled there, by Host", () => {
    expect(bound.explain({ direction: "outbound", url: "http://localhost:19080/", headers: [["Host", "reviews:9080"]] }))
      .toMatchObject({ verdict: "route", destination: "localhost:19080 (127.0.0.1:19080)", listener: "127.0.0.1_19080", clusters: [{ endpoints: ["10.0.0.1:9080", "10.0.0.3:9080"] }] });
  });

  it("passes nothing on to where it came from", () => {
    expect(bound.explain({ direction: "outbound", protocol: "tcp", to: "127.0.0.1:19080" })).toMatchObject({ verdict: "reset", flag: "UH", clusters: [{ name: "BlackHoleCluster" }] });
  });
});

describe("an opaque outbound connection", () => {
  it.each([
    ["a TCP service by name", { protocol: "tcp", to: "redis:6379" }, { verdict: "route", protocol: "tcp", listener: "10.96.0.20_6379", destination: "redis:6379 (10.96.0.20:6379)", clusters: [{ endpoints: ["10.0.0.7:6379"] }] }],
    ["HTTP to a TCP service", { url: "http://redis:6379/" }, { verdict: "route", protocol: "tcp", clusters: [{ name: "outbound|6379||redis.default.svc.cluster.local" }], request: null }],
    ["bytes that are no HTTP to a port of HTTP services", { protocol: "tcp", to: "reviews:9080" }, { verdict: "route", protocol: "tcp", clusters: [{ name: "PassthroughCluster" }] }],
  ])("%s", (_name, request, expected) => {
    expect(mesh.explain({ direction: "outbound", ...request })).toMatchObject(expected);
  });

  it("goes by the server name of its TLS", () => {
    const entry = networking("ServiceEntry", "api", { hosts: ["api.example.com"], ports: [{ number: 443, name: "tls", protocol: "TLS" }], resolution: "STATIC", location: "MESH_EXTERNAL", endpoints: [{ address: "192.0.2.9" }] });
    const external = meshOf([entry]);
    expect(external.explain({ direction: "outbound", url: "https://api.example.com/v1" })).toMatchObject({ verdict: "route", protocol: "tcp", clusters: [{ name: "outbound|443||api.example.com", endpoints: ["192.0.2.9:443"] }] });
    expect(external.explain({ direction: "outbound", url: "https://192.0.2.9/", sni: "other.example.com" })).toMatchObject({ clusters: [{ name: "PassthroughCluster" }] });
  });

  it("goes by the address that was dialled, and names the rule (spec/03 3.12)", () => {
    const entry = (host: string, name: string, address: string) => networking("ServiceEntry", host, { hosts: [host], ports: [{ number: 5432, name, protocol: name.toUpperCase() }], resolution: "STATIC", endpoints: [{ address }] });
    const route = [{ destination: { host: "b.test" } }];
    const tcp = networking("VirtualService", "rules", { hosts: ["a.test"], tcp: [{ match: [{ destinationSubnets: ["198.51.100.0/24"] }], route }, { match: [{ port: 5432 }], route: [{ destination: { host: "a.test" } }] }] });
    const opaque = meshOf([entry("a.test", "tcp", "192.0.2.1"), entry("b.test", "tls", "192.0.2.2"), tcp]);
    const connect = (to: string) => opaque.explain({ direction: "outbound", protocol: "tcp", to });
    expect(connect("198.51.100.1:5432")).toMatchObject({ clusters: [{ name: "outbound|5432||b.test" }], route: { resource: "VirtualService default/rules", rule: 0 } });
    expect(connect("198.51.101.1:5432")).toMatchObject({ clusters: [{ name: "outbound|5432||a.test" }], route: { resource: "VirtualService default/rules", rule: 1 } });

    const tls = networking("VirtualService", "rules", { hosts: ["b.test"], tls: [{ match: [{ sniHosts: ["b.test"], destinationSubnets: ["198.51.100.0/24"] }], route: [{ destination: { host: "a.test" } }] }] });
    const named = meshOf([entry("a.test", "tcp", "192.0.2.1"), entry("b.test", "tls", "192.0.2.2"), tls]);
    const hello = (to: string) => named.explain({ direction: "outbound", protocol: "tcp", to, tls: true, sni: "b.test" });
    expect(hello("198.51.100.1:5432")).toMatchObject({ clusters: [{ name: "outbound|5432||a.test" }], route: { resource: "VirtualService default/rules", rule: 0 } });
    expect(hello("198.51.101.1:5432")).toMatchObject({ clusters: [{ name: "outbound|5432||a.test" }], route: { resource: null } });
  });
});
