/** What becomes of the questions to one external authorizer; the names are Envoy's (`spec/06` 6.3). */
export type ExternalAuthorizationOutcome = "ok" | "denied" | "error" | "failure_mode_allowed" | "disabled";

/** Counts of one external authorizer. */
export interface ExternalAuthorizationMetrics {
  /** `isRequest` false: what was asked about is an opaque connection. */
  counted(outcome: ExternalAuthorizationOutcome, isRequest: boolean): void;
}
