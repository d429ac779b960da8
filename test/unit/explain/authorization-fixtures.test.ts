import { describe, expect, it } from "vitest";

import { security, service, yamlOf } from "../../integration/mesh-resources.ts";
import { meshOfYaml } from "./explainer-of.ts";

/*
 * Forty configurations, each with a request: `explain` names the policy, the rule, and the line on which that is written.
 * The line is counted in the text, not taken from what the compiler kept.
 */

/** A policy as a user writes it, one rule a line. */
function policy(name: string, rules: readonly string[], options: { action?: string; namespace?: string; selector?: string; annotations?: string; more?: string } = {}): string {
  const { action, namespace = "default", selector, annotations, more } = options;
  return [
    "---", "apiVersion: security.istio.io/v1", "kind: AuthorizationPolicy", "metadata:", `  name: ${name}`, `  namespace: ${namespace}`,
    ...(annotations === undefined ? [] : [`  annotations: ${annotations}`]),
    "spec:",
    ...(selector === undefined ? [] : [`  selector: ${selector}`]), ...(action === undefined ? [] : [`  action: ${action}`]), ...(more === undefined ? [] : [`  ${more}`]),
    ...(rules.length === 0 ? [] : ["  rules:", ...rules.map((rule) => `  - ${rule}`)]), "",
  ].join("\n");
}
const deny = (name: string, ...rules: readonly string[]) => policy(name, rules, { action: "DENY" });
const allow = (name: string, ...rules: readonly string[]) => policy(name, rules);

/** 1-based line of a rule, or of the policy (its `kind` is on the second line) where `rule` is null. */
function lineOf(yaml: string, name: string, rule: number | null): number {
  const lines = yaml.split("\n");
  const named = lines.indexOf(`  name: ${name}`);
  return rule === null ? named - 2 : lines.indexOf("  rules:", named) + 2 + rule;
}

const BASE = yamlOf(
  service({ name: "reviews", port: 9080, endpoints: [{ address: "10.0.0.1", port: 9080 }] }),
  service({ name: "database", clusterIP: "10.96.0.11", port: 3306, portName: "tcp", selector: { app: "reviews" }, endpoints: [{ address: "10.0.0.1", port: 3306 }] }),
  security("PeerAuthentication", "default", { mtls: { mode: "PERMISSIVE" } }),
  { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "istio", namespace: "istio-system" }, data: { mesh: "trustDomainAliases: [old.td]" } },
);
const from = (account: string, namespace = "default", domain = "cluster.local") => `spiffe://${domain}/ns/${namespace}/sa/${account}`;
const get = (path: string, more: object = {}) => ({ url: `http://reviews:9080${path}`, ...more });
const tcp = (more: object = {}) => ({ protocol: "tcp", to: "10.0.0.1:3306", ...more });

type Fixture = readonly [what: string, yaml: string, request: object, verdict: "pass" | "deny", policy: string | null, rule: number | null];

const OPERATION = (fields: string) => `{to: [{operation: {${fields}}}]}`;
const SOURCE = (fields: string) => `{from: [{source: {${fields}}}]}`;
const WHEN = (key: string, values: string) => `{when: [{key: "${key}", values: [${values}]}]}`;

const FIXTURES: readonly Fixture[] = [
  ["an exact path", deny("p", OPERATION("paths: [/other]"), OPERATION("paths: [/admin]")), get("/admin"), "deny", "p", 1],
  ["a prefix, with a query", deny("p", OPERATION("paths: [/admin*]")), get("/admin/x?y"), "deny", "p", 0],
  ["a suffix", deny("p", OPERATION('paths: ["*.key"]')), get("/tls/server.key"), "deny", "p", 0],
  ["a path that was written in a roundabout way", deny("p", OPERATION("paths: [/admin]")), get("/x/..//%61dmin"), "deny", "p", 0],
  ["a template of one segment", deny("p", OPERATION('paths: ["/a/{*}"]'), OPERATION('paths: ["/a/{*}/c"]')), get("/a/b/c"), "deny", "p", 1],
  ["a template of any", allow("p", OPERATION('paths: ["/a/{*}"]'), OPERATION('paths: ["/a/{**}"]')), get("/a/b/c"), "pass", "p", 1],
  ["all paths but some", deny("p", OPERATION("notPaths: [/open, /health]")), get("/x"), "deny", "p", 0],
  ["a method", deny("p", OPERATION("methods: [PUT, DELETE]")), get("/", { method: "DELETE" }), "deny", "p", 0],
  ["a host without its port", deny("p", OPERATION("hosts: [Reviews]")), get("/"), "deny", "p", 0],
  ["a host by its end", allow("p", OPERATION('hosts: ["*.test"]')), get("/", { url: "http://a.test:9080/", to: "10.0.0.1:9080" }), "pass", "p", 0],
  ["a port", deny("p", OPERATION("ports: ['3306']"), OPERATION("ports: ['9080']")), get("/"), "deny", "p", 1],
  ["every port but one", deny("p", OPERATION("notPorts: ['9080']")), tcp(), "deny", "p", 0],
  ["two fields of one operation", allow("p", OPERATION("methods: [GET], paths: [/a]"), OPERATION("methods: [POST], paths: [/b]")), get("/b", { method: "POST" }), "pass", "p", 1],
  ["a principal", allow("p", SOURCE("principals: [cluster.local/ns/default/sa/a]"), SOURCE("principals: [cluster.local/ns/default/sa/b]")), get("/", { from: from("b") }), "pass", "p", 1],
  ["a principal under an alias of the trust domain", allow("p", SOURCE("principals: [old.td/ns/default/sa/a]")), get("/", { from: from("a") }), "pass", "p", 0],
  ["anybody without an identity", deny("p", SOURCE('notPrincipals: ["*"]')), get("/"), "deny", "p", 0],
  ["a namespace", deny("p", SOURCE("namespaces: [shop]")), get("/", { from: from("a", "shop") }), "deny", "p", 0],
  ["a namespace with a star in it", deny("p", SOURCE('namespaces: ["te*ng"]')), get("/", { from: from("a", "testing") }), "deny", "p", 0],
  ["a service account of the policy's namespace", allow("p", SOURCE("serviceAccounts: [other/a]"), SOURCE("serviceAccounts: [a]")), get("/", { from: from("a") }), "pass", "p", 1],
  ["all service accounts but one", deny("p", SOURCE("notServiceAccounts: [a]")), get("/", { from: from("b") }), "deny", "p", 0],
  ["a trust domain", allow("p", SOURCE("trustDomains: [cluster.local]")), get("/", { from: from("a") }), "pass", "p", 0],
  ["the address of the connection", deny("p", SOURCE("ipBlocks: [10.9.0.0/16]")), get("/", { sourceIp: "10.9.1.1" }), "deny", "p", 0],
  ["the address of the client", deny("p", SOURCE("remoteIpBlocks: [1.2.3.0/24]")), get("/", { sourceIp: "10.9.1.1", headers: [["x-forwarded-for", "8.8.8.8, 1.2.3.4"]] }), "deny", "p", 0],
  ["a header", deny("p", WHEN("request.headers[X-Env]", "test")), get("/", { headers: [["x-env", "test"]] }), "deny", "p", 0],
  ["two conditions", allow("p", '{when: [{key: "request.headers[a]", values: [x]}, {key: "request.headers[b]", notValues: [z]}]}'), get("/", { headers: [["a", "x"]] }), "pass", "p", 0],
  ["the issuer and subject of a token", allow("p", SOURCE('requestPrincipals: ["iss/*"]')), get("/", { jwt: { iss: "iss", sub: "me" } }), "pass", "p", 0],
  ["the audience of a token", allow("p", WHEN("request.auth.audiences", "shop")), get("/", { jwt: { iss: "i", sub: "s", aud: ["x", "shop"] } }), "pass", "p", 0],
  ["a claim in a claim", allow("p", WHEN("request.auth.claims[realm][roles]", "admin")), get("/", { jwt: { realm: { roles: ["user", "admin"] } } }), "pass", "p", 0],
  ["a source by its namespace, in `when`", deny("p", WHEN("source.namespace", "shop")), tcp({ from: from("a", "shop") }), "deny", "p", 0],
  ["the server name", deny("p", WHEN("connection.sni", "secret.test")), tcp({ from: from("a"), sni: "secret.test" }), "deny", "p", 0],
  ["an HTTP rule on TCP, which denies more", deny("p", OPERATION("ports: ['3306'], methods: [GET]")), tcp(), "deny", "p", 0],
  ["DENY before ALLOW", allow("open", "{}") + deny("shut", OPERATION("paths: [/x]")), get("/x"), "deny", "shut", 0],
  ["a DENY of everything", deny("p", "{}"), tcp(), "deny", "p", 0],
  ["an ALLOW of everything", allow("p", "{}"), tcp(), "pass", "p", 0],
  ["the second of two policies", allow("one", OPERATION("paths: [/a]")) + allow("two", OPERATION("paths: [/b]")), get("/b"), "pass", "two", 0],
  ["a policy of the root namespace", policy("mesh-wide", [OPERATION("paths: [/x]")], { action: "DENY", namespace: "istio-system" }), get("/x"), "deny", "mesh-wide", 0],
  ["a policy for these labels, not for others", policy("others", ["{}"], { action: "DENY", selector: "{matchLabels: {app: ratings}}" }) + policy("own", ["{}"], { action: "DENY", selector: "{matchLabels: {app: reviews}}" }), get("/"), "deny", "own", 0],
  ["CUSTOM before all, with nobody to ask", allow("open", "{}") + policy("ask", [OPERATION("paths: [/ask]")], { action: "CUSTOM", more: "provider: {name: opa}" }), get("/ask"), "deny", "ask", 0],
  ["the nearest miss: who", allow("p", '{from: [{source: {principals: ["x/ns/y/sa/z"]}}], to: [{operation: {methods: [PUT]}}]}', SOURCE("namespaces: [shop]")), get("/", { from: from("a") }), "deny", "p", 1],
  ["the nearest miss: what", allow("far", '{from: [{source: {namespaces: [x]}}], to: [{operation: {methods: [PUT]}}]}') + allow("near", OPERATION("methods: [PUT], paths: [/x]")), get("/x"), "deny", "near", 0],
  ["an ALLOW policy that allows nothing", allow("nothing"), get("/"), "deny", "nothing", null],
  ["ALLOW rules that no TCP connection can match", allow("web", OPERATION("methods: [GET]")), tcp(), "deny", "web", null],
  ["no policy, but one in dry run", policy("planned", ["{}"], { action: "DENY", annotations: '{istio.io/dry-run: "true"}' }), get("/"), "pass", null, null],
];

describe("explain names the policy and its line", () => {
  it("has forty configurations or more", () => expect(FIXTURES.length).toBeGreaterThanOrEqual(40));

  it.each(FIXTURES)("%s", (_what, policies, request, verdict, name, rule) => {
    const yaml = `${BASE}\n${policies}`;
    const explanation = meshOfYaml(yaml).explain({ direction: "inbound", ...request });
    const gates = explanation.filters.filter((gate) => gate.name === "rbac" || gate.name === "ext-authz");
    const gate = gates.find((one) => one.verdict === "deny") ?? gates.at(-1);
    const namespace = policies.includes("namespace: istio-system") ? "istio-system" : "default";
    expect({ verdict: gate?.verdict, resource: gate?.resource, rule: gate?.rule, file: gate?.file, line: gate?.line }).toEqual({
      verdict,
      resource: name === null ? null : `AuthorizationPolicy ${namespace}/${name}`,
      rule,
      file: name === null ? null : "mesh.yaml",
      line: name === null ? null : lineOf(yaml, name, rule),
    });
    expect(explanation.verdict).toBe(verdict === "deny" ? "deny" : "route");
  });

  it("says of a dry run that it would deny", () => {
    const [, policies, request] = FIXTURES.at(-1) as Fixture;
    const { filters } = meshOfYaml(`${BASE}\n${policies}`).explain({ direction: "inbound", ...request });
    expect(filters.find(({ name }) => name === "rbac")?.reason).toMatch(/would be denied if what is in dry run were in force, by AuthorizationPolicy default\/planned \(mesh\.yaml:\d+\)$/);
  });
});
