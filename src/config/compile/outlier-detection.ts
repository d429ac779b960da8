import type { OutlierDetection } from "../kinds/destination-rule.ts";
import type { OutlierSpec } from "../snapshot.ts";
import type { DestinationRule } from "./destination-rule-index.ts";
import type { ProblemList } from "./problem-list.ts";

/** A DestinationRule with this annotation has ejected hosts come back by one request that is let through. */
const ANNOTATION = "outrider.io/outlier-readmission";
/** Envoy's default. */
const LOCAL_ORIGIN_FAILURES = 5;

/** When hosts are ejected (spec/04 4.4); fields that are not set have Envoy's defaults. `rule`: the DestinationRule in force. */
export function compileOutlierDetection(spec: OutlierDetection, rule: DestinationRule | null, problems: ProblemList): OutlierSpec {
  const errorStatuses = spec.outlierDetectionHttpErrorCodes;
  return {
    consecutive5xx: spec.consecutive5xxErrors ?? 5,
    consecutiveGatewayErrors: spec.consecutiveGatewayErrors ?? 0,
    intervalMs: spec.interval ?? 10_000,
    baseEjectionMs: spec.baseEjectionTime ?? 30_000,
    // Istio passes only a positive number on, so that 0 is the default too.
    maxEjectionPercent: positive(spec.maxEjectionPercent) ?? 10,
    minHealthPercent: spec.minHealthPercent ?? 0,
    ...(spec.splitExternalLocalOriginErrors === true ? { consecutiveLocalOriginFailures: positive(spec.consecutiveLocalOriginFailures) ?? LOCAL_ORIGIN_FAILURES } : {}),
    ...(errorStatuses.length > 0 ? { errorStatuses } : {}),
    ...(wantsProbe(rule, problems) ? { readmitsByProbe: true } : {}),
  };
}

function wantsProbe(rule: DestinationRule | null, problems: ProblemList): boolean {
  const value = rule?.metadata.annotations[ANNOTATION];
  if (rule === null || value === undefined || value === "probe") return value !== undefined;
  problems.warning(rule, ["metadata", "annotations", ANNOTATION], `${JSON.stringify(value)} is not "probe", the only value there is; it has no effect`);
  return false;
}

function positive(value: number | undefined): number | undefined {
  return value === undefined || value <= 0 ? undefined : value;
}
