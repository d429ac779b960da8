import { describe, expect, test } from "vitest";
import { REVIEWS, REVIEWS_SUBSETS, compileYaml, routesOf, tableOf, targetsOf } from "./compile-yaml.ts";

const HOST = "reviews.default.svc.cluster.local";

const virtualService = (spec: string, metadata = "name: reviews, namespace: default"): string => `
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { ${metadata} }
spec: ${spec}
`;

const routes = (spec: string, extra = "") => routesOf(compileYaml(REVIEWS + REVIEWS_SUBSETS + virtualService(spec) + extra).snapshot, "9080", `${HOST}:9080`);

describe("virtual hosts", () => {
  test("a service without VirtualService has a default route with the built-in retries", () => {
    const { snapshot } = compileYaml(REVIEWS);
    expect(tableOf(snapshot, "9080").virtualHosts).toEqual([
      {
        name: `${HOST}:9080`,
        domains: [HOST, `${HOST}.`, "reviews.default.svc", "reviews.default", "reviews", "10.0.0.9"],
        routes: [{
          name: "default",
          match: { uri: null, method: null, authority: null, scheme: null, headers: [], withoutHeaders: [], queryParams: [] },
          action: {
            kind: "forward",
            clusters: [{ name: `outbound|9080||${HOST}`, weight: 1 }],
            timeoutMs: 0,
            retry: {
              attempts: 2, perTryTimeoutMs: 0, retriableStatuses: [], backoffBaseMs: 25, backoffMaxMs: 250, isExplicit: false,
              retryOn: ["connect-failure", "refused-stream", "unavailable", "cancelled", "retriable-status-codes"],
            },
          },
          provenance: null,
        }],
      },
      expect.objectContaining({ name: "allow_any", domains: ["*"] }),
    ]);
    expect(targetsOf(tableOf(snapshot, "9080").virtualHosts.at(-1)?.routes[0])).toEqual(["PassthroughCluster=1"]);
  });

  test("the short name is only for the service's own namespace", () => {
    const { snapshot } = compileYaml(REVIEWS, { namespace: "other" });
    expect(tableOf(snapshot, "9080").virtualHosts[0]?.domains).not.toContain("reviews");
  });

  test("REGISTRY_ONLY answers an unknown host 502", () => {
    const { snapshot } = compileYaml(`${REVIEWS}
---
apiVersion: v1
kind: ConfigMap
metadata: { name: istio, namespace: istio-system }
data: { mesh: "outboundTrafficPolicy: { mode: REGISTRY_ONLY }" }
`);
    expect(snapshot.outbound.catchAll).toBe("REGISTRY_ONLY");
    expect(tableOf(snapshot, "9080").virtualHosts.at(-1)).toMatchObject({
      name: "block_all", routes: [{ action: { kind: "direct-response", status: 502, body: "", clusterName: "BlackHoleCluster" } }],
    });
  });
});

describe("VirtualService", () => {
  test("flattens match blocks in order, up to the first without condition", () => {
    const found = routes(`
  hosts: [reviews]
  http:
  - name: first
    match:
    - { name: jason, headers: { End-User: { exact: jason }, cookie: { regex: "*" } }, uri: { prefix: /A }, ignoreUriCase: true }
    - { method: { exact: POST }, withoutHeaders: { x-a: {} }, queryParams: { q: { prefix: p } } }
    route: [{ destination: { host: reviews, subset: v2 } }]
    timeout: 2s
  - route: [{ destination: { host: reviews, subset: v1 }, weight: 90 }, { destination: { host: reviews, subset: v2 }, weight: 10 }, { destination: { host: reviews }, weight: 0 }]
  - route: [{ destination: { host: reviews, subset: v2 } }]
`);
    expect(found.map((route) => route.name)).toEqual(["first.jason", "first", ""]);
    expect(found[0]?.match).toEqual({
      uri: { kind: "prefix", value: "/a", ignoreCase: true }, method: null, authority: null, scheme: null,
      headers: [{ name: "end-user", match: { kind: "exact", value: "jason" } }, { name: "cookie", match: { kind: "present", value: "" } }],
      withoutHeaders: [], queryParams: [],
    });
    expect(found[1]?.match).toMatchObject({
      method: { kind: "exact", value: "POST" }, withoutHeaders: [{ name: "x-a", match: { kind: "present" } }], queryParams: [{ name: "q", match: { kind: "prefix", value: "p" } }],
    });
    expect(found[0]?.action).toMatchObject({ timeoutMs: 2000 });
    expect(targetsOf(found[0])).toEqual([`outbound|9080|v2|${HOST}=1`]);
    expect(targetsOf(found[2])).toEqual([`outbound|9080|v1|${HOST}=90`, `outbound|9080|v2|${HOST}=10`]);
    expect(found[2]?.provenance).toMatchObject({ resource: "VirtualService default/reviews", rule: 1, file: "test.yaml" });
    expect(found[2]?.provenance?.line).toBeGreaterThan(found[0]?.provenance?.line ?? Infinity);
  });

  test.each([
    ["{ port: 9080 }", true], ["{ port: 80 }", false],
    ["{ sourceLabels: { app: productpage } }", true], ["{ sourceLabels: { app: other } }", false],
    ["{ sourceNamespace: default }", true], ["{ sourceNamespace: other }", false],
    ["{ gateways: [mesh], sourceLabels: { app: other } }", true], ["{ gateways: [g] }", false],
  ])("the static condition %s holds: %s", (match, holds) => {
    const found = routes(`{ hosts: [reviews], http: [{ name: special, match: [${match}], directResponse: { status: 418 } }, { name: rest, route: [{ destination: { host: reviews } }] }] }`);
    expect(found.map((route) => route.name)).toEqual(holds ? ["special"] : ["rest"]);
  });

  test("without a rule that can apply on the port the service is routed as by itself", () => {
    expect(routes("{ hosts: [reviews], http: [{ match: [{ port: 1 }], directResponse: { status: 418 } }] }").map((route) => route.name)).toEqual(["default"]);
  });

  test.each([
    ["{ attempts: 3, perTryTimeout: 250ms, retryOn: '5xx, 503,reset', backoff: 10ms }",
      { attempts: 3, perTryTimeoutMs: 250, retryOn: ["5xx", "reset", "retriable-status-codes"], retriableStatuses: [503], backoffBaseMs: 10, backoffMaxMs: 100, isExplicit: true }],
    ["{ attempts: 5 }", { attempts: 5, isExplicit: false, retriableStatuses: [] }],
    ["{ attempts: 0 }", null],
  ])("retries %s", (retries, expected) => {
    const [route] = routes(`{ hosts: [reviews], http: [{ route: [{ destination: { host: reviews } }], retries: ${retries} }] }`);
    if (route?.action.kind !== "forward") throw new Error("not forwarded");
    if (expected === null) expect(route.action.retry).toBeNull();
    else expect(route.action.retry).toMatchObject(expected);
  });

  test("the mesh's retry policy stands in for none", () => {
    const mesh = "\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: { name: istio, namespace: istio-system }\ndata: { mesh: 'defaultHttpRetryPolicy: { attempts: 1, retryOn: reset }' }\n";
    const [route] = routes("{ hosts: [reviews], http: [{ route: [{ destination: { host: reviews } }] }] }", mesh);
    expect(route?.action).toMatchObject({ retry: { attempts: 1, retryOn: ["reset"], isExplicit: true } });
  });

  test("a direct response", () => {
    const [route] = routes("{ hosts: [reviews], http: [{ directResponse: { status: 503, body: { string: closed } } }] }");
    expect(route?.action).toEqual({ kind: "direct-response", status: 503, body: "closed", clusterName: null });
  });

  test("of two for one host the older counts, whatever the order of files", () => {
    const spec = (status: number): string => `{ hosts: [reviews], http: [{ directResponse: { status: ${status} } }] }`;
    const old = virtualService(spec(201), 'name: zzz, namespace: default, creationTimestamp: "2024-01-01T00:00:00Z"');
    const young = virtualService(spec(202), 'name: aaa, namespace: default, creationTimestamp: "2025-01-01T00:00:00Z"');
    for (const yaml of [REVIEWS + old + young, REVIEWS + young + old]) {
      const { snapshot, problems } = compileYaml(yaml);
      expect(routesOf(snapshot, "9080", `${HOST}:9080`)[0]?.action).toMatchObject({ status: 201 });
      expect(problems).toEqual([expect.stringContaining("VirtualService default/aaa: spec.hosts[0]: ignored for this host: VirtualService default/zzz came first")]);
    }
  });

  test("an exact host beats a wildcard, the longer wildcard the shorter", () => {
    const spec = (host: string, status: number): string => `{ hosts: ["${host}"], http: [{ directResponse: { status: ${status} } }] }`;
    const wide = virtualService(spec("*.svc.cluster.local", 201), "name: a, namespace: default");
    const narrow = virtualService(spec("*.default.svc.cluster.local", 202), "name: b, namespace: default");
    const exact = virtualService(spec("reviews", 203), "name: c, namespace: default");
    const statusOf = (yaml: string) => routesOf(compileYaml(REVIEWS + yaml).snapshot, "9080", `${HOST}:9080`)[0]?.action;
    expect(statusOf(wide)).toMatchObject({ status: 201 });
    expect(statusOf(wide + narrow)).toMatchObject({ status: 202 });
    expect(statusOf(wide + narrow + exact)).toMatchObject({ status: 203 });
  });

  test.each([
    ["gateways: [my-gateway]", "default", false], ["exportTo: ['.']", "other", false], ["exportTo: [other]", "other", true], ["gateways: [g, mesh]", "default", true],
  ])("%s seen from %s applies: %s", (field, namespace, applies) => {
    const yaml = REVIEWS + virtualService(`{ hosts: [reviews], ${field}, http: [{ directResponse: { status: 201 } }] }`);
    const [route] = routesOf(compileYaml(yaml, { namespace }).snapshot, "9080", `${HOST}:9080`);
    expect(route?.name).toBe(applies ? "" : "default");
  });

  test("a host that no registry knows counts on port 80 only", () => {
    const port80 = REVIEWS.replaceAll("reviews-1", "web-1").replace("name: http, port: 9080, targetPort", "name: http, port: 80, targetPort");
    const rule = virtualService("{ hosts: [legacy.example.com], http: [{ route: [{ destination: { host: reviews } }] }] }");
    const { snapshot, problems } = compileYaml(port80 + rule);
    expect(tableOf(snapshot, "80").virtualHosts.map((host) => host.name)).toEqual(["legacy.example.com:80", `${HOST}:80`, "allow_any"]);
    expect(problems).toEqual([expect.stringContaining("warning: VirtualService default/reviews: spec.hosts[0]: no Service or ServiceEntry has the host legacy.example.com")]);
    expect(tableOf(compileYaml(REVIEWS + rule).snapshot, "9080").virtualHosts.map((host) => host.name)).not.toContain("legacy.example.com:9080");
  });

  test("destinations that lead nowhere still have a cluster name, which does not exist, and are told", () => {
    const { snapshot, problems } = compileYaml(REVIEWS + REVIEWS_SUBSETS + virtualService(`
  hosts: [reviews]
  http:
  - match: [{ uri: { prefix: /a } }]
    route: [{ destination: { host: nobody } }]
  - match: [{ uri: { prefix: /b } }]
    route: [{ destination: { host: reviews, subset: v9 } }]
  - route: [{ destination: { host: reviews, port: { number: 1 } } }]
`));
    const found = routesOf(snapshot, "9080", `${HOST}:9080`);
    expect(found.flatMap(targetsOf)).toEqual(["outbound|9080||nobody.default.svc.cluster.local=1", `outbound|9080|v9|${HOST}=1`, `outbound|1||${HOST}=1`]);
    for (const route of found) for (const target of targetsOf(route)) expect(snapshot.clusters.map((cluster) => `${cluster.name}=1`)).not.toContain(target);
    expect(problems).toEqual([
      expect.stringContaining("spec.http[0].route[0].destination.host: no Service or ServiceEntry has the host nobody.default.svc.cluster.local"),
      expect.stringContaining('spec.http[1].route[0].destination.subset: no DestinationRule defines a subset "v9"'),
      expect.stringContaining("spec.http[2].route[0].destination.port.number: reviews.default.svc.cluster.local has no port 1"),
    ]);
  });
});
