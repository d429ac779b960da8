import * as v from "valibot";
import { anyMapping, list, object } from "./field.ts";
import { policyTarget } from "./policy-target.ts";

/** `telemetry.istio.io Telemetry`; the entries of its three lists are not read yet. */
export const telemetry = object({
  ...policyTarget,
  tracing: list(anyMapping),
  metrics: list(anyMapping),
  accessLogging: list(anyMapping),
});

export type TelemetrySpec = v.InferOutput<typeof telemetry>;
