import type { StringMatchSpec } from "../../core/string-match.ts";
import type { AuthorizationCondition } from "../kinds/authorization-policy.ts";
import type { AnyOf, ConditionSpec } from "../snapshot-security.ts";
import { toBlock } from "./ip-address.ts";
import { compileServiceAccounts, compileTrustDomains } from "./policy-principal.ts";
import { accountDomains, anyOf, orNever, peerDomains, principalMatches } from "./policy-source.ts";
import type { PolicyScope } from "./policy-source.ts";
import { compilePolicyNamespace, compilePolicyString } from "./policy-string.ts";

const NO_MATCH: AnyOf<StringMatchSpec> = { values: [], notValues: [] };
const NO_BLOCKS: AnyOf<string> = { values: [], notValues: [] };
const HEADER = /^request\.headers\[([^[\]]+)\]$/;
const CLAIM = /^request\.auth\.claims((?:\[[^[\]]+\])+)$/;
/** Keys that are claims by another name (RFC 7519 4.1.3; OpenID Connect Core 2). */
const NAMED_CLAIMS: ReadonlyMap<string, string> = new Map([["request.auth.audiences", "aud"], ["request.auth.presenter", "azp"]]);

/** One `when[]` entry (spec/05 5.5); null for a key that is not understood. */
export function compileCondition(condition: AuthorizationCondition, scope: PolicyScope): ConditionSpec | null {
  const { key, values, notValues } = condition;
  const strings = anyOf(values, notValues, compilePolicyString);
  const header = HEADER.exec(key);
  if (header !== null) return onStrings({ kind: "request.headers", name: (header[1] as string).toLowerCase() }, strings);
  const claim = claimPath(key);
  if (claim !== null) return onStrings({ kind: "request.auth.claims", path: claim }, strings);
  switch (key) {
    case "source.ip": case "remote.ip": case "destination.ip":
      return { attribute: { kind: key }, match: NO_MATCH, blocks: anyOf(values, notValues, toBlock) };
    case "destination.port": case "connection.sni": case "request.auth.principal":
      return onStrings({ kind: key }, strings);
    case "source.namespace":
      return onStrings({ kind: key }, anyOf(values, notValues, compilePolicyNamespace));
    case "source.principal":
      return onPrincipal(condition, (list, isNegated) => principalMatches(list, scope, isNegated));
    case "source.serviceAccount":
      return onPrincipal(condition, (list, isNegated) => compileServiceAccounts(list, scope.namespace, accountDomains(scope, isNegated)));
    case "source.trustDomain":
      return onPrincipal(condition, (list, isNegated) => compileTrustDomains(list, peerDomains(scope, isNegated)));
    default:
      return null;
  }
}

/** The names that lead to a claim; null for a key that asks for none. */
function claimPath(key: string): string[] | null {
  const named = NAMED_CLAIMS.get(key);
  if (named !== undefined) return [named];
  return CLAIM.exec(key)?.[1]?.slice(1, -1).split("][") ?? null;
}

function onStrings(attribute: ConditionSpec["attribute"], match: AnyOf<StringMatchSpec>): ConditionSpec {
  return { attribute, match, blocks: NO_BLOCKS };
}

function onPrincipal({ values, notValues }: AuthorizationCondition, compile: (list: readonly string[], isNegated: boolean) => StringMatchSpec[]): ConditionSpec {
  return onStrings({ kind: "source.principal" }, {
    values: values === undefined ? [] : orNever(compile(values, false)),
    notValues: compile(notValues ?? [], true),
  });
}
