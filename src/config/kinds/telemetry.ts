import * as v from "valibot";
import { duration } from "./duration.ts";
import { filledText, flag, list, mapOf, object, oneOf, percentage, text } from "./field.ts";
import { policyTarget } from "./policy-target.ts";
import type { UnsupportedField } from "./unsupported-fields.ts";

/* `telemetry.istio.io Telemetry` (`spec/06` 6.8), the structure alone; `telemetry-check.ts` holds its meaning. */

const mode = v.optional(oneOf("CLIENT_AND_SERVER", "CLIENT", "SERVER"), "CLIENT_AND_SERVER");
const providers = list(object({ name: filledText }));

const customTag = object({
  literal: v.optional(object({ value: filledText })),
  environment: v.optional(object({ name: filledText, defaultValue: v.optional(text) })),
  header: v.optional(object({ name: filledText, defaultValue: v.optional(text) })),
  formatter: v.optional(object({ value: filledText })),
});

const tracing = object({
  match: v.optional(object({ mode }), {}),
  providers,
  /** 0 to 100; undefined: inherited. */
  randomSamplingPercentage: v.optional(percentage),
  disableSpanReporting: v.optional(flag),
  customTags: mapOf(customTag),
  useRequestIdForTraceSampling: v.optional(flag),
  enableIstioTags: v.optional(flag),
  disableContextPropagation: v.optional(flag),
});

const metricsOverride = object({
  match: v.optional(object({
    metric: v.optional(oneOf(
      "ALL_METRICS", "REQUEST_COUNT", "REQUEST_DURATION", "REQUEST_SIZE", "RESPONSE_SIZE", "TCP_OPENED_CONNECTIONS", "TCP_CLOSED_CONNECTIONS",
      "TCP_SENT_BYTES", "TCP_RECEIVED_BYTES", "GRPC_REQUEST_MESSAGES", "GRPC_RESPONSE_MESSAGES",
    )),
    customMetric: v.optional(filledText),
    mode,
  }), {}),
  disabled: v.optional(flag),
  /** Label name to what becomes of it; `value` is a CEL expression. */
  tagOverrides: mapOf(object({ operation: v.optional(oneOf("UPSERT", "REMOVE"), "UPSERT"), value: v.optional(text) })),
});

const metrics = object({
  providers,
  overrides: list(metricsOverride),
  /** How often TCP metrics are brought up to date. */
  reportingInterval: v.optional(duration),
});

const accessLogging = object({
  match: v.optional(object({ mode }), {}),
  providers,
  disabled: v.optional(flag),
  /** A CEL expression, as written; undefined or empty: everything is logged. */
  filter: v.optional(object({ expression: v.optional(text, "") })),
});

export const telemetry = object({ ...policyTarget, tracing: list(tracing), metrics: list(metrics), accessLogging: list(accessLogging) });

export type TelemetrySpec = v.InferOutput<typeof telemetry>;

/** Accepted, and not obeyed. */
export const TELEMETRY_UNSUPPORTED: readonly UnsupportedField[] = [
  { path: "tracing", consequence: "no spans are reported, and trace headers pass as they came" },
  { path: "metrics", consequence: "metrics keep their defaults: all of them are reported, with their usual labels" },
  { path: "accessLogging[].filter", consequence: "all requests are in the access log" },
  { path: "targetRef", consequence: "it is for a gateway or waypoint; a sidecar does not use it" },
  { path: "targetRefs", consequence: "it is for a gateway or waypoint; a sidecar does not use it" },
];
