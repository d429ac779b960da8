/** What AuthorizationPolicies have to say of a stream beyond that it passed, for the access log. */
export class AuthorizationNote {
  /** `namespace/name` of the policy that denied; null where it passed, or no ALLOW rule matched. */
  policy: string | null = null;
  /** Index of the rule in that policy. */
  rule: number | null = null;
  /** Under which the denial can be asked about; null: it passed. */
  recordId: string | null = null;
  /** The AUDIT policy that marks it. */
  audit: string | null = null;
  /** The policy in dry run by which it would have been denied. */
  dryRun: string | null = null;
}
