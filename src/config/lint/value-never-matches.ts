import type { AuthorizationRule } from "../kinds/authorization-policy.ts";
import type { ResourceOf } from "../kinds/kind-specs.ts";
import type { Path } from "../resource.ts";
import type { Finding } from "./finding.ts";
import type { LintModel } from "./lint-model.ts";

/** Why no request can have this value, and what to write instead; null where one can. */
type Fault = (value: string) => string | null;

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];
const LONE_STAR = "a * counts as the first or the last character only, and once; elsewhere it stands for itself";

/**
 * Values of an AuthorizationPolicy that nothing can ever equal, for the form they are written in (spec/05 5.5). They are
 * valid, for Istio too; a DENY rule with one is open, and an ALLOW rule shut.
 */
export function valuesThatNeverMatch(model: LintModel): Finding[] {
  return model.all("AuthorizationPolicy").flatMap((policy) => policy.spec.rules.flatMap((rule, index) => inRule(policy, rule, ["spec", "rules", index])));
}

function inRule(policy: ResourceOf<"AuthorizationPolicy">, rule: AuthorizationRule, at: Path): Finding[] {
  const findings: Finding[] = [];
  const look = (fault: Fault, values: readonly string[] | undefined, path: Path): void => {
    values?.forEach((value, index) => {
      const why = fault(value);
      if (why !== null) findings.push({ lint: "value-never-matches", resource: policy, path: [...path, index], message: `${JSON.stringify(value)} never matches: ${why}` });
    });
  };
  rule.from?.forEach(({ source }, index) => {
    const path = [...at, "from", index, "source"];
    for (const field of ["principals", "notPrincipals"] as const) look(principalFault, source[field], [...path, field]);
    for (const field of ["namespaces", "notNamespaces"] as const) look(namespaceFault, source[field], [...path, field]);
    for (const field of ["trustDomains", "notTrustDomains"] as const) look(trustDomainFault, source[field], [...path, field]);
    for (const field of ["requestPrincipals", "notRequestPrincipals"] as const) look(requestPrincipalFault, source[field], [...path, field]);
  });
  rule.to?.forEach(({ operation }, index) => {
    const path = [...at, "to", index, "operation"];
    for (const field of ["methods", "notMethods"] as const) look(methodFault, operation[field], [...path, field]);
    for (const field of ["paths", "notPaths"] as const) look(pathFault, operation[field], [...path, field]);
    for (const field of ["hosts", "notHosts"] as const) look(hostFault, operation[field], [...path, field]);
  });
  rule.when?.forEach((condition, index) => {
    const fault = CONDITIONS.get(condition.key);
    if (fault !== undefined) for (const field of ["values", "notValues"] as const) look(fault, condition[field], [...at, "when", index, field]);
  });
  return findings;
}

const CONDITIONS: ReadonlyMap<string, Fault> = new Map([
  ["source.principal", principalFault], ["source.namespace", namespaceFault], ["source.trustDomain", trustDomainFault], ["request.auth.principal", requestPrincipalFault],
]);

function principalFault(value: string): string | null {
  const bare = value.replace(/^\*?spiffe:\/\//i, "");
  if (bare !== value) return `a principal is compared without spiffe://; write ${JSON.stringify(bare)}`;
  if (hasLoneStar(value)) return `${LONE_STAR}; name the namespace by namespaces, or the account by serviceAccounts`;
  return value.includes("*") || value.includes("/") ? null : `a principal is TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT; for an account by its name write serviceAccounts: [${JSON.stringify(value)}]`;
}

/** Here a `*` may stand anywhere. */
function namespaceFault(value: string): string | null {
  return /^[-a-z0-9*]+$/.test(value) ? null : "the name of a namespace has lower-case letters, digits and - only; write one entry for each";
}

function trustDomainFault(value: string): string | null {
  return /[/:]/.test(value) ? "a trust domain is the name alone, as cluster.local" : null;
}

function requestPrincipalFault(value: string): string | null {
  if (hasLoneStar(value)) return LONE_STAR;
  return value.includes("*") || value.includes("/") ? null : `a request principal is ISSUER/SUBJECT; for a subject of any issuer write ${JSON.stringify(`*/${value}`)}`;
}

function methodFault(value: string): string | null {
  if (/[\s,|]/.test(value)) return "it is one method; write one entry for each";
  const method = value.toUpperCase();
  return method !== value && METHODS.includes(method) ? `methods are in capital letters; write ${JSON.stringify(method)}` : null;
}

function pathFault(value: string): string | null {
  if (!/^[/*{]/.test(value)) return /^https?:/i.test(value) ? "it is compared with the path alone, without scheme and host" : `a path begins with /; write ${JSON.stringify(`/${value}`)}`;
  if (value.includes("?")) return "the path is compared without its query; leave out what follows the ?";
  if (/[{}]/.test(value) || !hasLoneStar(value)) return null;
  return `${LONE_STAR}; write {*} for one segment, and {**} at the end for any that follow`;
}

function hostFault(value: string): string | null {
  if (value.includes("/")) return "it is compared with the host alone, without scheme and path";
  return hasLoneStar(value) ? LONE_STAR : null;
}

/** Whether there is a `*` that is no wildcard: a first one makes a suffix of the rest, and only else a last one a prefix. */
function hasLoneStar(value: string): boolean {
  const rest = value.startsWith("*") ? value.slice(1) : value.replace(/\*$/, "");
  return rest.includes("*");
}
