import type { Snapshot } from "../config/snapshot.ts";
import type { ConditionSpec, PolicyRuleSpec } from "../config/snapshot-security.ts";
import { isLoggedHeader } from "./replay-line.ts";

/**
 * The DENY policies that ask for something no access log holds, a header or a token, each with that condition: a replayed
 * request is without it, so that they would seem to let through what they denied. By `ns[..]-policy[..]`, as response
 * code details name them.
 */
export function unloggedDenials({ inbound }: Pick<Snapshot, "inbound">): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const { namespace, name, rules } of [...inbound.authorization.custom ?? [], ...inbound.authorization.deny]) {
    const condition = rules.map(unloggedCondition).find((one) => one !== null) ?? null;
    if (condition !== null) found.set(`ns[${namespace}]-policy[${name}]`, condition);
  }
  return found;
}

/** `ns[..]-policy[..]` of response code details; null when they name no policy. */
export function policyOfDetails(details: string | null): string | null {
  return /\[(ns\[.*\]-policy\[.*\])-rule\[\d+\](?:-deny-due-to-bad-CUSTOM-action)?\]$/.exec(details ?? "")?.[1] ?? null;
}

function unloggedCondition({ from, when }: PolicyRuleSpec): string | null {
  if (from.some(({ requestPrincipals }) => requestPrincipals.values.length + requestPrincipals.notValues.length > 0)) return "requestPrincipals";
  return when.map(nameOfUnlogged).find((name) => name !== null) ?? null;
}

function nameOfUnlogged({ attribute }: ConditionSpec): string | null {
  if (attribute.kind === "request.headers") return isLoggedHeader(attribute.name.toLowerCase()) ? null : `request.headers[${attribute.name}]`;
  return attribute.kind.startsWith("request.auth") ? attribute.kind : null;
}
