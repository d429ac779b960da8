import type { StringMatchSpec } from "../../core/string-match.ts";
import { NEVER, compilePolicyString, quoteRegex } from "./policy-string.ts";

/** In a principal, this trust domain stands for the mesh's own, whatever that is called. */
const LOCAL_TRUST_DOMAIN = "cluster.local";

/**
 * Principals as a policy writes them, for all names of our trust domain (spec/05 5.5): one whose trust domain is ours, an
 * alias or `cluster.local` holds under each of ours. Other principals stay as they are.
 *
 * @param former null where whom they match is let in by it. Where somebody is kept out: trust domains that were ours, in which they
 *   hold as well; `cluster.local` then also means itself, which may be the name of a federated domain.
 */
export function compilePrincipals(values: readonly string[], trustDomains: readonly string[], former: readonly string[] | null): StringMatchSpec[] {
  const meant = [...trustDomains, ...(former ?? [])];
  return unique(values.flatMap((value) => {
    const slash = value.indexOf("/");
    const domain = slash < 0 ? "*" : value.slice(0, slash);
    if (domain === "*") return [value];
    const path = value.slice(slash);
    const kept = domain.startsWith("*") && trustDomains.some((own) => own.endsWith(domain.slice(1)));
    if (kept) return [value, ...meant.filter((own) => !own.endsWith(domain.slice(1))).map((own) => own + path)];
    const isOurs = domain === LOCAL_TRUST_DOMAIN || trustDomains.includes(domain);
    if (!isOurs) return [value, ...(former?.includes(domain) === true ? former.map((other) => other + path) : [])];
    const isLiteralToo = former !== null && !trustDomains.includes(domain);
    return [...meant.map((own) => own + path), ...(isLiteralToo ? [value] : [])];
  }).map(compilePolicyString));
}

/**
 * Service accounts, `name` or `namespace/name`, as the principals they are in each accepted trust domain. Exact, never a
 * pattern: a pattern built from names lets other names in (CVE-2026-39350).
 *
 * @param namespace of the policy, which completes names without one.
 */
export function compileServiceAccounts(values: readonly string[], namespace: string, trustDomains: readonly string[]): StringMatchSpec[] {
  return unique(values.flatMap((value) => {
    const slash = value.indexOf("/");
    const path = slash < 0 ? `/ns/${namespace}/sa/${value}` : `/ns/${value.slice(0, slash)}/sa/${value.slice(slash + 1)}`;
    return trustDomains.map((domain): StringMatchSpec => ({ kind: "exact", value: domain + path }));
  }));
}

/** Trust domains as conditions on the principal: those of ours that a wildcard stands for, and those written out. */
export function compileTrustDomains(values: readonly string[], trustDomains: readonly string[]): StringMatchSpec[] {
  return expandTrustDomains(values, trustDomains).map((domain) => ({ kind: "prefix", value: `${domain}/` }));
}

/** Principals that hold both conditions, one of `principals` and one of the trust domains. Never empty. */
export function restrictToTrustDomains(
  principals: readonly StringMatchSpec[],
  domains: readonly string[],
  trustDomains: readonly string[],
): StringMatchSpec[] {
  const both = expandTrustDomains(domains, trustDomains).flatMap((domain) =>
    principals.flatMap((principal) => within(principal, `${domain}/`)));
  return both.length === 0 ? [NEVER] : unique(both);
}

function expandTrustDomains(values: readonly string[], trustDomains: readonly string[]): string[] {
  return [...new Set(values.flatMap((value) => {
    const spec = compilePolicyString(value);
    if (spec.kind === "exact") return [value];
    return trustDomains.filter((own) => spec.kind === "present"
      || (spec.kind === "prefix" ? own.startsWith(spec.value) : own.endsWith(spec.value)));
  }))];
}

/** The part of a condition that begins with `start`, as conditions of which one must hold. */
function within(principal: StringMatchSpec, start: string): StringMatchSpec[] {
  const { kind, value } = principal;
  switch (kind) {
    case "exact":
      return value.startsWith(start) ? [principal] : [];
    case "present":
      return [{ kind: "prefix", value: start }];
    case "prefix":
      if (value.startsWith(start)) return [principal];
      return start.startsWith(value) ? [{ kind: "prefix", value: start }] : [];
    default: {
      // A suffix that begins inside `start`, such as `/ns/a/sa/b` at the slash, needs no characters between the two.
      const overlaps: StringMatchSpec[] = [];
      for (let length = 1; length <= Math.min(start.length, value.length); length++) {
        if (start.endsWith(value.slice(0, length))) overlaps.push({ kind: "exact", value: start + value.slice(length) });
      }
      return [...overlaps, { kind: "regex", value: `${quoteRegex(start)}.*${quoteRegex(value)}` }];
    }
  }
}

function unique(specs: readonly StringMatchSpec[]): StringMatchSpec[] {
  return [...new Map(specs.map((spec) => [`${spec.kind} ${spec.value}`, spec])).values()];
}
