import * as v from "valibot";
import { duration } from "./duration.ts";
import { anyMapping, filledText, flag, list, mapOf, object, oneOf, portNumber, text, uint32 } from "./field.ts";

/* `extensionProviders` of the MeshConfig: services that Telemetry and AuthorizationPolicy ask by name. */

/** `[namespace/]host`, and a port. */
const service = { service: filledText, port: portNumber };
const tag = { maxTagLength: v.optional(uint32) };
const headers = list(object({ name: filledText, value: v.optional(text), envName: v.optional(text) }));

const requestBody = object({ maxRequestBytes: v.optional(uint32), allowPartialMessage: v.optional(flag, false), packAsBytes: v.optional(flag, false) });
const externalAuthorization = {
  ...service,
  timeout: v.optional(duration),
  failOpen: v.optional(flag, false),
  clearRouteCache: v.optional(flag, false),
  /** An HTTP status in decimal. */
  statusOnError: v.optional(text),
  includeRequestBodyInCheck: v.optional(requestBody),
};

const envoyExtAuthzHttp = object({
  ...externalAuthorization,
  pathPrefix: v.optional(text),
  includeHeadersInCheck: list(filledText),
  includeRequestHeadersInCheck: list(filledText),
  includeAdditionalHeadersInCheck: mapOf(text),
  headersToUpstreamOnAllow: list(filledText),
  headersToDownstreamOnDeny: list(filledText),
  headersToDownstreamOnAllow: list(filledText),
});

const zipkin = object({
  ...service, ...tag,
  enable64bitTraceId: v.optional(flag, false),
  path: v.optional(text),
  traceContextOption: v.optional(oneOf("USE_B3", "USE_B3_WITH_W3C_PROPAGATION")),
  timeout: v.optional(duration),
  headers,
});

const opentelemetry = object({
  ...service, ...tag,
  http: v.optional(object({ path: filledText, timeout: v.optional(duration), headers })),
  grpc: v.optional(object({ timeout: v.optional(duration), initialMetadata: headers })),
  resourceDetectors: v.optional(object({ environment: v.optional(object({})), dynatrace: v.optional(object({})) })),
  dynatraceSampler: v.optional(anyMapping),
  serviceAttributeEnrichment: v.optional(text),
});

const accessLogService = {
  ...service,
  logName: v.optional(text),
  filterStateObjectsToLog: list(filledText),
};

const PROVIDERS = {
  envoyExtAuthzHttp: v.optional(envoyExtAuthzHttp),
  envoyExtAuthzGrpc: v.optional(object(externalAuthorization)),
  zipkin: v.optional(zipkin),
  lightstep: v.optional(object({ ...service, ...tag, accessToken: v.optional(text) })),
  datadog: v.optional(object({ ...service, ...tag })),
  stackdriver: v.optional(anyMapping),
  opencensus: v.optional(anyMapping),
  skywalking: v.optional(object({ ...service, accessToken: v.optional(text) })),
  opentelemetry: v.optional(opentelemetry),
  prometheus: v.optional(object({})),
  envoyFileAccessLog: v.optional(object({
    path: v.optional(text, "/dev/stdout"),
    logFormat: v.optional(object({ text: v.optional(text), labels: v.optional(anyMapping) })),
    omitEmptyValues: v.optional(flag, false),
  })),
  envoyHttpAls: v.optional(object({
    ...accessLogService,
    additionalRequestHeadersToLog: list(filledText),
    additionalResponseHeadersToLog: list(filledText),
    additionalResponseTrailersToLog: list(filledText),
  })),
  envoyTcpAls: v.optional(object(accessLogService)),
  envoyOtelAls: v.optional(object({ ...service, logName: v.optional(text), logFormat: v.optional(object({ text: v.optional(text), labels: v.optional(anyMapping) })) })),
  sds: v.optional(object({ ...service, name: v.optional(text) })),
} as const;

/** A provider by its name, and exactly one of the ways to be one. */
export const extensionProvider = object({ name: filledText, ...PROVIDERS });
export type ExtensionProvider = v.InferOutput<typeof extensionProvider>;

/** The names of the ways to be a provider that the author set. */
export function providerKinds(provider: ExtensionProvider): string[] {
  return Object.keys(PROVIDERS).filter((kind) => provider[kind as keyof typeof PROVIDERS] !== undefined);
}
