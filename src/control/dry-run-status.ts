import type { DryRunReport } from "../filter/rbac-dry-runs.ts";

/** What one policy in dry run would have done, over all data threads, as `/config/status` shows it. */
export interface DryRunStatus extends Omit<DryRunReport, "lastDenied"> {
  /** `at`: ISO 8601. */
  readonly lastDenied: { readonly at: string; readonly peer: string | null; readonly port: number; readonly request: string | null } | null;
}

/** The reports of all data threads as one list: counts are summed, of the last denials the newest shows. */
export function dryRunStatuses(threads: readonly (readonly DryRunReport[])[]): DryRunStatus[] {
  const byPolicy = new Map<string, DryRunReport>();
  for (const report of threads.flat()) {
    const known = byPolicy.get(report.policy);
    byPolicy.set(report.policy, known === undefined ? report : sum(known, report));
  }
  return [...byPolicy.values()].map(({ lastDenied, ...report }) => ({ ...report, lastDenied: lastDenied === null ? null : dated(lastDenied) }));
}

function sum(a: DryRunReport, b: DryRunReport): DryRunReport {
  const last = a.lastDenied === null || (b.lastDenied !== null && b.lastDenied.atMs > a.lastDenied.atMs) ? b.lastDenied : a.lastDenied;
  return { ...a, wouldDeny: a.wouldDeny + b.wouldDeny, wouldAllow: a.wouldAllow + b.wouldAllow, lastDenied: last };
}

function dated({ atMs, peer, port, request }: NonNullable<DryRunReport["lastDenied"]>): DryRunStatus["lastDenied"] {
  return { at: new Date(atMs).toISOString(), peer, port, request };
}
