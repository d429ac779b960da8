import fc from "fast-check";
import { expect, it } from "vitest";

import "../../../random-seed.ts";
import { Authorizer } from "../../../../src/filter/rbac.ts";
import { facts } from "../../filter/rbac-fixtures.ts";
import { compileYaml } from "./compile-yaml.ts";

/*
 * Policies as they are written, judged for peers of our own, an alias' and federated trust domains: what the compiler and the
 * evaluator make of them together is what spec/05 5.5 and docs/authorization.md say, read value by value. One federated domain has
 * the name that stands for ours in principals.
 */

const OURS = ["own.td", "old.td"];
const FEDERATED = ["partner.a", "partner.b", "cluster.local"];
const MESH = { trustDomain: "own.td", trustDomainAliases: ["old.td"], caCertificates: [{ spiffeBundleUrl: "a.example", trustDomains: ["partner.a"] }] };
const PEERS = [...OURS, ...FEDERATED].flatMap((domain) => ["a/sa/x", "a/sa/y", "default/sa/x"].map((account) => `${domain}/ns/${account}`));

interface Source {
  readonly principals?: string[];
  readonly notPrincipals?: string[];
  readonly serviceAccounts?: string[];
  readonly notServiceAccounts?: string[];
  readonly trustDomains?: string[];
  readonly notTrustDomains?: string[];
}

function fits(pattern: string, text: string): boolean {
  if (pattern === "*") return true;
  if (pattern.startsWith("*")) return text.endsWith(pattern.slice(1));
  return pattern.endsWith("*") ? text.startsWith(pattern.slice(0, -1)) : text === pattern;
}

/** `isBroad`: whom it matches is kept out, so that in doubt it matches. */
function isPrincipal(written: string, peer: string, isBroad: boolean): boolean {
  const [domain = "", ...path] = written.split("/");
  const isOurs = OURS.includes(domain) || domain === "cluster.local";
  const isLiteral = fits(written, peer) && (isBroad || !isOurs || OURS.includes(peer.slice(0, peer.indexOf("/"))));
  return isLiteral || (isOurs && OURS.some((own) => fits([own, ...path].join("/"), peer)));
}

function isAccount(written: string, peer: string, domains: "any" | "ours"): boolean {
  const [domain = "", , namespace, , account] = peer.split("/");
  const [wantedNamespace, wantedAccount] = written.includes("/") ? written.split("/") : ["default", written];
  return namespace === wantedNamespace && account === wantedAccount && (domains === "any" || OURS.includes(domain));
}

function holds(source: Source, peer: string, isDeny: boolean): boolean {
  const domain = peer.slice(0, peer.indexOf("/"));
  const { principals, serviceAccounts, trustDomains, notPrincipals = [], notServiceAccounts = [], notTrustDomains = [] } = source;
  const meant = isDeny || trustDomains !== undefined ? "any" : "ours";
  if (principals !== undefined && !principals.some((value) => isPrincipal(value, peer, isDeny))) return false;
  if (serviceAccounts !== undefined && !serviceAccounts.some((value) => isAccount(value, peer, meant))) return false;
  if (trustDomains !== undefined && !trustDomains.some((value) => fits(value, domain))) return false;
  return !notPrincipals.some((value) => isPrincipal(value, peer, !isDeny))
    && !notServiceAccounts.some((value) => isAccount(value, peer, isDeny ? "ours" : "any"))
    && !notTrustDomains.some((value) => fits(value, domain));
}

const some = (...values: string[]): fc.Arbitrary<string[]> => fc.uniqueArray(fc.constantFrom(...values), { minLength: 1, maxLength: 3 });
const domains = some("own.td", "old.td", "partner.a", "partner.b", "cluster.local", "partner*", "*.td", "*.a", "*", "nobody.td");
const principals = some(
  "own.td/ns/a/sa/x", "old.td/ns/a/sa/x", "cluster.local/ns/a/sa/x", "partner.a/ns/a/sa/x", "cluster.local/ns/a/*", "own.td/*", "*/sa/x", "*/ns/a/sa/y", "partner*", "*",
);
const accounts = some("x", "y", "a/x", "a/y");
const named = fc.record({ principals, notPrincipals: principals, trustDomains: domains, notTrustDomains: domains }, { requiredKeys: [] });
const byAccount = fc.record({ serviceAccounts: accounts, notServiceAccounts: accounts, trustDomains: domains, notTrustDomains: domains }, { requiredKeys: [] });
const sources = fc.oneof(named, byAccount).filter((source) => Object.keys(source).length > 0);

function authorizerOf(action: string, rule: unknown): Authorizer {
  const policy = { apiVersion: "security.istio.io/v1", kind: "AuthorizationPolicy", metadata: { name: "p", namespace: "default" }, spec: { action, rules: [rule] } };
  const mesh = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "istio", namespace: "istio-system" }, data: { mesh: JSON.stringify(MESH) } };
  const { snapshot } = compileYaml(`${JSON.stringify(policy)}\n---\n${JSON.stringify(mesh)}`, { federatedTrustDomains: ["partner.b", "cluster.local"] });
  return new Authorizer(snapshot.inbound.authorization);
}

function expectVerdicts(action: "ALLOW" | "DENY", rule: unknown, matches: (peer: string) => boolean): void {
  const authorizer = authorizerOf(action, rule);
  const isDeny = action === "DENY";
  for (const http of [{}, null]) {
    const allowed = PEERS.filter((principal) => authorizer.check(facts({ principal, http })).isAllowed);
    expect(allowed).toEqual(PEERS.filter((peer) => matches(peer) !== isDeny));
  }
}

it("DENY is never narrower and ALLOW never wider than what a source says, whatever the peer's trust domain", () => {
  let matched = 0;
  fc.assert(fc.property(fc.constantFrom("ALLOW" as const, "DENY" as const), sources, (action, source) => {
    matched += PEERS.filter((peer) => holds(source, peer, action === "DENY")).length;
    expectVerdicts(action, { from: [{ source }] }, (peer) => holds(source, peer, action === "DENY"));
  }), { numRuns: 1500 });
  // Means something only where peers match, and others do not.
  expect(matched).toBeGreaterThan(1500);
  expect(matched).toBeLessThan(1500 * PEERS.length / 2);
});

it("and so of conditions", () => {
  const conditions = fc.oneof(
    fc.record({ key: fc.constant("source.principal"), values: principals, notValues: principals }, { requiredKeys: ["key"] }),
    fc.record({ key: fc.constant("source.serviceAccount"), values: accounts, notValues: accounts }, { requiredKeys: ["key"] }),
    fc.record({ key: fc.constant("source.trustDomain"), values: domains, notValues: domains }, { requiredKeys: ["key"] }),
  ).filter(({ values, notValues }) => values !== undefined || notValues !== undefined);
  fc.assert(fc.property(fc.constantFrom("ALLOW" as const, "DENY" as const), conditions, (action, { key, values, notValues }) => {
    const field = `${key.slice("source.".length)}s`;
    const source: Source = { ...(values && { [field]: values }), ...(notValues && { [`not${field[0]?.toUpperCase()}${field.slice(1)}`]: notValues }) };
    expectVerdicts(action, { when: [{ key, ...(values && { values }), ...(notValues && { notValues }) }] }, (peer) => holds(source, peer, action === "DENY"));
  }), { numRuns: 600 });
});
