import type { AnyOf, Provenance } from "../config/snapshot.ts";
import type { Authorizer, AuthorizationVerdict } from "../filter/rbac.ts";
import type { AuthorizationFacts } from "../filter/rbac-facts.ts";
import { type FailedCondition, nearestMiss } from "../filter/rbac-near-miss.ts";
import { type Clause, compileRule, holdsAll, toTcpRule } from "../filter/rbac-rule.ts";
import { writtenAt } from "./written-at.ts";
import type { FilterAccount } from "./recorded-filter.ts";

/** The authorizer's verdict in words, with the rule that made it or came closest. */
export function accountOfVerdict(authorizer: Authorizer, facts: AuthorizationFacts): FilterAccount {
  const verdict = authorizer.check(facts);
  if (verdict.provenance !== null) {
    const reason = `rule ${verdict.ruleIndex} ${verdict.isAllowed ? "allows" : "denies"} ${whatMatched(verdict, facts)}`;
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

/** What of the request met the rule that decided: `it: to.operation.paths is "/admin"`; `everything` for a rule without conditions. */
function whatMatched({ policy, ruleIndex, isAllowed }: AuthorizationVerdict, facts: AuthorizationFacts): string {
  if (policy === null || ruleIndex === null) return "it";
  const written = compileRule(policy, ruleIndex, !isAllowed);
  const rule = facts.request === null ? toTcpRule(written, !isAllowed) : written;
  if (rule === null) return "it";
  const first = (clauses: readonly Clause[]): Clause => clauses.find((clause) => holdsAll(clause, facts)) ?? [];
  const conditions = [...first(rule.from), ...first(rule.to), ...rule.when];
  if (conditions.length === 0) return "everything";
  return `it: ${conditions.map((condition) => `${condition.name} is ${quoted(condition.valueIn(facts))}`).join("; ")}`;
}

function quoted(value: string | null): string {
  return value === null ? "absent" : JSON.stringify(value);
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
