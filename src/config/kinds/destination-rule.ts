import * as v from "valibot";
import { connectionPool } from "./connection-pool.ts";
import { duration, durationOrZero } from "./duration.ts";
import { filePath, filledList, filledText, flag, int32, integer, labels, list, object, oneOf, percentage, portNumber, text, uint32 } from "./field.ts";
import { serviceHost } from "./host-name.ts";
import type { UnsupportedField } from "./unsupported-fields.ts";

/* `networking.istio.io DestinationRule`, the structure alone; `destination-rule-check.ts` holds its meaning. */

const consistentHash = object({
  httpHeaderName: v.optional(text),
  httpCookie: v.optional(object({
    name: filledText,
    path: v.optional(text),
    ttl: v.optional(durationOrZero),
    attributes: list(object({ name: text, value: v.optional(text) })),
  })),
  useSourceIp: v.optional(flag),
  httpQueryParameterName: v.optional(text),
  ringHash: v.optional(object({ minimumRingSize: v.optional(integer(0, 8_388_608)) })),
  maglev: v.optional(object({ tableSize: v.optional(integer(0, 5_000_011)) })),
  minimumRingSize: v.optional(integer(0, 8_388_608)),
});

export const localityLbSetting = object({
  distribute: list(object({ from: v.optional(text), to: v.optional(v.record(v.string(), uint32)) })),
  failover: list(object({ from: v.optional(text), to: v.optional(text) })),
  failoverPriority: list(text),
  enabled: v.optional(flag),
});

export const zoneAwareLbSetting = object({
  enabled: v.optional(flag),
  failover: list(object({ from: v.optional(text), to: v.optional(text) })),
  failoverPriority: list(text),
  minClusterSize: v.optional(integer(1, Number.MAX_SAFE_INTEGER)),
});

const loadBalancer = object({
  simple: v.optional(oneOf("UNSPECIFIED", "LEAST_CONN", "RANDOM", "PASSTHROUGH", "ROUND_ROBIN", "LEAST_REQUEST")),
  consistentHash: v.optional(consistentHash),
  localityLbSetting: v.optional(localityLbSetting),
  zoneAwareLbSetting: v.optional(zoneAwareLbSetting),
  warmupDurationSecs: v.optional(duration),
  warmup: v.optional(object({
    duration,
    minimumPercent: v.optional(percentage),
    aggression: v.optional(v.pipe(v.number(), v.minValue(1, "must be at least 1"))),
  })),
});

export const outlierDetection = object({
  splitExternalLocalOriginErrors: v.optional(flag),
  consecutiveLocalOriginFailures: v.optional(uint32),
  consecutiveGatewayErrors: v.optional(uint32),
  consecutive5xxErrors: v.optional(uint32),
  consecutiveErrors: v.optional(int32),
  interval: v.optional(duration),
  baseEjectionTime: v.optional(duration),
  maxEjectionPercent: v.optional(integer(0, 100)),
  minHealthPercent: v.optional(integer(0, 100)),
  outlierDetectionHttpErrorCodes: list(uint32),
});

export const clientTls = object({
  mode: v.optional(oneOf("DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"), "DISABLE"),
  clientCertificate: v.optional(filePath),
  privateKey: v.optional(filePath),
  caCertificates: v.optional(filePath),
  credentialName: v.optional(text),
  subjectAltNames: list(text),
  sni: v.optional(text),
  insecureSkipVerify: v.optional(flag),
  caCrl: v.optional(filePath),
});

const blocks = {
  loadBalancer: v.optional(loadBalancer),
  connectionPool: v.optional(connectionPool),
  outlierDetection: v.optional(outlierDetection),
  tls: v.optional(clientTls),
};

const trafficPolicy = object({
  ...blocks,
  portLevelSettings: list(object({ port: object({ number: portNumber }), ...blocks })),
  tunnel: v.optional(object({ protocol: v.optional(text), targetHost: text, targetPort: portNumber })),
  proxyProtocol: v.optional(object({ version: v.optional(oneOf("V1", "V2")) })),
  retryBudget: v.optional(object({
    percent: v.optional(percentage),
    minRetryConcurrency: v.optional(uint32),
    budgetInterval: v.optional(durationOrZero),
  })),
});

export const destinationRule = object({
  host: serviceHost,
  trafficPolicy: v.optional(trafficPolicy),
  subsets: list(object({
    name: filledText,
    labels: v.optional(labels, {}),
    trafficPolicy: v.optional(trafficPolicy),
  })),
  /** Undefined: `["*"]`. */
  exportTo: filledList(filledText),
  workloadSelector: v.optional(object({ matchLabels: v.optional(labels, {}) })),
});

export type DestinationRuleSpec = v.InferOutput<typeof destinationRule>;
export type TrafficPolicy = v.InferOutput<typeof trafficPolicy>;
/** The four blocks that a `portLevelSettings` entry replaces, with its `port`. */
export type PortTrafficPolicy = TrafficPolicy["portLevelSettings"][number];
export type Subset = DestinationRuleSpec["subsets"][number];
export type RetryBudget = NonNullable<TrafficPolicy["retryBudget"]>;
export type LoadBalancer = v.InferOutput<typeof loadBalancer>;
export type OutlierDetection = v.InferOutput<typeof outlierDetection>;
export type LocalityLbSetting = v.InferOutput<typeof localityLbSetting>;
export type ZoneAwareLbSetting = v.InferOutput<typeof zoneAwareLbSetting>;
export type ClientTls = v.InferOutput<typeof clientTls>;

/** What the four blocks of a policy accept and Outrider does not obey yet, below the policy's own path. */
const POLICY_UNSUPPORTED: readonly UnsupportedField[] = [
  { path: "outlierDetection.consecutiveErrors", consequence: "Istio ignores it as well; use consecutive5xxErrors or consecutiveGatewayErrors" },
];

const atEvery = (fields: readonly UnsupportedField[], ...prefixes: string[]): UnsupportedField[] =>
  prefixes.flatMap((prefix) => fields.map((field) => ({ ...field, path: `${prefix}.${field.path}` })));

/** Accepted, and not obeyed. */
export const DESTINATION_RULE_UNSUPPORTED: readonly UnsupportedField[] = [
  ...atEvery(POLICY_UNSUPPORTED, "trafficPolicy", "trafficPolicy.portLevelSettings[]", "subsets[].trafficPolicy", "subsets[].trafficPolicy.portLevelSettings[]"),
];
