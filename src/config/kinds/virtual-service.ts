import * as v from "valibot";
import { duration } from "./duration.ts";
import { filledList, filledText, flag, int32, integer, labels, list, mapOf, object, oneOf, percentage, portNumber, text } from "./field.ts";
import { destinationHost, matchHost } from "./host-name.ts";
import { addressOrCidr } from "./ip-block.ts";
import { regex, stringMatch, uriMatch } from "./string-match.ts";
import type { UnsupportedField } from "./unsupported-fields.ts";

/* `networking.istio.io VirtualService`, the structure alone; `virtual-service-check.ts` holds its meaning. */

export const destination = object({
  host: destinationHost,
  subset: v.optional(text),
  port: v.optional(object({ number: portNumber })),
});

const headerChanges = object({ set: mapOf(text), add: mapOf(text), remove: list(text) });
const headers = object({ request: v.optional(headerChanges), response: v.optional(headerChanges) });
const percent = object({ value: v.optional(percentage, 0) });

const httpMatch = object({
  name: v.optional(text),
  uri: v.optional(uriMatch),
  scheme: v.optional(stringMatch),
  method: v.optional(stringMatch),
  authority: v.optional(stringMatch),
  headers: mapOf(stringMatch),
  withoutHeaders: mapOf(stringMatch),
  queryParams: mapOf(stringMatch),
  ignoreUriCase: v.optional(flag, false),
  port: v.optional(portNumber),
  sourceLabels: v.optional(labels),
  sourceNamespace: v.optional(text),
  gateways: list(filledText),
  statPrefix: v.optional(text),
});

const httpRetry = object({
  attempts: v.optional(integer(0, 2_147_483_647), 0),
  perTryTimeout: v.optional(duration),
  retryOn: v.optional(text),
  retryRemoteLocalities: v.optional(flag),
  retryIgnorePreviousHosts: v.optional(flag),
  backoff: v.optional(duration),
});

const redirect = object({
  uri: v.optional(text),
  prefixRewrite: v.optional(text),
  authority: v.optional(text),
  scheme: v.optional(text),
  port: v.optional(portNumber),
  derivePort: v.optional(oneOf("FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT")),
  redirectCode: v.optional(integer(0, 4_294_967_295)),
});

const directResponse = object({
  status: integer(200, 600),
  body: v.optional(object({ string: v.optional(text), bytes: v.optional(text) })),
});

const rewrite = object({
  uri: v.optional(text),
  authority: v.optional(text),
  uriRegexRewrite: v.optional(object({ match: v.optional(regex), rewrite: v.optional(text) })),
});

const fault = object({
  delay: v.optional(object({
    fixedDelay: v.optional(duration),
    exponentialDelay: v.optional(duration),
    percent: v.optional(integer(0, 100)),
    percentage: v.optional(percent),
  })),
  abort: v.optional(object({
    httpStatus: v.optional(int32),
    grpcStatus: v.optional(text),
    http2Error: v.optional(text),
    percentage: v.optional(percent),
  })),
});

const corsPolicy = object({
  allowOrigin: list(text),
  allowOrigins: list(uriMatch),
  allowMethods: list(oneOf("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "*")),
  allowHeaders: list(text),
  exposeHeaders: list(text),
  maxAge: v.optional(duration),
  allowCredentials: v.optional(flag),
  unmatchedPreflights: v.optional(oneOf("UNSPECIFIED", "FORWARD", "IGNORE")),
});

const weight = v.optional(integer(0, 2_147_483_647), 0);

/** `mirror_percent` is the same field by an older name, which Istio's CRD has as well. */
const httpRule = v.pipe(object({
  name: v.optional(text),
  match: list(httpMatch),
  route: list(object({ destination, weight, headers: v.optional(headers) })),
  redirect: v.optional(redirect),
  directResponse: v.optional(directResponse),
  delegate: v.optional(object({ name: v.optional(text), namespace: v.optional(text) })),
  rewrite: v.optional(rewrite),
  timeout: v.optional(duration),
  retries: v.optional(httpRetry),
  fault: v.optional(fault),
  mirror: v.optional(destination),
  mirrorPercent: v.optional(integer(0, 100)),
  mirror_percent: v.optional(integer(0, 100)),
  mirrorPercentage: v.optional(percent),
  mirrors: list(object({ destination, percentage: v.optional(percent) })),
  corsPolicy: v.optional(corsPolicy),
  headers: v.optional(headers),
}), v.transform(({ mirror_percent: older, ...rule }) => ({ ...rule, mirrorPercent: rule.mirrorPercent ?? older })));

const weightedDestination = object({ destination, weight });

const tlsRule = object({
  match: v.pipe(v.array(object({
    sniHosts: v.pipe(v.array(matchHost), v.minLength(1, "must name at least one host")),
    destinationSubnets: list(addressOrCidr),
    port: v.optional(portNumber),
    sourceLabels: v.optional(labels),
    sourceNamespace: v.optional(text),
    gateways: list(filledText),
  })), v.minLength(1, "must have at least one match")),
  route: list(weightedDestination),
});

const tcpRule = object({
  match: list(object({
    destinationSubnets: list(addressOrCidr),
    port: v.optional(portNumber),
    sourceLabels: v.optional(labels),
    sourceNamespace: v.optional(text),
    gateways: list(filledText),
    sourceSubnet: v.optional(text),
  })),
  route: list(weightedDestination),
});

export const virtualService = object({
  hosts: list(matchHost),
  /** Undefined: `["mesh"]`. */
  gateways: filledList(filledText),
  http: list(httpRule),
  tls: list(tlsRule),
  tcp: list(tcpRule),
  /** Undefined: `["*"]`. */
  exportTo: filledList(filledText),
});

export type VirtualServiceSpec = v.InferOutput<typeof virtualService>;
export type HttpRule = VirtualServiceSpec["http"][number];
export type HttpMatch = HttpRule["match"][number];
export type TlsRule = VirtualServiceSpec["tls"][number];
export type TcpRule = VirtualServiceSpec["tcp"][number];
/** Where traffic goes; `weight` stands beside it in a route. */
export type Destination = v.InferOutput<typeof destination>;

/** Accepted, and not obeyed, as Istio does not. */
export const VIRTUAL_SERVICE_UNSUPPORTED: readonly UnsupportedField[] = [
  { path: "http[].fault.delay.exponentialDelay", consequence: "Istio ignores this field as well; write fixedDelay" },
  { path: "http[].fault.abort.http2Error", consequence: "Istio ignores this field as well; write httpStatus or grpcStatus" },
  { path: "tcp[].match[].sourceSubnet", consequence: "Istio ignores this field as well" },
];
