import type { Finding } from "./finding.ts";
import type { LintModel } from "./lint-model.ts";

/** Faults without a percentage are injected into no request at all (spec/03 3.8), which looks like a fault that is not felt. */
export function faultsThatNeverFire(model: LintModel): Finding[] {
  const findings: Finding[] = [];
  for (const resource of model.virtualServices) {
    resource.spec.http.forEach(({ fault }, index) => {
      for (const kind of ["delay", "abort"] as const) {
        const part = fault?.[kind];
        if (part === undefined || part.percentage !== undefined || ("percent" in part && part.percent !== undefined)) continue;
        findings.push({
          lint: "fault-never-fires", resource, path: ["spec", "http", index, "fault", kind],
          message: "happens to no request: without percentage it is 0 %; write percentage: {value: 100}, or the share that is meant",
        });
      }
    });
  }
  return findings;
}
