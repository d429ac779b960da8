import type { PolicySpec } from "../config/snapshot-security.ts";
import type { ConnectionFacts } from "../message/connection-facts.ts";
import { AuthorizationFacts } from "./rbac-facts.ts";
import type { WorkloadPolicies } from "./rbac-policies.ts";
import type { AuthorizationVerdict } from "./rbac-verdict.ts";

/** Why an external authorizer, or that there was none to be had, ends an opaque connection. */
export interface ConnectionRefusal {
  /** Response code details, as for a request. */
  readonly details: string;
  /** For operators, in words. */
  readonly said: string;
}

/** Somebody outside who decides about opaque connections. */
export interface ConnectionAuthorizer {
  /** Asks; null: this one cannot be asked about connections. `concluded`: null for one that may go on. */
  checkConnection(connection: ConnectionFacts, concluded: (refusal: ConnectionRefusal | null) => void): { cancel(): void } | null;
}

/** What became of a connection that was asked about; `refusal` is null unless the authorizer is why it is denied. */
export type ConnectionJudged = (verdict: AuthorizationVerdict, refusal: ConnectionRefusal | null) => void;

/** A rule because of which an authorizer was asked, and who it was. */
interface Grant {
  readonly policy: PolicySpec | null;
  readonly ruleIndex: number | null;
  readonly authorizer: ConnectionAuthorizer;
}

interface Wait {
  cancel(): void;
}

/**
 * Who may have an opaque connection (`spec/05` 5.5): by the policies in force, and where a CUSTOM rule matches by the
 * authorizer it names, which is asked once. What it allowed stays allowed until the rule or the authorizer is another.
 */
export class ConnectionAuthorization {
  readonly #policies: WorkloadPolicies;
  readonly #authorizers: { find(provider: string): ConnectionAuthorizer | null };
  /** Of the connections that are open. */
  readonly #grants = new WeakMap<ConnectionFacts, Grant>();

  constructor(policies: WorkloadPolicies, authorizers: { find(provider: string): ConnectionAuthorizer | null }) {
    this.#policies = policies;
    this.#authorizers = authorizers;
  }

  /** Judges without asking anybody: what only an authorizer could allow, and has not, is denied. */
  judge(connection: ConnectionFacts): AuthorizationVerdict {
    const { authorizer } = this.#policies;
    const facts = new AuthorizationFacts(connection, null);
    const custom = authorizer.custom(facts);
    return custom === null || this.#isGranted(connection, custom) ? authorizer.check(facts) : custom;
  }

  /** Judges by DENY and ALLOW alone, whatever an authorizer would say. */
  judgeByRules(connection: ConnectionFacts): AuthorizationVerdict {
    return this.#policies.authorizer.check(new AuthorizationFacts(connection, null));
  }

  /**
   * Asks whoever has to be asked, and then judges by the policies of that time; null: nobody has to be, or nobody can be.
   * `judged` is told once, possibly within the call, and never after `cancel`.
   */
  ask(connection: ConnectionFacts, judged: ConnectionJudged): Wait | null {
    const custom = this.#toAsk(connection);
    const authorizer = custom === null ? null : this.#authorizers.find(custom.provider ?? "");
    if (custom === null || authorizer === null) return null;
    let next: Wait | null = null;
    const call = authorizer.checkConnection(connection, (refusal) => {
      if (refusal !== null) {
        judged(custom, refusal);
        return;
      }
      this.#grants.set(connection, { policy: custom.policy, ruleIndex: custom.ruleIndex, authorizer });
      // Policies may have come meanwhile that want somebody else asked.
      next = this.ask(connection, judged);
      if (next === null) judged(this.judge(connection), null);
    });
    return call === null ? null : { cancel: () => (next ?? call).cancel() };
  }

  /** The CUSTOM rule because of which somebody has to be asked; null: none does. */
  #toAsk(connection: ConnectionFacts): AuthorizationVerdict | null {
    const { authorizer } = this.#policies;
    if (!authorizer.hasCustom) return null;
    const custom = authorizer.custom(new AuthorizationFacts(connection, null));
    return custom === null || this.#isGranted(connection, custom) ? null : custom;
  }

  #isGranted(connection: ConnectionFacts, { policy, ruleIndex, provider }: AuthorizationVerdict): boolean {
    const grant = this.#grants.get(connection);
    return grant !== undefined && grant.policy === policy && grant.ruleIndex === ruleIndex && grant.authorizer === this.#authorizers.find(provider ?? "");
  }
}
