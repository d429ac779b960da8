import type { AnyOf, Provenance } from "../config/snapshot.ts";
import type { Authorizer } from "../filter/rbac.ts";
import type { AuthorizationFacts } from "../filter/rbac-facts.ts";
import { type FailedCondition, nearestMiss } from "../filter/rbac-near-miss.ts";
import { writtenAt } from "./written-at.ts";
import type { FilterAccount } from "./recorded-filter.ts";

/** The authorizer's verdict in words, with the rule that made it or came closest. */
export function accountOfVerdict(authorizer: Authorizer, facts: AuthorizationFacts): FilterAccount {
  const verdict = authorizer.check(facts);
  if (verdict.provenance !== null) {
    const reason = verdict.isAllowed ? `rule ${verdict.ruleIndex} allows it` : `rule ${verdict.ruleIndex} denies it`;
    return { ...writtenAt(verdict.provenance), reason, nearMiss: null };
  }
  if (verdict.isAllowed) {
    const reason = authorizer.isOpen ? "no AuthorizationPolicy selects the workload" : "no DENY rule matches, and there is no ALLOW policy";
    return { ...writtenAt(null), reason, nearMiss: null };
  }
  const miss = nearestMiss(authorizer, facts);
  if (miss === null) {
    const what = facts.request === null ? "could match a TCP connection" : "there is to match";
    return { ...writtenAt(null), reason: `there are ALLOW policies, and no rule of theirs ${what}`, nearMiss: null };
  }
  const failed = miss.failed.map(({ condition, wanted, got }) => ({ condition, wanted: wanted.values, unwanted: wanted.notValues, got }));
  const reason = `no ALLOW rule matches; the nearest is rule ${miss.provenance.rule} of ${placeOf(miss.provenance)}: ${miss.failed.map(describeFailure).join("; ")}`;
  return { ...writtenAt(miss.provenance), reason, nearMiss: { ...writtenAt(miss.provenance), failed } };
}

/** `AuthorizationPolicy ns/name (file:line)`. */
export function placeOf({ resource, file, line }: Provenance): string {
  return `${resource} (${file}:${line})`;
}

function describeFailure({ condition, wanted, got }: FailedCondition): string {
  const has = got === null ? "there is none" : `it is ${JSON.stringify(got)}`;
  return `${condition} must be ${describeWanted(wanted)}, and ${has}`;
}

function describeWanted({ values, notValues }: AnyOf<string>): string {
  const positive = values.length === 0 ? null : alternatives(values);
  const negative = notValues.length === 0 ? null : `not ${alternatives(notValues)}`;
  return [positive, negative].filter((part) => part !== null).join(" and ");
}

function alternatives(values: readonly string[]): string {
  const quoted = values.map((value) => JSON.stringify(value));
  const shown = quoted.slice(0, 4);
  if (quoted.length > shown.length) shown.push(`${quoted.length - shown.length} others`);
  return shown.join(" or ");
}
