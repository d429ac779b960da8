import { describe, expect, it } from "vitest";

import type { PolicySpec } from "../../../../src/config/snapshot-security.ts";
import type { StringMatchSpec } from "../../../../src/core/string-match.ts";
import { compiledPolicy } from "./written-policy.ts";

/*
 * Symptom: DENY with `trustDomains: ["partner*"]` denied nobody, and ALLOW with `notTrustDomains` of such a pattern let the domain in.
 * Cause: a pattern stood for the trust domains that are ours, of which a federated one is none. Fix: it stands for all that a peer can be of.
 */

const MESH = "{ trustDomain: own.td, trustDomainAliases: [old.td], caCertificates: [{ spiffeBundleUrl: a.example, trustDomains: [partner.a] }] }";
const FEDERATED = ["partner.b", "old.td"];

const policyOf = (action: string, rule: string): PolicySpec => compiledPolicy(action, rule, MESH, { federatedTrustDomains: FEDERATED });
const principals = (action: string, source: string) => policyOf(action, `{ from: [{ source: ${source} }] }`).rules[0]?.from[0]?.principals;
const condition = (action: string, when: string) => policyOf(action, `{ when: [${when}] }`).rules[0]?.when[0]?.match;
const prefixes = (...values: string[]): StringMatchSpec[] => values.map((value) => ({ kind: "prefix", value }));
const accounts = (...domains: string[]): StringMatchSpec[] => domains.map((domain) => ({ kind: "exact", value: `${domain}/ns/default/sa/a` }));
const OURS = ["own.td", "old.td"];
const ALL = [...OURS, "partner.b", "partner.a"];

describe("a pattern of trust domains stands for federated ones, too", () => {
  it.each(["ALLOW", "DENY"])("in %s", (action) => {
    expect(principals(action, "{ trustDomains: ['partner*'] }")?.values).toEqual(prefixes("partner.b/", "partner.a/"));
    expect(principals(action, "{ notTrustDomains: ['*.a'] }")?.notValues).toEqual(prefixes("partner.a/"));
    expect(principals(action, "{ trustDomains: ['*'] }")?.values).toEqual(prefixes(...ALL.map((domain) => `${domain}/`)));
    expect(principals(action, "{ trustDomains: ['partner*'], principals: ['*/ns/default/sa/a'] }")?.values).toContainEqual({ kind: "exact", value: "partner.b/ns/default/sa/a" });
    expect(condition(action, "{ key: source.trustDomain, values: ['*.b'], notValues: ['*.a'] }")).toEqual({ values: prefixes("partner.b/"), notValues: prefixes("partner.a/") });
  });
});

describe("a service account without a trust domain", () => {
  it("is ours where it lets somebody in, and of every domain where it keeps somebody out", () => {
    expect(principals("ALLOW", "{ serviceAccounts: [a] }")?.values).toEqual(accounts(...OURS));
    expect(principals("ALLOW", "{ notServiceAccounts: [a] }")?.notValues).toEqual(accounts(...ALL));
    expect(principals("DENY", "{ serviceAccounts: [a] }")?.values).toEqual(accounts(...ALL));
    expect(principals("DENY", "{ notServiceAccounts: [a] }")?.notValues).toEqual(accounts(...OURS));
  });

  it("so in conditions", () => {
    expect(condition("ALLOW", "{ key: source.serviceAccount, values: [a], notValues: [a] }")).toEqual({ values: accounts(...OURS), notValues: accounts(...ALL) });
    expect(condition("DENY", "{ key: source.serviceAccount, values: [a], notValues: [a] }")).toEqual({ values: accounts(...ALL), notValues: accounts(...OURS) });
  });
});
