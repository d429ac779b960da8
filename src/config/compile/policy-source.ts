import type { StringMatchSpec } from "../../core/string-match.ts";
import type { AuthorizationSource } from "../kinds/authorization-policy.ts";
import type { AnyOf, SourceSpec } from "../snapshot-security.ts";
import { toBlock } from "./ip-address.ts";
import { compilePrincipals, compileServiceAccounts, compileTrustDomains, restrictToTrustDomains } from "./policy-principal.ts";
import { NEVER, compilePolicyNamespace, compilePolicyString } from "./policy-string.ts";

/** Values and their `not` twins, both compiled. */
export function anyOf<T, U>(values: readonly T[] | undefined, notValues: readonly T[] | undefined, compile: (value: T) => U): AnyOf<U> {
  return { values: (values ?? []).map(compile), notValues: (notValues ?? []).map(compile) };
}

/** What a policy's rules are read with. */
export interface PolicyScope {
  /** The policy's own. */
  readonly namespace: string;
  /** Those that are ours: our own first, then its aliases. */
  readonly trustDomains: readonly string[];
  /** Those and the federated ones: all that a peer can be of. */
  readonly knownTrustDomains: readonly string[];
  /** The policy lets in whom its rules match: an ALLOW. */
  readonly isGrant: boolean;
}

/**
 * The trust domains in which a service account is meant, where a policy names it and not its domain. What lets somebody in means ours;
 * what keeps somebody out means every one, since Istio does not look at the domain at all (spec/05 5.5).
 */
export function accountDomains(scope: PolicyScope, isNegated: boolean): readonly string[] {
  return keepsOut(scope, isNegated) ? scope.knownTrustDomains : scope.trustDomains;
}

/** Whether whom a condition matches is kept out by it: by a value of what denies, by a `not` of what lets in. */
export function keepsOut({ isGrant }: PolicyScope, isNegated: boolean): boolean {
  return isGrant === isNegated;
}

/** One `from[].source` (spec/05 5.5). Service accounts and trust domains become conditions on the principal. */
export function compileSource(source: AuthorizationSource, scope: PolicyScope): SourceSpec {
  return {
    principals: { values: principalsOf(source, scope), notValues: notPrincipalsOf(source, scope) },
    namespaces: anyOf(source.namespaces, source.notNamespaces, compilePolicyNamespace),
    requestPrincipals: anyOf(source.requestPrincipals, source.notRequestPrincipals, compilePolicyString),
    ipBlocks: anyOf(source.ipBlocks, source.notIpBlocks, toBlock),
    remoteIpBlocks: anyOf(source.remoteIpBlocks, source.notRemoteIpBlocks, toBlock),
  };
}

function principalsOf(source: AuthorizationSource, scope: PolicyScope): StringMatchSpec[] {
  const { namespace, trustDomains, knownTrustDomains } = scope;
  // Accounts with their trust domains beside them are meant in those, whosever they are.
  const domains = source.trustDomains === undefined ? accountDomains(scope, false) : knownTrustDomains;
  const principals = [
    ...compilePrincipals(source.principals ?? [], trustDomains, keepsOut(scope, false)),
    ...compileServiceAccounts(source.serviceAccounts ?? [], namespace, domains),
  ];
  if (source.trustDomains === undefined) return principals;
  if (principals.length > 0) return restrictToTrustDomains(principals, source.trustDomains, knownTrustDomains);
  return orNever(compileTrustDomains(source.trustDomains, knownTrustDomains));
}

function notPrincipalsOf(source: AuthorizationSource, scope: PolicyScope): StringMatchSpec[] {
  const { namespace, trustDomains, knownTrustDomains } = scope;
  return [
    ...compilePrincipals(source.notPrincipals ?? [], trustDomains, keepsOut(scope, true)),
    ...compileServiceAccounts(source.notServiceAccounts ?? [], namespace, accountDomains(scope, true)),
    ...compileTrustDomains(source.notTrustDomains ?? [], knownTrustDomains),
  ];
}

/** A condition was written, so that nothing to compare with must not become no condition. */
export function orNever(values: StringMatchSpec[]): StringMatchSpec[] {
  return values.length === 0 ? [NEVER] : values;
}
