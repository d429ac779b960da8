import type { EnvoyFilterSpec } from "./envoy-filter.ts";
import { readPatches } from "./local-rate-limits-of.ts";
import type { Report } from "./report.ts";

/** Every patch must be one that means something here (`spec/00` 0.6): a patch left out in silence is a check not in force. */
export function checkEnvoyFilter(spec: EnvoyFilterSpec, report: Report): void {
  if (spec.workloadSelector !== undefined && spec.targetRefs.length > 0) report.error([], "set only one of workloadSelector and targetRefs");
  for (const { path, message } of readPatches(spec).faults) report.error(path, message);
}
