import type { AuthorizationSpec, CustomPolicySpec, PolicySpec } from "../config/snapshot-security.ts";
import type { Provenance } from "../config/snapshot.ts";
import type { AuthorizationFacts } from "./rbac-facts.ts";
import type { Rule } from "./rbac-rule.ts";
import { RuleSet } from "./rbac-rule-set.ts";
import type { AuthorizationVerdict } from "./rbac-verdict.ts";

/** Behind the id of a CUSTOM rule, where it denies because its provider cannot be asked: Istio's words. */
export const NOBODY_TO_ASK = "-deny-due-to-bad-CUSTOM-action";

/** What policies in dry run would have made of a request: the rule that would have decided, and how. */
export interface DryRunVerdict {
  /** Of the policy whose removal would change the outcome, or of the first whose rules did not match. */
  readonly policy: PolicySpec;
  /** The verdict if the policies in dry run were in force beside the others. */
  readonly verdict: AuthorizationVerdict;
}

const NO_ALLOW_POLICY: AuthorizationVerdict = { isAllowed: true, id: "none", policy: null, ruleIndex: null, provenance: null };
const NO_RULE_MATCHED: AuthorizationVerdict = { ...NO_ALLOW_POLICY, isAllowed: false };

/**
 * The AuthorizationPolicies of a workload, compiled once per snapshot (`spec/05` 5.5). A matching DENY rule denies; without any
 * ALLOW policy the rest is allowed; otherwise a matching ALLOW rule allows. HTTP and TCP are judged by the same code.
 * CUSTOM rules come before all of them and are for whoever can ask: see `custom`.
 */
export class Authorizer {
  /** True when no policy selects the workload, so that nobody need gather facts. */
  readonly isOpen: boolean;
  /** True when there is somebody to ask about some requests. */
  readonly hasCustom: boolean;
  /** True when some policies only look on: AUDIT, and those in dry run. */
  readonly hasOnlookers: boolean;
  /** The first that makes what no ALLOW rule matches denied; null: there is no ALLOW policy. */
  readonly firstAllowPolicy: PolicySpec | null;
  readonly #custom: RuleSet;
  readonly #deny: RuleSet;
  readonly #allow: RuleSet;
  readonly #audit: RuleSet;
  readonly #dryRunDeny: RuleSet;
  readonly #dryRunAllow: RuleSet;
  readonly #firstDryRunAllow: PolicySpec | null;

  /** @throws Error for a regex or address block that validation should have refused. */
  constructor({ custom = [], deny, allow, audit = [], dryRun = { deny: [], allow: [] } }: AuthorizationSpec) {
    this.hasCustom = custom.length > 0;
    this.hasOnlookers = audit.length + dryRun.deny.length + dryRun.allow.length > 0;
    this.isOpen = !this.hasCustom && !this.hasOnlookers && deny.length === 0 && allow.length === 0;
    this.firstAllowPolicy = allow[0] ?? null;
    this.#firstDryRunAllow = dryRun.allow[0] ?? null;
    this.#custom = new RuleSet(custom, true, customVerdict);
    this.#deny = new RuleSet(deny, true, (rule) => verdictOf(rule, false));
    this.#allow = new RuleSet(allow, false, (rule) => verdictOf(rule, true));
    this.#audit = new RuleSet(audit, true, (rule) => verdictOf(rule, true));
    this.#dryRunDeny = new RuleSet(dryRun.deny, true, (rule) => verdictOf(rule, false));
    this.#dryRunAllow = new RuleSet(dryRun.allow, false, (rule) => verdictOf(rule, true));
  }

  /**
   * The CUSTOM rule that wants somebody asked about a request or connection; null when none does. Its verdict, a denial
   * with Istio's id, is for when nobody can be.
   */
  custom(facts: AuthorizationFacts): AuthorizationVerdict | null {
    return this.hasCustom ? this.#custom.first(facts) : null;
  }

  /** Judges a request, or an opaque connection when `facts.request` is null, by DENY and ALLOW policies. */
  check(facts: AuthorizationFacts): AuthorizationVerdict {
    const denied = this.#deny.first(facts);
    if (denied !== null) return denied;
    if (this.firstAllowPolicy === null) return NO_ALLOW_POLICY;
    return this.#allow.first(facts) ?? NO_RULE_MATCHED;
  }

  /** The AUDIT rule that a request matches, or null. */
  audited(facts: AuthorizationFacts): AuthorizationVerdict | null {
    return this.#audit.first(facts);
  }

  /**
   * What the policies in dry run would have made of a request that the others, in force, judged as `enforced`. Null when
   * there are none, or when the request is denied with and without them.
   */
  dryRun(facts: AuthorizationFacts, enforced: AuthorizationVerdict): DryRunVerdict | null {
    // What a DENY rule in force denies, nothing allows.
    if (!this.hasOnlookers || (!enforced.isAllowed && enforced.policy !== null)) return null;
    const denied = this.#dryRunDeny.first(facts);
    if (denied !== null) return enforced.isAllowed ? { policy: denied.policy as PolicySpec, verdict: denied } : null;
    const firstAllow = this.#firstDryRunAllow;
    if (firstAllow === null) return null;
    const allowed = this.#dryRunAllow.first(facts);
    if (allowed !== null) return { policy: allowed.policy as PolicySpec, verdict: allowed };
    if (!enforced.isAllowed) return null;
    // Allowed by a rule, it stays so; allowed because there was no ALLOW policy, it is not.
    return { policy: firstAllow, verdict: enforced.policy === null ? NO_RULE_MATCHED : enforced };
  }

  /** The ALLOW rules that were considered for `facts`, for whoever explains a denial. */
  allowRules(facts: AuthorizationFacts): readonly Rule[] {
    return this.#allow.rulesFor(facts);
  }
}

function verdictOf(rule: Rule, isAllowed: boolean): AuthorizationVerdict {
  return { isAllowed, id: rule.id, policy: rule.policy, ruleIndex: rule.index, provenance: ruleProvenance(rule) };
}

function customVerdict(rule: Rule): AuthorizationVerdict {
  const { provider } = rule.policy as CustomPolicySpec;
  return { ...verdictOf(rule, false), id: `${rule.id}${NOBODY_TO_ASK}`, provider };
}

/** Where a rule was written. */
export function ruleProvenance({ policy, index }: Rule): Provenance {
  return { ...policy.provenance, rule: index, line: policy.rules[index]?.line ?? policy.provenance.line };
}
