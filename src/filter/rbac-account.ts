import type { AnyOf } from "../config/snapshot-security.ts";
import type { Provenance } from "../config/snapshot.ts";
import type { Authorizer } from "./rbac.ts";
import type { AuthorizationFacts } from "./rbac-facts.ts";
import { type FailedCondition, nearestMiss, type NearMiss } from "./rbac-near-miss.ts";
import { type Clause, compileRule, holdsAll, toTcpRule } from "./rbac-rule.ts";
import type { AuthorizationVerdict } from "./rbac-verdict.ts";

/** A verdict in words. */
export interface AuthorizationAccount {
  /** The rule that decided, or that came closest to allowing; null where there is none. */
  readonly provenance: Provenance | null;
  readonly reason: string;
  /** Of a denial that no rule made. */
  readonly nearMiss: NearMiss | null;
}

/** What DENY and ALLOW policies say of a request, with the rule that made the verdict or came closest. Not for the hot path. */
export function accountOfCheck(authorizer: Authorizer, facts: AuthorizationFacts): AuthorizationAccount {
  const verdict = authorizer.check(facts);
  const account = plainAccount(authorizer, facts, verdict);
  const dryRun = authorizer.dryRun(facts, verdict);
  if (dryRun === null || dryRun.verdict.isAllowed === verdict.isAllowed) return account;
  const { isAllowed, policy, provenance } = dryRun.verdict;
  const by = policy === null || provenance === null ? `${placeOf(dryRun.policy.provenance)}, none of whose rules matches` : placeOf(provenance);
  return { ...account, reason: `${account.reason}; it would be ${isAllowed ? "allowed" : "denied"} if what is in dry run were in force, by ${by}` };
}

/** The same of CUSTOM policies: who is asked about it, by which rule; null when nobody is. */
export function accountOfCustom(authorizer: Authorizer, facts: AuthorizationFacts): AuthorizationAccount | null {
  const custom = authorizer.custom(facts);
  if (custom === null) return null;
  const reason = `rule ${custom.ruleIndex} leaves it to provider ${JSON.stringify(custom.provider ?? "")}, having matched ${whatMatched(custom, facts, true)}`;
  return { provenance: custom.provenance, reason, nearMiss: null };
}

function plainAccount(authorizer: Authorizer, facts: AuthorizationFacts, verdict: AuthorizationVerdict): AuthorizationAccount {
  if (verdict.provenance !== null) {
    const reason = `rule ${verdict.ruleIndex} ${verdict.isAllowed ? "allows" : "denies"} ${whatMatched(verdict, facts, !verdict.isAllowed)}`;
    return { provenance: verdict.provenance, reason, nearMiss: null };
  }
  if (verdict.isAllowed) {
    const reason = authorizer.isOpen ? "no AuthorizationPolicy selects the workload" : "no DENY rule matches, and there is no ALLOW policy";
    return { provenance: null, reason, nearMiss: null };
  }
  const miss = nearestMiss(authorizer, facts);
  if (miss === null) {
    const what = facts.request === null ? "could match a TCP connection" : "there is to match";
    return { provenance: authorizer.firstAllowPolicy?.provenance ?? null, reason: `there are ALLOW policies, and no rule of theirs ${what}`, nearMiss: null };
  }
  const reason = `no ALLOW rule matches; the nearest is rule ${miss.provenance.rule} of ${placeOf(miss.provenance)}: ${miss.failed.map(describeFailure).join("; ")}`;
  return { provenance: miss.provenance, reason, nearMiss: miss };
}

/** What of the request met the rule that decided: `it: to.operation.paths is "/admin"`; `everything` for a rule without conditions. */
function whatMatched({ policy, ruleIndex }: AuthorizationVerdict, facts: AuthorizationFacts, isDeny: boolean): string {
  if (policy === null || ruleIndex === null) return "it";
  const written = compileRule(policy, ruleIndex, isDeny);
  const rule = facts.request === null ? toTcpRule(written, isDeny) : written;
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
function placeOf({ resource, file, line }: Provenance): string {
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
  const shown = values.slice(0, 4).map((value) => JSON.stringify(value));
  if (values.length > shown.length) shown.push(`${values.length - shown.length} others`);
  return shown.join(" or ");
}
