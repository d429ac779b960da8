import type { OutlierDetection } from "../kinds/destination-rule.ts";
import type { OutlierSpec } from "../snapshot.ts";

/** When hosts are ejected (spec/04 4.4); fields that are not set have Envoy's defaults. */
export function compileOutlierDetection(spec: OutlierDetection): OutlierSpec {
  return {
    consecutive5xx: spec.consecutive5xxErrors ?? 5,
    consecutiveGatewayErrors: spec.consecutiveGatewayErrors ?? 0,
    intervalMs: spec.interval ?? 10_000,
    baseEjectionMs: spec.baseEjectionTime ?? 30_000,
    // Istio passes only a positive number on, so that 0 is the default too.
    maxEjectionPercent: positive(spec.maxEjectionPercent) ?? 10,
    minHealthPercent: spec.minHealthPercent ?? 0,
  };
}

function positive(value: number | undefined): number | undefined {
  return value === undefined || value <= 0 ? undefined : value;
}
