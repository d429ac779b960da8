import type { Path } from "../resource.ts";
import { checkOneTarget } from "./policy-target.ts";
import type { Report } from "./report.ts";
import type { TelemetrySpec } from "./telemetry.ts";

/** Istio takes the first provider of an entry for tracing, and tells nobody of the others (`spec/06` 6.8). */
function checkTracing(entry: TelemetrySpec["tracing"][number], path: Path, report: Report): void {
  if (entry.providers.length > 1) report.warn([...path, "providers", 1], "is not used: tracing takes the first provider only");
  for (const [name, tag] of Object.entries(entry.customTags ?? {})) {
    const at = [...path, "customTags", name];
    const kinds = Object.values(tag).filter((value) => value !== undefined);
    if (name === "") report.error(at, "the name of a tag must not be empty");
    if (kinds.length !== 1) report.error(at, "needs exactly one of literal, environment, header and formatter");
  }
}

function checkMetrics(entry: TelemetrySpec["metrics"][number], path: Path, report: Report): void {
  entry.overrides.forEach((override, index) => {
    const at = [...path, "overrides", index];
    const { metric, customMetric } = override.match;
    if (metric !== undefined && customMetric !== undefined) report.error([...at, "match"], "set only one of metric and customMetric");
    for (const [name, { operation, value }] of Object.entries(override.tagOverrides ?? {})) {
      const tag = [...at, "tagOverrides", name];
      if (operation === "UPSERT" && !value) report.error([...tag, "value"], "is required with operation UPSERT");
      if (operation === "REMOVE" && value !== undefined) report.error([...tag, "value"], "must not be set with operation REMOVE");
    }
  });
}

/** The rules over several fields of a Telemetry (the validation rules of Istio's CRD). */
export function checkTelemetry(spec: TelemetrySpec, report: Report): void {
  checkOneTarget(spec, report);
  spec.tracing.forEach((entry, index) => checkTracing(entry, ["tracing", index], report));
  spec.metrics.forEach((entry, index) => checkMetrics(entry, ["metrics", index], report));
}
