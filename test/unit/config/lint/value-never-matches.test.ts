/*
 * Symptom: a DENY policy with `paths: [admin]`, `methods: [get]` or `principals: ["spiffe://..."]` denied nobody, and
 * nothing said so. Cause: such values are valid, and equal nothing. Fix: `outrider check` names each, and what to write.
 */
import { describe, expect, it } from "vitest";
import { lintYaml } from "./lint-yaml.ts";

const LINT = "value-never-matches";
const LONE_STAR = "a * counts as the first or the last character only, and once; elsewhere it stands for itself";

function found(rule: string): string[] {
  return lintYaml(`
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: p, namespace: default }
spec: { action: DENY, rules: [{ ${rule} }] }
`, LINT).map((line) => line.slice(LINT.length + 2));
}

const source = (field: string, value: string): string => `from: [{ source: { ${field}: [${JSON.stringify(value)}] } }]`;
const operation = (field: string, value: string): string => `to: [{ operation: { ${field}: [${JSON.stringify(value)}] } }]`;

describe(LINT, () => {
  it.each([
    ["principals", "spiffe://cluster.local/ns/a/sa/b", 'a principal is compared without spiffe://; write "cluster.local/ns/a/sa/b"'],
    ["notPrincipals", "*spiffe://cluster.local/ns/a/sa/b", 'a principal is compared without spiffe://; write "cluster.local/ns/a/sa/b"'],
    ["principals", "cluster.local/ns/*/sa/b", `${LONE_STAR}; name the namespace by namespaces, or the account by serviceAccounts`],
    ["principals", "b", 'a principal is TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT; for an account by its name write serviceAccounts: ["b"]'],
    ["namespaces", "shop, cart", "the name of a namespace has lower-case letters, digits and - only; write one entry for each"],
    ["trustDomains", "spiffe://cluster.local", "a trust domain is the name alone, as cluster.local"],
    ["requestPrincipals", "alice", 'a request principal is ISSUER/SUBJECT; for a subject of any issuer write "*/alice"'],
    ["notRequestPrincipals", "*a*", LONE_STAR],
  ])("%s: %s", (field, value, why) => {
    expect(found(source(field, value))).toEqual([`spec.rules[0].from[0].source.${field}[0]: ${JSON.stringify(value)} never matches: ${why}`]);
  });

  it.each([
    ["methods", "get", 'methods are in capital letters; write "GET"'],
    ["methods", "GET,POST", "it is one method; write one entry for each"],
    ["paths", "admin", 'a path begins with /; write "/admin"'],
    ["notPaths", "https://a.test/admin", "it is compared with the path alone, without scheme and host"],
    ["paths", "/a?x=1", "the path is compared without its query; leave out what follows the ?"],
    ["paths", "/a/*/b", `${LONE_STAR}; write {*} for one segment, and {**} at the end for any that follow`],
    ["paths", "/a/**", `${LONE_STAR}; write {*} for one segment, and {**} at the end for any that follow`],
    ["paths", "*admin*", `${LONE_STAR}; write {*} for one segment, and {**} at the end for any that follow`],
    ["hosts", "https://a.test", "it is compared with the host alone, without scheme and path"],
    ["notHosts", "a.*.test", LONE_STAR],
  ])("%s: %s", (field, value, why) => {
    expect(found(operation(field, value))).toEqual([`spec.rules[0].to[0].operation.${field}[0]: ${JSON.stringify(value)} never matches: ${why}`]);
  });

  it("looks at conditions as well", () => {
    expect(found("when: [{ key: source.principal, notValues: [a] }, { key: source.namespace, values: [A] }, { key: 'request.headers[x]', values: ['a*b*c', get] }]").map((line) => line.split(": ")[0])).toEqual([
      "spec.rules[0].when[0].notValues[0]", "spec.rules[0].when[1].values[0]",
    ]);
  });

  it.each([
    source("principals", "*"), source("principals", "*/sa/b"), source("principals", "cluster.local/*"), source("principals", "td.test/workload"),
    source("namespaces", "a-*-b"), source("trustDomains", "*.test"), source("requestPrincipals", "https://a.test/*"), source("requestPrincipals", "*/alice"),
    operation("methods", "GET"), operation("methods", "purge"), operation("methods", "G*"),
    operation("paths", "/a*"), operation("paths", "*.php"), operation("paths", "/a/{*}/b/{**}"), operation("paths", "{**}"), operation("paths", "*"),
    operation("hosts", "*.a.test:8080"), operation("hosts", "A.test"),
  ])("not: %s", (rule) => {
    expect(found(rule)).toEqual([]);
  });
});
