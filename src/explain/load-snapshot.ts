import { compile } from "../config/compile/compile.ts";
import type { NameTable } from "../config/compile/name-table.ts";
import type { WorkloadIdentity } from "../config/compile/workload-identity.ts";
import type { Problem } from "../config/problem.ts";
import type { Snapshot } from "../config/snapshot.ts";
import { FolderSource } from "../config/source/folder-source.ts";
import { ConfigurationStore } from "../config/store/configuration-store.ts";
import { closedPolicies } from "../config/store/rejected-policies.ts";
import { systemClock } from "../core/clock.ts";
import { TimerWheel } from "../core/timer-wheel.ts";

/** A configuration as a proxy that started with it would obey it. */
export interface LoadedSnapshot {
  readonly snapshot: Snapshot;
  /** What host names stand for, for `Explainer`. */
  readonly names: NameTable | null;
  /** All that is wrong with it, in the order of files and lines. None of it keeps the rest from being obeyed. */
  readonly problems: readonly Problem[];
}

/**
 * Reads folders and files as `outrider proxy --config` does and compiles them for one workload.
 *
 * Never throws: a path that is not there is a problem too.
 */
export function loadSnapshot(paths: readonly string[], workload: WorkloadIdentity): LoadedSnapshot {
  const source = new FolderSource({ paths, clock: systemClock, timers: new TimerWheel(systemClock) });
  const update = new ConfigurationStore().update(source.read());
  const compiled = compile({
    resources: update.resources, workload, rejectedPolicies: closedPolicies(update, workload.namespace), version: 1, namesServices: true,
  });
  const problems = [...update.problems, ...compiled.problems]
    .toSorted((a, b) => (a.file < b.file ? -1 : a.file > b.file ? 1 : a.line - b.line || a.col - b.col));
  return { snapshot: compiled.snapshot, names: compiled.names, problems };
}
