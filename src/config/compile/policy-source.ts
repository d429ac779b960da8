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
  /** Accepted ones, our own first. */
  readonly trustDomains: readonly string[];
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

function principalsOf(source: AuthorizationSource, { namespace, trustDomains }: PolicyScope): StringMatchSpec[] {
  const principals = [
    ...compilePrincipals(source.principals ?? [], trustDomains),
    ...compileServiceAccounts(source.serviceAccounts ?? [], namespace, trustDomains),
  ];
  if (source.trustDomains === undefined) return principals;
  if (principals.length > 0) return restrictToTrustDomains(principals, source.trustDomains, trustDomains);
  return orNever(compileTrustDomains(source.trustDomains, trustDomains));
}

function notPrincipalsOf(source: AuthorizationSource, { namespace, trustDomains }: PolicyScope): StringMatchSpec[] {
  return [
    ...compilePrincipals(source.notPrincipals ?? [], trustDomains),
    ...compileServiceAccounts(source.notServiceAccounts ?? [], namespace, trustDomains),
    ...compileTrustDomains(source.notTrustDomains ?? [], trustDomains),
  ];
}

/** A condition was written, so that nothing to compare with must not become no condition. */
export function orNever(values: StringMatchSpec[]): StringMatchSpec[] {
  return values.length === 0 ? [NEVER] : values;
}
