import { describe, expect, test } from "vitest";
import type { PolicySpec } from "../../../../src/config/snapshot-security.ts";
import { compileYaml } from "./compile-yaml.ts";

const policy = (spec: string, metadata = "name: p, namespace: default"): string => `
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { ${metadata} }
spec: ${spec}
`;
const ALIASES = `
apiVersion: v1
kind: ConfigMap
metadata: { name: istio, namespace: istio-system }
data: { mesh: "{ trustDomain: new.td, trustDomainAliases: [old.td] }" }
`;
const compiled = (yaml: string, workload = {}) => compileYaml(yaml, workload, { allowRejected: true });
const authorization = (yaml: string, workload = {}) => compiled(yaml, workload).snapshot.inbound.authorization;
const names = (policies: readonly PolicySpec[]): string[] => policies.map((entry) => `${entry.namespace}/${entry.name}`);
const NONE = { values: [], notValues: [] };
const exact = (value: string) => ({ kind: "exact", value });
/** Denies every request and connection. */
const CLOSED = [{ from: [], to: [], when: [], line: expect.any(Number) }];

describe("applicability", () => {
  test.each([
    ["name: p, namespace: default", "", true],
    ["name: p, namespace: other", "", false],
    ["name: p, namespace: istio-system", "", true],
    ["name: p, namespace: default", "selector: { matchLabels: { app: productpage } },", true],
    ["name: p, namespace: default", "selector: { matchLabels: { app: reviews } },", false],
    ["name: p, namespace: istio-system", "selector: { matchLabels: { app: productpage } },", true],
    ["name: p, namespace: default", "targetRefs: [{ kind: Gateway, name: g }],", false],
  ])("%s %s applies: %s", (metadata, selector, applies) => {
    expect(authorization(policy(`{ ${selector} rules: [{}] }`, metadata)).allow.length).toBe(applies ? 1 : 0);
  });
});

describe("actions and empty forms", () => {
  test("ALLOW without rules allows nothing, with an empty rule everything; DENY with an empty rule denies everything", () => {
    expect(authorization(policy("{}"))).toMatchObject({ deny: [], allow: [{ rules: [] }] });
    expect(authorization(policy("{ rules: [{}] }"))).toMatchObject({ allow: [{ rules: CLOSED }] });
    expect(authorization(policy("{ action: DENY, rules: [{}] }"))).toMatchObject({ deny: [{ rules: CLOSED }], allow: [] });
  });

  test("CUSTOM without a provider denies what it would have asked about, loudly", () => {
    const { snapshot, problems } = compiled(policy("{ action: CUSTOM, provider: { name: opa }, rules: [{ to: [{ operation: { paths: [/admin] } }] }] }"));
    expect(snapshot.inbound.authorization).toMatchObject({ custom: [{ provider: "opa", rules: [{ to: [{ paths: { values: [exact("/admin")] } }] }] }], deny: [], allow: [] });
    expect(problems).toEqual([expect.stringMatching(/^error: AuthorizationPolicy default\/p: spec.provider.name: SECURITY: there is no provider "opa".*denied/)]);
  });

  test("AUDIT and dry-run decide nothing", () => {
    expect(authorization(policy("{ action: AUDIT, rules: [{}] }"))).toMatchObject({ deny: [], allow: [], audit: [{ rules: CLOSED }] });
    const { snapshot, problems } = compiled(policy("{ action: DENY, rules: [{}] }", 'name: p, namespace: default, annotations: { istio.io/dry-run: "true" }'));
    expect(snapshot.inbound.authorization).toEqual({ deny: [], allow: [], dryRun: { deny: [expect.objectContaining({ name: "p", rules: CLOSED })], allow: [] } });
    expect(problems).toEqual([]);
  });
});

describe("sources", () => {
  const source = (text: string, yaml = "") => authorization(`${yaml}${policy(`{ rules: [{ from: [{ source: ${text} }] }] }`)}`).allow[0]?.rules[0]?.from[0];

  test("string forms, and their twins", () => {
    expect(source("{ principals: ['*', 'a/*', '*/b', a/b/c], notNamespaces: [x, y-*, '*-z', 'a*b'], requestPrincipals: ['*'], ipBlocks: [10.0.0.1, 10.1.0.0/16, '::1'], notRemoteIpBlocks: [1.2.3.4] }")).toEqual({
      principals: { values: [{ kind: "present", value: "" }, { kind: "prefix", value: "a/" }, { kind: "suffix", value: "/b" }, exact("a/b/c")], notValues: [] },
      namespaces: { values: [], notValues: [exact("x"), { kind: "prefix", value: "y-" }, { kind: "suffix", value: "-z" }, { kind: "regex", value: "a[^/]*b" }] },
      requestPrincipals: { values: [{ kind: "present", value: "" }], notValues: [] },
      ipBlocks: { values: ["10.0.0.1/32", "10.1.0.0/16", "::1/128"], notValues: [] },
      remoteIpBlocks: { values: [], notValues: ["1.2.3.4/32"] },
    });
  });

  test("a principal of our trust domain holds under all its names", () => {
    const both = [exact("new.td/ns/a/sa/b"), exact("old.td/ns/a/sa/b")];
    for (const domain of ["cluster.local", "new.td", "old.td"]) expect(source(`{ principals: [${domain}/ns/a/sa/b] }`, ALIASES)?.principals.values).toEqual(both);
    expect(source("{ notPrincipals: [old.td/ns/a/sa/b] }", ALIASES)?.principals.notValues).toEqual(both);
    expect(source("{ principals: [foreign/ns/a/sa/b] }", ALIASES)?.principals.values).toEqual([exact("foreign/ns/a/sa/b")]);
    expect(source("{ principals: ['*/ns/a/sa/b'] }", ALIASES)?.principals.values).toEqual([{ kind: "suffix", value: "/ns/a/sa/b" }]);
  });

  // CVE-2026-39350: service accounts compiled to a pattern let `a.b` stand for `axb`. They are exact principals.
  test("service accounts are exact, of the policy's namespace unless they name one", () => {
    expect(source("{ serviceAccounts: [a.b, ns2/c], notServiceAccounts: [d] }", ALIASES)?.principals).toEqual({
      values: [exact("new.td/ns/default/sa/a.b"), exact("old.td/ns/default/sa/a.b"), exact("new.td/ns/ns2/sa/c"), exact("old.td/ns/ns2/sa/c")],
      notValues: [exact("new.td/ns/default/sa/d"), exact("old.td/ns/default/sa/d")],
    });
  });

  test("trust domains narrow the principals beside them, and never to nothing at all", () => {
    expect(source("{ trustDomains: [x.td, 'o*'] }", ALIASES)?.principals.values).toEqual([{ kind: "prefix", value: "x.td/" }, { kind: "prefix", value: "old.td/" }]);
    expect(source("{ notTrustDomains: [x.td] }")?.principals).toEqual({ values: [], notValues: [{ kind: "prefix", value: "x.td/" }] });
    expect(source("{ trustDomains: ['z*'] }")?.principals.values).toEqual([exact("")]);
    expect(source("{ trustDomains: [other], principals: [foreign/ns/a/sa/b] }")?.principals.values).toEqual([exact("")]);
    expect(source("{ trustDomains: [x], principals: ['*', 'x/ns/a/*', 'x*'] }")?.principals.values).toEqual([{ kind: "prefix", value: "x/" }, { kind: "prefix", value: "x/ns/a/" }]);
    expect(source("{ trustDomains: [x], principals: ['*/ns/a/sa/b'] }")?.principals.values).toEqual([exact("x/ns/a/sa/b"), { kind: "regex", value: "x/.*/ns/a/sa/b" }]);
  });
});

describe("operations and conditions", () => {
  const rule = (text: string) => authorization(policy(`{ rules: [${text}] }`)).allow[0]?.rules[0];

  test("hosts without case, ports as numbers, path templates as they are", () => {
    expect(rule("{ to: [{ operation: { hosts: ['*.Example.com', 'A*'], notPorts: ['80'], methods: [GET], paths: [/a*, '/v{*}'.html] } }] }".replace("'/v{*}'.html", "'/a.b/{*}/c/{**}'"))?.to).toEqual([{
      hosts: { values: [{ kind: "suffix", value: ".example.com", ignoreCase: true }, { kind: "prefix", value: "a", ignoreCase: true }], notValues: [] },
      ports: { values: [], notValues: [80] },
      methods: { values: [exact("GET")], notValues: [] },
      paths: { values: [{ kind: "prefix", value: "/a" }, { kind: "template", value: "/a.b/{*}/c/{**}" }], notValues: [] },
    }]);
  });

  test.each([
    ["request.headers[X-Env]", "[a*]", { attribute: { kind: "request.headers", name: "x-env" }, match: { values: [{ kind: "prefix", value: "a" }], notValues: [] }, blocks: NONE }],
    ["source.ip", "[10.0.0.0/8]", { attribute: { kind: "source.ip" }, match: NONE, blocks: { values: ["10.0.0.0/8"], notValues: [] } }],
    ["destination.port", "['80']", { attribute: { kind: "destination.port" }, match: { values: [exact("80")], notValues: [] }, blocks: NONE }],
    ["connection.sni", "[a]", { attribute: { kind: "connection.sni" }, match: { values: [exact("a")], notValues: [] }, blocks: NONE }],
    ["source.namespace", "[a]", { attribute: { kind: "source.namespace" }, match: { values: [exact("a")], notValues: [] }, blocks: NONE }],
    ["source.principal", "[cluster.local/ns/a/sa/b]", { attribute: { kind: "source.principal" }, match: { values: [exact("cluster.local/ns/a/sa/b")], notValues: [] }, blocks: NONE }],
    ["source.serviceAccount", "[b]", { attribute: { kind: "source.principal" }, match: { values: [exact("cluster.local/ns/default/sa/b")], notValues: [] }, blocks: NONE }],
    ["source.trustDomain", "[z*]", { attribute: { kind: "source.principal" }, match: { values: [exact("")], notValues: [] }, blocks: NONE }],
    ["request.auth.principal", "[x]", { attribute: { kind: "request.auth.principal" }, match: { values: [exact("x")], notValues: [] }, blocks: NONE }],
    ["request.auth.audiences", "[x]", { attribute: { kind: "request.auth.claims", path: ["aud"] }, match: { values: [exact("x")], notValues: [] }, blocks: NONE }],
    ["request.auth.presenter", "[x]", { attribute: { kind: "request.auth.claims", path: ["azp"] }, match: { values: [exact("x")], notValues: [] }, blocks: NONE }],
    ["request.auth.claims[a][b]", "[x]", { attribute: { kind: "request.auth.claims", path: ["a", "b"] }, match: { values: [exact("x")], notValues: [] }, blocks: NONE }],
  ])("when %s %s", (key, values, expected) => {
    expect(rule(`{ when: [{ key: "${key}", values: ${values} }] }`)?.when).toEqual([expected]);
  });
});

describe("fail closed", () => {
  // hostile.md D06: a policy that is not understood must not fall away, which would open what it closed.
  test.each([
    ["an unknown key", "{ rules: [{ when: [{ key: source.colour, values: [red] }] }] }"],
    ["an unknown action", "{ action: ALOW, rules: [{}] }"],
    ["an unknown field", "{ rules: [{ form: [] }] }"],
    ["metadata of filters", "{ action: DENY, rules: [{ when: [{ key: 'experimental.envoy.filters.a.b[c]', values: [x] }] }] }"],
  ])("%s: everything is denied", (_, spec) => {
    const found = authorization(policy(spec) + policy("{ rules: [{}] }", "name: open, namespace: default"));
    expect(names(found.deny)).toEqual(["default/p"]);
    expect(found.deny[0]?.rules).toEqual(CLOSED);
    expect(names(found.allow)).toEqual(["default/open"]);
  });

  test("a policy that decides nothing is left out", () => {
    const unknown = (action: string): string => `{ action: ${action}, rules: [{ when: [{ key: 'experimental.envoy.filters.a.b[c]', values: [x] }] }] }`;
    const dryRun = 'name: p, namespace: default, annotations: { istio.io/dry-run: "true" }';
    for (const yaml of [policy(unknown("AUDIT")), policy(unknown("DENY"), dryRun)]) {
      expect(authorization(yaml)).toEqual({ deny: [], allow: [] });
      expect(compiled(yaml).problems).toContainEqual(expect.stringContaining("the policy is left out"));
    }
  });

  test("only for the workloads that it selects, as far as that can be read", () => {
    const broken = (selector: string): string => policy(`{ ${selector} rules: [{ from: [] }] }`);
    expect(names(authorization(broken("selector: { matchLabels: { app: reviews } },")).deny)).toEqual([]);
    expect(names(authorization(broken("selector: { matchLabels: { app: productpage } },")).deny)).toEqual(["default/p"]);
    expect(names(authorization(broken(""), { namespace: "other" }).deny)).toEqual([]);
  });
});

test("the line of each rule, and the policy's own", () => {
  const found = authorization(`
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: p, namespace: default }
spec:
  rules:
  - to: [{ operation: { methods: [GET] } }]
  - to: [{ operation: { methods: [PUT] } }]
`).allow[0];
  expect(found?.rules.map((rule) => rule.line)).toEqual([7, 8]);
  expect(found?.provenance).toEqual({ resource: "AuthorizationPolicy default/p", rule: null, file: "test.yaml", line: 2 });
});
