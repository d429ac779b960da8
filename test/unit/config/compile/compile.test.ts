import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compile } from "../../../../src/config/compile/compile.ts";
import { PRODUCTPAGE, REVIEWS, REVIEWS_SUBSETS, compileYaml, resourcesOf } from "./compile-yaml.ts";

const WORLD = `${REVIEWS}${REVIEWS_SUBSETS}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: b, namespace: default }
spec: { hosts: [reviews], http: [{ route: [{ destination: { host: reviews, subset: v1 }, weight: 90 }, { destination: { host: reviews, subset: v2 }, weight: 10 }] }] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: a, namespace: default }
spec: { hosts: [reviews, "*.example.com"], http: [{ match: [{ headers: { b: { exact: x }, a: {} } }], directResponse: { status: 204 } }] }
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: e2, namespace: default }
spec: { hosts: [x.example.com], resolution: DNS, ports: [{ number: 80, name: http }, { number: 1, name: tcp }] }
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: e1, namespace: other }
spec: { hosts: [x.example.com, y.example.com], resolution: NONE, ports: [{ number: 1, name: tcp }] }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: p2, namespace: default }
spec: { action: DENY, rules: [{ from: [{ source: { notPrincipals: ["*"] } }] }] }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: p1, namespace: istio-system }
spec: { action: DENY, rules: [{ to: [{ operation: { methods: [DELETE] } }] }] }
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: pa2, namespace: default }
spec: { mtls: { mode: STRICT } }
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: pa1, namespace: default }
spec: { mtls: { mode: DISABLE } }
`;

describe("compile", () => {
  const { resources } = resourcesOf(WORLD);
  const run = (order: typeof resources) => compile({ resources: order, workload: PRODUCTPAGE, version: 7 });
  const expected = run(resources);

  test("the order of the resources changes nothing", () => {
    fc.assert(fc.property(fc.shuffledSubarray(resources, { minLength: resources.length }), (shuffled) => {
      const found = run(shuffled);
      expect(JSON.stringify(found.snapshot)).toBe(JSON.stringify(expected.snapshot));
      expect(found.problems).toEqual(expected.problems);
    }), { numRuns: 30 });
  });

  test("the snapshot is plain data and survives a structured clone", () => {
    expect(structuredClone(expected.snapshot)).toEqual(expected.snapshot);
    expect(expected.snapshot.version).toBe(7);
  });

  test("cluster names are unique and every route's cluster is told of when it does not exist", () => {
    const names = expected.snapshot.clusters.map((cluster) => cluster.name);
    expect(new Set(names).size).toBe(names.length);
    expect(names).toEqual(names.toSorted());
    expect(names).toEqual(expect.arrayContaining(["BlackHoleCluster", "InboundPassthroughCluster", "PassthroughCluster"]));
  });

  test("nothing at all still passes traffic through", () => {
    const { snapshot, problems } = compile({ resources: [], workload: PRODUCTPAGE, version: 1 });
    expect(problems).toEqual([]);
    expect(snapshot).toMatchObject({
      outbound: { listeners: [], routeTables: [], catchAll: "ALLOW_ANY" },
      inbound: { ports: [], passthrough: { mtls: "PERMISSIVE" }, authorization: { deny: [], allow: [] } },
      pathNormalization: "DECODE_AND_MERGE_SLASHES", trustDomains: ["cluster.local"], accessLog: false,
      workload: { podName: "productpage-v1-7d9f5c8b94-x7k2p", trustDomain: "cluster.local", metrics: { workload: "productpage-v1", canonicalService: "productpage", canonicalRevision: "v1" } },
    });
    expect(snapshot.clusters.find((cluster) => cluster.name === "BlackHoleCluster")).toMatchObject({ kind: "endpoints", endpoints: [] });
  });
});

describe("mesh settings", () => {
  const mesh = (text: string) => `
apiVersion: v1
kind: ConfigMap
metadata: { name: istio, namespace: istio-system }
data: { mesh: "${text}" }
`;

  test("trust domain: the certificate's before the file's, then the aliases", () => {
    const text = mesh("{ trustDomain: file.td, trustDomainAliases: [alias.td, file.td], accessLogFile: /dev/stdout }");
    expect(compileYaml(text).snapshot).toMatchObject({ trustDomains: ["file.td", "alias.td"], accessLog: true });
    const { snapshot, problems } = compileYaml(text, { trustDomain: "cert.td" });
    expect(snapshot.trustDomains).toEqual(["cert.td", "alias.td", "file.td"]);
    expect(problems).toEqual([expect.stringContaining('the workload\'s certificate is of trust domain "cert.td"')]);
  });

  test.each([["DEFAULT", "BASE"], ["NONE", "NONE"], ["MERGE_SLASHES", "MERGE_SLASHES"]])("path normalization %s is %s", (written, expected) => {
    expect(compileYaml(mesh(`pathNormalization: { normalization: ${written} }`)).snapshot.pathNormalization).toBe(expected);
  });
});

test("a problem names file, line, column, object and field", () => {
  const yaml = `${REVIEWS}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: v, namespace: default }
spec:
  hosts: [reviews]
  http:
  - route:
    - destination: { host: reviews, subset: v7 }
`;
  const line = yaml.slice(0, yaml.indexOf("subset: v7")).split("\n").length;
  expect(compileYaml(yaml).lines).toEqual([expect.stringContaining(`test.yaml:${line}:37: error: VirtualService default/v: spec.http[0].route[0].destination.subset: `)]);
});

test("a selector that no workload has the labels for is told", () => {
  const policy = (app: string): string => `${REVIEWS}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: p, namespace: default }
spec: { selector: { matchLabels: { app: ${app} } }, rules: [{}] }
`;
  expect(compileYaml(policy("review")).problems).toEqual(["warning: AuthorizationPolicy default/p: spec.selector: selects no workload of the configuration: none has the label app: review; did you mean \"reviews\"?"]);
  expect(compileYaml(policy("reviews")).problems).toEqual([]);
});
