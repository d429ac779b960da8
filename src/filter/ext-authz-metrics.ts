/** What becomes of the questions to one external authorizer; the names are Envoy's (`spec/06` 6.3). */
export type ExternalAuthorizationOutcome = "ok" | "denied" | "error" | "failure_mode_allowed" | "disabled";

/** Counts of one external authorizer. */
export interface ExternalAuthorizationMetrics {
  counted(outcome: ExternalAuthorizationOutcome): void;
}
