import type { PolicyRuleSpec, PolicySpec } from "../config/snapshot-security.ts";
import { compileOperation, compileSource, compileWhen } from "./rbac-compile.ts";
import type { Condition } from "./rbac-condition.ts";
import type { AuthorizationFacts } from "./rbac-facts.ts";

/** Conditions that must hold together: one `source`, one `operation`, or all of `when`. None is no condition. */
export type Clause = readonly Condition[];

/** A rule made ready: (any clause of `from`) and (any of `to`) and `when`; an empty list holds. */
export class Rule {
  readonly policy: PolicySpec;
  /** Index in the policy. */
  readonly index: number;
  readonly from: readonly Clause[];
  readonly to: readonly Clause[];
  readonly when: Clause;

  constructor(policy: PolicySpec, index: number, from: readonly Clause[], to: readonly Clause[], when: Clause) {
    this.policy = policy;
    this.index = index;
    this.from = from;
    this.to = to;
    this.when = when;
  }

  /** `ns[NAMESPACE]-policy[NAME]-rule[INDEX]`, as response code details name it. */
  get id(): string {
    return `ns[${this.policy.namespace}]-policy[${this.policy.name}]-rule[${this.index}]`;
  }

  matches(facts: AuthorizationFacts): boolean {
    return anyHolds(this.from, facts) && anyHolds(this.to, facts) && holdsAll(this.when, facts);
  }
}

/** Compiles a rule for HTTP requests. `isDeny`: its policy denies, which decides how repeated fields are read. */
export function compileRule(policy: PolicySpec, index: number, isDeny: boolean): Rule {
  const spec = policy.rules[index] as PolicyRuleSpec;
  return new Rule(
    policy,
    index,
    spec.from.map((source) => compileSource(source, isDeny)),
    spec.to.map((operation) => compileOperation(operation, isDeny)),
    spec.when.flatMap((condition) => compileWhen(condition, isDeny)),
  );
}

/**
 * The same rule for opaque TCP, where HTTP attributes cannot be known (`spec/05` 5.5, TCP rule): a rule that permits is
 * discarded if it uses any (null); one that denies loses those conditions and so denies more.
 */
export function toTcpRule(rule: Rule, isDeny: boolean): Rule | null {
  const withoutHttp = (clause: Clause) => clause.filter((condition) => !condition.attribute.needsHttp);
  const isTcpOnly = [...rule.from, ...rule.to, rule.when].every((clause) => clause.every((condition) => !condition.attribute.needsHttp));
  if (isTcpOnly) return rule;
  if (!isDeny) return null;
  return new Rule(rule.policy, rule.index, rule.from.map(withoutHttp), rule.to.map(withoutHttp), withoutHttp(rule.when));
}

/** Whether every condition of a clause holds. */
export function holdsAll(clause: Clause, facts: AuthorizationFacts): boolean {
  for (let index = 0; index < clause.length; index++) {
    if (!(clause[index] as Condition).holds(facts)) return false;
  }
  return true;
}

function anyHolds(clauses: readonly Clause[], facts: AuthorizationFacts): boolean {
  for (let index = 0; index < clauses.length; index++) {
    if (holdsAll(clauses[index] as Clause, facts)) return true;
  }
  return clauses.length === 0;
}
