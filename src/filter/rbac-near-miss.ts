import type { Provenance } from "../config/snapshot.ts";
import type { AnyOf } from "../config/snapshot-security.ts";
import { ruleProvenance } from "./rbac.ts";
import type { Authorizer } from "./rbac.ts";
import type { Condition } from "./rbac-condition.ts";
import type { AuthorizationFacts } from "./rbac-facts.ts";
import type { Clause, Rule } from "./rbac-rule.ts";

/** A condition that did not hold. */
export interface FailedCondition {
  /** `from.source.principals`, `to.operation.paths`, `when[request.headers[x-role]]`. */
  readonly condition: string;
  readonly wanted: AnyOf<string>;
  /** Null: the request has no such value, for instance no peer identity on plaintext. */
  readonly got: string | null;
}

/** The ALLOW rule that came closest to letting a request pass. */
export interface NearMiss {
  readonly provenance: Provenance;
  /** `ns[..]-policy[..]-rule[..]`. */
  readonly id: string;
  /** All that kept it from matching; of several `from` or `to` entries, those of the closest. */
  readonly failed: readonly FailedCondition[];
}

/**
 * Answers "why was I denied" for a denial no rule made: the ALLOW rule with the fewest failing conditions, the first of
 * equals. Null when no ALLOW rule could apply at all. Walks all rules; not for the hot path.
 */
export function nearestMiss(authorizer: Authorizer, facts: AuthorizationFacts): NearMiss | null {
  let nearest: NearMiss | null = null;
  for (const rule of authorizer.allowRules(facts)) {
    const failed = failuresOf(rule, facts);
    if (nearest !== null && failed.length >= nearest.failed.length) continue;
    nearest = { provenance: ruleProvenance(rule), id: rule.id, failed };
  }
  return nearest;
}

function failuresOf(rule: Rule, facts: AuthorizationFacts): FailedCondition[] {
  const failed = [...closest(rule.from, facts), ...closest(rule.to, facts), ...failing(rule.when, facts)];
  return failed.map((condition) => ({ condition: condition.name, wanted: condition.wanted, got: condition.valueIn(facts) }));
}

/** The failing conditions of the clause that fails least. */
function closest(clauses: readonly Clause[], facts: AuthorizationFacts): Clause {
  const [first, ...rest] = clauses.map((clause) => failing(clause, facts));
  return rest.reduce((best, candidate) => (candidate.length < best.length ? candidate : best), first ?? []);
}

function failing(clause: Clause, facts: AuthorizationFacts): Condition[] {
  return clause.filter((condition) => !condition.holds(facts));
}
