import { describe, expect, it } from "vitest";
import { lint } from "../../../../src/config/lint/lint.ts";
import { resourcesOf } from "../compile/compile-yaml.ts";
import { TO_REVIEWS, lintYaml, serviceWith, virtualService } from "./lint-yaml.ts";

/** Two rules with these matches, the second below the first. */
function pair(first: string, second: string): string {
  return virtualService(`
  - { ${first === "" ? "" : `match: ${first}, `}${TO_REVIEWS} }
  - { ${second === "" ? "" : `match: ${second}, `}${TO_REVIEWS} }`);
}
const shadowed = (by = "http[0]", line = 10): string =>
  `shadowed-route: spec.http[1]: is never reached: ${by} at test.yaml:${line} comes first and takes every request that this matches; move this above it, or delete it`;

describe("shadowed-route", () => {
  it.each([
    ["a rule without match", "", "[{ uri: { prefix: /a } }]"],
    ["two of them", "", ""],
    ["a prefix over an exact path", "[{ uri: { prefix: /a/ } }]", "[{ uri: { exact: /a/b } }]"],
    ["the root prefix over a header", "[{ uri: { prefix: / } }]", "[{ headers: { x: { exact: one } } }]"],
    ["a regex over an exact path", "[{ uri: { regex: '/v[12]' } }]", "[{ uri: { exact: /v2 } }]"],
    ["presence over a value", "[{ headers: { X: {} } }]", "[{ headers: { x: { exact: one } } }]"],
    ["fewer headers over more", "[{ headers: { x: { exact: one } } }]", "[{ headers: { x: { exact: one }, z: {} } }]"],
    ["the same method", "[{ method: { exact: GET } }]", "[{ method: { exact: GET }, uri: { prefix: /a } }]"],
    ["absence of a header with any value over its absence with one", "[{ withoutHeaders: { x: { exact: one } } }]", "[{ withoutHeaders: { x: {} } }]"],
    ["any source over one", "[{ uri: { prefix: /a } }]", "[{ uri: { prefix: /a }, sourceLabels: { app: a }, port: 80 }]"],
    ["query parameters", "[{ queryParams: { q: { exact: a } } }]", "[{ queryParams: { q: { exact: a } }, authority: { exact: x } }]"],
  ])("%s", (_what, first, second) => {
    expect(lintYaml(pair(first, second))).toEqual([shadowed()]);
  });

  it.each([
    ["an exact path over a prefix", "[{ uri: { exact: /a } }]", "[{ uri: { prefix: /a } }]"],
    ["a value over presence", "[{ headers: { x: { exact: one } } }]", "[{ headers: { x: {} } }]"],
    ["another method", "[{ method: { exact: GET } }]", "[{ method: { exact: POST } }]"],
    ["another port", "[{ port: 80 }]", "[{ port: 81 }]"],
    ["one source over any", "[{ sourceLabels: { app: a } }]", ""],
    ["one namespace over any", "[{ sourceNamespace: a }]", ""],
    ["case", "[{ uri: { prefix: /a/ } }]", "[{ uri: { prefix: /A/ }, ignoreUriCase: true }]"],
    ["absence of one value over absence of any", "[{ withoutHeaders: { x: {} } }]", "[{ withoutHeaders: { x: { exact: one } } }]"],
    ["the general rule last", "[{ uri: { prefix: /a } }]", ""],
  ])("not: %s", (_what, first, second) => {
    expect(lintYaml(pair(first, second))).toEqual([]);
  });

  it("names the match that takes it, and the match that is taken where others are left", () => {
    const yaml = pair("[{ uri: { exact: /x } }, { uri: { prefix: /a/ } }]", "[{ uri: { prefix: /b } }, { uri: { exact: /a/b } }]");
    expect(lintYaml(yaml)).toEqual([
      "shadowed-route: spec.http[1].match[1]: is never reached: http[0].match[1] at test.yaml:10 comes first and takes every request that this matches; move this above it, or delete it",
    ]);
  });

  it("stands at the rule, by line and column", () => {
    const [problem] = lint(resourcesOf(pair("", "")).resources);
    expect(problem).toMatchObject({ severity: "warning", file: "test.yaml", line: 11, col: 5, resource: "VirtualService default/v", lint: "shadowed-route" });
  });

  it("says when a prefix without slash is the reason", () => {
    expect(lintYaml(pair("[{ uri: { prefix: /foo } }]", "[{ uri: { prefix: /foobar } }]"))).toEqual([
      'shadowed-route: spec.http[1]: is never reached: http[0] at test.yaml:10 comes first and takes every request that this matches, because prefix "/foo" is no path segment; write exact: /foo and prefix: /foo/ there',
    ]);
  });

  it("says nothing of a rule below one that delegates, which may let it through", () => {
    expect(lintYaml(virtualService(`[{ delegate: { name: d } }, { ${TO_REVIEWS} }]`))).toEqual([]);
  });

  it("is told of tcp and tls rules as well", () => {
    const yaml = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: v, namespace: default }
spec:
  hosts: ["*.example.com"]
  tcp:
  - { ${TO_REVIEWS} }
  - { match: [{ port: 80 }], ${TO_REVIEWS} }
  tls:
  - { match: [{ sniHosts: ["*.example.com"] }], ${TO_REVIEWS} }
  - { match: [{ sniHosts: [a.example.com] }], ${TO_REVIEWS} }
`;
    expect(lintYaml(yaml)).toEqual([
      "shadowed-route: spec.tls[1]: is never reached: tls[0] at test.yaml:11 comes first and takes every connection that this matches; move this above it, or delete it",
      "shadowed-route: spec.tcp[1]: is never reached: tcp[0] at test.yaml:8 comes first and takes every connection that this matches; move this above it, or delete it",
    ]);
  });
});

describe("prefix-without-slash", () => {
  it("is told where a rule below is for a path that the prefix splits", () => {
    expect(lintYaml(pair("[{ uri: { prefix: /foo }, headers: { canary: { exact: 'yes' } } }]", "[{ uri: { prefix: /foobar } }]"))).toEqual([
      'prefix-without-slash: spec.http[0].match[0].uri.prefix: "/foo" is no path segment: it takes requests to "/foobar" from http[1] at test.yaml:11; write two matches, exact: /foo and prefix: /foo/',
    ]);
  });

  it.each([
    ["a slash", "[{ uri: { prefix: /foo/ }, port: 80 }]", "[{ uri: { prefix: /foobar } }]"],
    ["a whole segment", "[{ uri: { prefix: /foo }, port: 80 }]", "[{ uri: { prefix: /foo/bar } }]"],
    ["other methods", "[{ uri: { prefix: /foo }, method: { exact: GET } }]", "[{ uri: { prefix: /foobar }, method: { exact: POST } }]"],
    ["other headers", "[{ uri: { prefix: /foo }, headers: { x: { exact: a } } }]", "[{ uri: { prefix: /foobar }, headers: { x: { exact: b } } }]"],
    ["the longer path first", "[{ uri: { prefix: /foobar } }]", "[{ uri: { prefix: /foo } }]"],
  ])("not: %s", (_what, first, second) => {
    expect(lintYaml(pair(first, second), "prefix-without-slash")).toEqual([]);
  });
});

describe("surprising-weight", () => {
  const weights = (...values: number[]): string =>
    virtualService(`[{ route: [${values.map((weight) => `{ destination: { host: reviews }, weight: ${weight} }`).join(", ")}] }]`);

  it.each([
    [[50], "spec.http[0].route[0].weight: the only destination gets all traffic, not 50 %; leave weight out, or add the destination that gets the rest"],
    [[90, 20], "spec.http[0].route: the weights add up to 110, not 100; they count as shares of their sum, 90/110, 20/110; write weights that add up to 100"],
  ])("%j", (values, expected) => {
    expect(lintYaml(weights(...values))).toEqual([`surprising-weight: ${expected}`]);
  });

  it.each([[[0]], [[1]], [[100]], [[90, 10]], [[33, 33, 33]], [[1, 3]], [[100, 300]], [[100, 0]]])("not: %j", (values) => {
    expect(lintYaml(weights(...values))).toEqual([]);
  });
});

describe("fault-never-fires", () => {
  it.each([["delay", "fixedDelay: 1s"], ["abort", "httpStatus: 503"]])("%s", (kind, what) => {
    expect(lintYaml(virtualService(`[{ fault: { ${kind}: { ${what} } }, ${TO_REVIEWS} }]`))).toEqual([
      `fault-never-fires: spec.http[0].fault.${kind}: happens to no request: without percentage it is 0 %; write percentage: {value: 100}, or the share that is meant`,
    ]);
  });

  it.each(["delay: { fixedDelay: 1s, percentage: { value: 1 } }", "delay: { fixedDelay: 1s, percent: 5 }", "abort: { httpStatus: 503, percentage: { value: 0 } }"])("not: %s", (fault) => {
    expect(lintYaml(virtualService(`[{ fault: { ${fault} }, ${TO_REVIEWS} }]`))).toEqual([]);
  });
});

describe("bound-to-gateways-only", () => {
  const reviews = serviceWith("reviews", "{ name: http, port: 80 }");

  it("is told of a service of the mesh", () => {
    expect(lintYaml(reviews + virtualService(`[{ ${TO_REVIEWS} }]`, "gateways: [edge]"))).toEqual([
      'bound-to-gateways-only: spec.gateways: has no effect on calls to reviews.default.svc.cluster.local within the mesh, only on those through these gateways; add "mesh" if sidecars are to obey it too',
    ]);
  });

  it("not: of a public name, and of one bound to both", () => {
    expect(lintYaml(reviews + virtualService(`[{ ${TO_REVIEWS} }]`, "gateways: [edge]").replace("hosts: [reviews]", "hosts: [shop.example.com]"))).toEqual([]);
    expect(lintYaml(reviews + virtualService(`[{ ${TO_REVIEWS} }]`, "gateways: [edge, mesh]"))).toEqual([]);
  });
});

describe("rules-without-port", () => {
  const rules = (kind: string, match = ""): string =>
    virtualService(`[{ ${match} ${TO_REVIEWS} }]`).replace("  http:", `  ${kind}:`);

  it.each([
    ["http rules of a TLS port", "{ name: https, port: 443 }", rules("http"), "spec.http: http rules have no effect: of the hosts' ports (443 HTTPS) none is HTTP; write tcp or tls rules, or declare the port http"],
    ["tcp rules of an HTTP port", "{ name: http, port: 80 }", rules("tcp"), "spec.tcp: tcp rules have no effect: of the hosts' ports (80 HTTP) none is TCP; write http rules, or declare the port tcp"],
    ["a port that is not there", "{ name: http, port: 80 }", rules("http", "match: [{ port: 8080 }],"), "spec.http[0].match[0].port: never matches: none of the hosts has port 8080 for http rules; write one of 80, or leave port out"],
  ])("%s", (_what, port, yaml, expected) => {
    expect(lintYaml(serviceWith("reviews", port) + yaml)).toEqual([`rules-without-port: ${expected}`]);
  });

  it.each([
    ["http rules of an HTTP port among others", "{ name: http, port: 80 }, { name: tcp, port: 81 }", rules("http")],
    ["a port that is there", "{ name: http, port: 80 }", rules("http", "match: [{ port: 80 }],")],
    ["tcp rules of a TLS port", "{ name: tls, port: 443 }", rules("tcp")],
    ["rules for a gateway too", "{ name: tcp, port: 81 }", virtualService(`[{ ${TO_REVIEWS} }]`, "gateways: [edge, mesh]")],
  ])("not: %s", (_what, port, yaml) => {
    expect(lintYaml(serviceWith("reviews", port) + yaml)).toEqual([]);
  });

  it("not: of an undeclared port, whichever is spoken there", () => {
    expect(lintYaml(serviceWith("reviews", "{ name: x, port: 80 }") + rules("http") + rules("tcp"), "rules-without-port")).toEqual([]);
  });
});
