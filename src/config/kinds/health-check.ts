import * as v from "valibot";
import { duration } from "./duration.ts";
import { filledList, integer, object, oneOf, portNumber, text } from "./field.ts";

/** Probes are not a load test. */
const MIN_INTERVAL_MS = 100;

const threshold = integer(1, 100);
const status = v.pipe(v.union([v.number(), v.string()]), v.transform(String), v.regex(/^[1-5]\d\d(?:-[1-5]\d\d)?$/, "must be a status or a range such as 200-299"));

/** The annotation `outrider.io/health-check` of a DestinationRule, as it is written: a mapping in YAML or JSON. */
export const healthCheck = v.pipe(
  object({
    protocol: v.optional(oneOf("http", "tcp", "grpc"), "http"),
    path: v.optional(v.pipe(text, v.regex(/^\/[!-~]*$/, "must be a path that begins with /")), "/"),
    host: v.optional(v.pipe(text, v.regex(/^[!-~]+$/, "must be a host name"))),
    service: v.optional(v.pipe(text, v.regex(/^[!-~]*$/, "must be the name of a gRPC service"), v.maxLength(100)), ""),
    port: v.optional(portNumber),
    interval: v.optional(v.pipe(duration, v.minValue(MIN_INTERVAL_MS, "must be at least 100ms")), "10s"),
    timeout: v.optional(duration, "1s"),
    unhealthyThreshold: v.optional(threshold, 3),
    healthyThreshold: v.optional(threshold, 2),
    expectedStatuses: filledList(status),
  }),
  v.check(({ protocol, path }) => protocol === "http" || path === "/", "path is for the protocol http"),
  v.check(({ protocol, service }) => protocol === "grpc" || service === "", "service is for the protocol grpc"),
  v.check(({ protocol, expectedStatuses }) => protocol === "http" || expectedStatuses === undefined, "expectedStatuses is for the protocol http"),
);
export type HealthCheck = v.InferOutput<typeof healthCheck>;
