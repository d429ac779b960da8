import { describe, expect, it } from "vitest";

import type { PolicySpec } from "../../../../src/config/snapshot-security.ts";
import { compiledPolicy } from "./written-policy.ts";

/*
 * Symptom: an alias was taken away, and requests on connections that its peers had open passed a DENY of our own domain, until
 * those were closed. Cause: policies forgot the alias at once, while connections are closed a few hundred at a time. Fix: what keeps
 * somebody out still means trust domains that were ours; what lets somebody in does not.
 */

const MESH = "{ trustDomain: own.td, trustDomainAliases: [alias.td], caCertificates: [{ spiffeBundleUrl: a.example, trustDomains: [partner.td] }] }";
const FORMER = ["own.td", "gone.td", "lost.td", "partner.td"];

const ruleOf = (action: string, rule: string): PolicySpec["rules"][number] | undefined => compiledPolicy(action, rule, MESH, { formerTrustDomains: FORMER }).rules[0];
const texts = (values: readonly { readonly value: string }[] | undefined): string[] | undefined => values?.map(({ value }) => value);
const source = (action: string, written: string) => ruleOf(action, `{ from: [{ source: { ${written} } }] }`)?.from[0]?.principals;
const condition = (action: string, written: string) => ruleOf(action, `{ when: [{ ${written} }] }`)?.when[0]?.match;
const at = (path: string, ...domains: string[]): string[] => domains.map((domain) => domain + path);
const B = "/ns/a/sa/b";
const OURS = at(B, "own.td", "alias.td");
const ALL = at(B, "own.td", "alias.td", "gone.td", "lost.td");

describe("principals of our domain", () => {
  it.each(["own.td", "alias.td"])("are those of domains that were ours where they keep somebody out: %s", (domain) => {
    expect(texts(source("DENY", `principals: [${domain}${B}]`)?.values)).toEqual(ALL);
    expect(texts(source("ALLOW", `principals: [${domain}${B}]`)?.values)).toEqual(OURS);
    expect(texts(source("ALLOW", `notPrincipals: [${domain}${B}]`)?.notValues)).toEqual(ALL);
    expect(texts(source("DENY", `notPrincipals: [${domain}${B}]`)?.notValues)).toEqual(OURS);
    const both = `key: source.principal, values: [${domain}${B}], notValues: [${domain}${B}]`;
    expect([texts(condition("DENY", both)?.values), texts(condition("DENY", both)?.notValues)]).toEqual([ALL, OURS]);
    expect([texts(condition("ALLOW", both)?.values), texts(condition("ALLOW", both)?.notValues)]).toEqual([OURS, ALL]);
  });

  it("so those of cluster.local, and of a pattern that is for a part of our domains", () => {
    expect(texts(source("DENY", `principals: [cluster.local${B}]`)?.values)).toEqual([...ALL, `cluster.local${B}`]);
    expect(texts(source("ALLOW", `principals: [cluster.local${B}]`)?.values)).toEqual(OURS);
    expect(texts(source("DENY", `principals: ["*wn.td${B}"]`)?.values)).toEqual([`wn.td${B}`, ...at(B, "alias.td", "gone.td", "lost.td")]);
  });

  it("are not those of a domain that was ours: it stands for itself and its like", () => {
    expect(texts(source("DENY", `principals: [gone.td${B}]`)?.values)).toEqual(at(B, "gone.td", "lost.td"));
    expect(texts(source("ALLOW", `principals: [gone.td${B}]`)?.values)).toEqual(at(B, "gone.td"));
    expect(texts(source("DENY", `principals: [partner.td${B}]`)?.values)).toEqual(at(B, "partner.td"));
  });
});

describe("accounts and patterns of trust domains", () => {
  it("mean domains that were ours where they keep somebody out", () => {
    const known = at(B, "own.td", "alias.td", "partner.td");
    const everybody = [...known, ...at(B, "gone.td", "lost.td")];
    expect(texts(source("DENY", "serviceAccounts: [a/b]")?.values)).toEqual(everybody);
    expect(texts(source("ALLOW", "serviceAccounts: [a/b]")?.values)).toEqual(OURS);
    expect(texts(source("ALLOW", "notServiceAccounts: [a/b]")?.notValues)).toEqual(everybody);
    expect(texts(source("DENY", "serviceAccounts: [a/b], trustDomains: ['*']")?.values)).toEqual(everybody);
    expect(texts(source("ALLOW", "serviceAccounts: [a/b], trustDomains: ['*']")?.values)).toEqual(known);
    expect(texts(source("DENY", "trustDomains: ['g*']")?.values)).toEqual(["gone.td/"]);
    expect(texts(source("ALLOW", "trustDomains: ['g*']")?.values)).toEqual([""]);
    expect(texts(source("ALLOW", "notTrustDomains: ['g*']")?.notValues)).toEqual(["gone.td/"]);
    expect(texts(source("DENY", "notTrustDomains: ['g*']")?.notValues)).toEqual([]);
    expect(texts(condition("DENY", "key: source.trustDomain, values: ['g*']")?.values)).toEqual(["gone.td/"]);
    expect(texts(condition("ALLOW", "key: source.trustDomain, values: ['g*']")?.values)).toEqual([""]);
    expect(texts(condition("ALLOW", "key: source.serviceAccount, notValues: [a/b]")?.notValues)).toEqual(everybody);
  });
});
