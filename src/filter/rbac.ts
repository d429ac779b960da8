import type { AuthorizationSpec, PolicySpec, Provenance } from "../config/snapshot.ts";
import type { AuthorizationFacts } from "./rbac-facts.ts";
import { compileRule, toTcpRule } from "./rbac-rule.ts";
import type { Rule } from "./rbac-rule.ts";

/** What was decided and by which rule. Made once per rule, not per request. */
export interface AuthorizationVerdict {
  readonly isAllowed: boolean;
  /** `ns[..]-policy[..]-rule[..]` of the rule that decided, else `none`: what `%RESPONSE_CODE_DETAILS%` shows in brackets. */
  readonly id: string;
  /** Null when no rule decided: there is no ALLOW policy, or none of their rules matched. */
  readonly policy: PolicySpec | null;
  readonly ruleIndex: number | null;
  /** The deciding rule's place in the user's files. */
  readonly provenance: Provenance | null;
}

const NO_ALLOW_POLICY: AuthorizationVerdict = { isAllowed: true, id: "none", policy: null, ruleIndex: null, provenance: null };
const NO_RULE_MATCHED: AuthorizationVerdict = { ...NO_ALLOW_POLICY, isAllowed: false };

interface Ruling {
  readonly rule: Rule;
  readonly verdict: AuthorizationVerdict;
}

/** The rules of one protocol, in the order of their policies. */
interface Rulings {
  readonly deny: readonly Ruling[];
  readonly allow: readonly Ruling[];
}

/**
 * The AuthorizationPolicies of a workload, compiled once per snapshot (`spec/05` 5.5). A matching DENY rule denies; without any
 * ALLOW policy the rest is allowed; otherwise a matching ALLOW rule allows. HTTP and TCP are judged by the same code.
 */
export class Authorizer {
  /** True when no policy selects the workload, so that nobody need gather facts. */
  readonly isOpen: boolean;
  readonly #http: Rulings;
  readonly #tcp: Rulings;
  readonly #hasAllowPolicy: boolean;

  /** @throws Error for a regex or address block that validation should have refused. */
  constructor(spec: AuthorizationSpec) {
    this.isOpen = spec.deny.length === 0 && spec.allow.length === 0;
    this.#hasAllowPolicy = spec.allow.length > 0;
    const deny = spec.deny.flatMap((policy) => policy.rules.map((_, index) => compileRule(policy, index, true)));
    const allow = spec.allow.flatMap((policy) => policy.rules.map((_, index) => compileRule(policy, index, false)));
    const forTcp = (rules: readonly Rule[], isDeny: boolean) => rules.map((rule) => toTcpRule(rule, isDeny)).filter((rule) => rule !== null);
    this.#http = { deny: deny.map((rule) => toRuling(rule, false)), allow: allow.map((rule) => toRuling(rule, true)) };
    this.#tcp = {
      deny: forTcp(deny, true).map((rule) => toRuling(rule, false)),
      allow: forTcp(allow, false).map((rule) => toRuling(rule, true)),
    };
  }

  /** Judges a request, or an opaque connection when `facts.request` is null. */
  check(facts: AuthorizationFacts): AuthorizationVerdict {
    const { deny, allow } = facts.request === null ? this.#tcp : this.#http;
    const denied = firstMatch(deny, facts);
    if (denied !== null) return denied;
    if (!this.#hasAllowPolicy) return NO_ALLOW_POLICY;
    return firstMatch(allow, facts) ?? NO_RULE_MATCHED;
  }

  /** The ALLOW rules that were considered for `facts`, for whoever explains a denial. */
  allowRules(facts: AuthorizationFacts): readonly Rule[] {
    return (facts.request === null ? this.#tcp : this.#http).allow.map(({ rule }) => rule);
  }
}

function firstMatch(rulings: readonly Ruling[], facts: AuthorizationFacts): AuthorizationVerdict | null {
  for (let index = 0; index < rulings.length; index++) {
    const { rule, verdict } = rulings[index] as Ruling;
    if (rule.matches(facts)) return verdict;
  }
  return null;
}

function toRuling(rule: Rule, isAllowed: boolean): Ruling {
  const { policy, index } = rule;
  const id = `ns[${policy.namespace}]-policy[${policy.name}]-rule[${index}]`;
  return { rule, verdict: { isAllowed, id, policy, ruleIndex: index, provenance: ruleProvenance(rule) } };
}

/** Where a rule was written. */
export function ruleProvenance({ policy, index }: Rule): Provenance {
  return { ...policy.provenance, rule: index, line: policy.rules[index]?.line ?? policy.provenance.line };
}
