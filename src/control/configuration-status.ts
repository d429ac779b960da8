import type { DatedReport } from "../config/store/object-history.ts";
import type { ObjectReport, ObjectState } from "../config/store/object-report.ts";
import type { SavedStatus } from "./saved-configuration.ts";

/** What became of the configuration, for `/config/status`; docs/configuration.md describes it field by field. */
export interface ConfigurationStatus {
  /** Number of the snapshot that the data threads obey; 0 before the first. */
  readonly generation: number;
  /** Since when they do; null before the first. */
  readonly ageSeconds: number | null;
  /** When the folder was last read, and whether that had no error. */
  readonly lastAttempt: { readonly at: string; readonly succeeded: boolean } | null;
  readonly lastSuccessAt: string | null;
  readonly counts: Readonly<Partial<Record<ObjectState, number>>>;
  /** Null without `--state`. */
  readonly saved: SavedStatus | null;
  readonly objects: readonly StatusObject[];
  /** As `outrider check` prints them. */
  readonly problems: readonly string[];
  /** Sockets the configuration asks for and did not get. */
  readonly listenerProblems: readonly string[];
}

/** One object of the page. */
export interface StatusObject extends ObjectReport {
  readonly generation: number;
  /** ISO 8601. */
  readonly since: string;
}

/** A report as the page shows it. */
export function statusObject({ sinceMs, ...report }: DatedReport): StatusObject {
  return { ...report, since: new Date(sinceMs).toISOString() };
}
