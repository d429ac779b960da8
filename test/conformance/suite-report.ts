/** What became of one case of a foreign suite. */
export interface CaseResult {
  /** As the suite calls it. */
  readonly id: string;
  /** `excluded`: it failed, or could not run, for a reason that is given. */
  readonly outcome: "passed" | "failed" | "excluded" | "skipped";
  /** What was seen, or why it is excluded; empty when it passed. */
  readonly detail: string;
}

/** One run of a suite against one thing. */
export interface SuiteReport {
  readonly suite: string;
  readonly version: string;
  /** What was tried, in words. */
  readonly against: string;
  readonly results: readonly CaseResult[];
}

/** The cases that went wrong without a reason being known, as lines. */
export function failuresOf(report: SuiteReport): string[] {
  return report.results.filter(({ outcome }) => outcome === "failed").map(({ id, detail }) => `${id}: ${detail}`);
}

export function countOf(report: SuiteReport, outcome: CaseResult["outcome"]): number {
  return report.results.filter((result) => result.outcome === outcome).length;
}
