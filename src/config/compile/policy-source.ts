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
  /** Those that were ours. What keeps somebody out still means them, as long as connections of their peers may be open. */
  readonly formerTrustDomains: readonly string[];
  /** The policy lets in whom its rules match: an ALLOW. */
  readonly isGrant: boolean;
}

/**
 * The trust domains in which a service account is meant, where a policy names it and not its domain. What lets somebody in means ours;
 * what keeps somebody out means every one, since Istio does not look at the domain at all (spec/05 5.5).
 */
export function accountDomains(scope: PolicyScope, isNegated: boolean): readonly string[] {
  return keepsOut(scope, isNegated) ? peerDomains(scope, isNegated) : scope.trustDomains;
}

/** The trust domains that a pattern of them may stand for. */
export function peerDomains(scope: PolicyScope, isNegated: boolean): readonly string[] {
  const { knownTrustDomains, formerTrustDomains } = scope;
  return keepsOut(scope, isNegated) ? [...new Set([...knownTrustDomains, ...formerTrustDomains])] : knownTrustDomains;
}

/** Principals as conditions, by `compilePrincipals`. */
export function principalMatches(values: readonly string[], scope: PolicyScope, isNegated: boolean): StringMatchSpec[] {
  return compilePrincipals(values, scope.trustDomains, keepsOut(scope, isNegated) ? scope.formerTrustDomains : null);
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
  const ofPeers = peerDomains(scope, false);
  // Accounts with their trust domains beside them are meant in those, whosever they are.
  const domains = source.trustDomains === undefined ? accountDomains(scope, false) : ofPeers;
  const principals = [
    ...principalMatches(source.principals ?? [], scope, false),
    ...compileServiceAccounts(source.serviceAccounts ?? [], scope.namespace, domains),
  ];
  if (source.trustDomains === undefined) return principals;
  if (principals.length > 0) return restrictToTrustDomains(principals, source.trustDomains, ofPeers);
  return orNever(compileTrustDomains(source.trustDomains, ofPeers));
}

function notPrincipalsOf(source: AuthorizationSource, scope: PolicyScope): StringMatchSpec[] {
  return [
    ...principalMatches(source.notPrincipals ?? [], scope, true),
    ...compileServiceAccounts(source.notServiceAccounts ?? [], scope.namespace, accountDomains(scope, true)),
    ...compileTrustDomains(source.notTrustDomains ?? [], peerDomains(scope, true)),
  ];
}

/** A condition was written, so that nothing to compare with must not become no condition. */
export function orNever(values: StringMatchSpec[]): StringMatchSpec[] {
  return values.length === 0 ? [NEVER] : values;
}
