import type { PolicySpec } from "../config/snapshot-security.ts";
import type { AuthorizationFacts } from "./rbac-facts.ts";
import { compileRule, type Rule, toTcpRule } from "./rbac-rule.ts";
import { RuleTree } from "./rbac-tree.ts";
import type { AuthorizationVerdict } from "./rbac-verdict.ts";

/** The rules of one protocol, the tree that finds them, and what each decides. */
interface Rulings {
  readonly rules: readonly Rule[];
  readonly tree: RuleTree;
  readonly verdicts: readonly AuthorizationVerdict[];
}

/** The rules of all policies of one action, in the order of their policies, for HTTP and for opaque TCP. */
export class RuleSet {
  readonly #http: Rulings | null;
  readonly #tcp: Rulings | null;

  /**
   * @param isDeny what cannot be known of a request speaks against it.
   * @throws Error for a regex or address block that validation should have refused.
   */
  constructor(policies: readonly PolicySpec[], isDeny: boolean, decide: (rule: Rule) => AuthorizationVerdict) {
    const rules = policies.flatMap((policy) => policy.rules.map((_, index) => compileRule(policy, index, isDeny)));
    const tcp = rules.map((rule) => toTcpRule(rule, isDeny)).filter((rule) => rule !== null);
    this.#http = rulings(rules, decide);
    this.#tcp = rulings(tcp, decide);
  }

  /** The verdict of the first rule that matches; null when none does. */
  first(facts: AuthorizationFacts): AuthorizationVerdict | null {
    const rulingsOf = facts.request === null ? this.#tcp : this.#http;
    if (rulingsOf === null) return null;
    const found = rulingsOf.tree.first(facts);
    return found < 0 ? null : rulingsOf.verdicts[found] as AuthorizationVerdict;
  }

  /** The rules that are asked about `facts`. */
  rulesFor(facts: AuthorizationFacts): readonly Rule[] {
    return (facts.request === null ? this.#tcp : this.#http)?.rules ?? [];
  }
}

function rulings(rules: readonly Rule[], decide: (rule: Rule) => AuthorizationVerdict): Rulings | null {
  return rules.length === 0 ? null : { rules, tree: new RuleTree(rules), verdicts: rules.map(decide) };
}
