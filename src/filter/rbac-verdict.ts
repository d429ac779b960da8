import type { PolicySpec } from "../config/snapshot-security.ts";
import type { Provenance } from "../config/snapshot.ts";

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
  /** Whom a CUSTOM rule wants to have asked; absent for other rules. */
  readonly provider?: string;
}
