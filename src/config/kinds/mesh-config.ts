import * as v from "valibot";
import { duration, durationOrZero } from "./duration.ts";
import { anything, anyMapping, filledText, flag, integer, list, object, oneOf, text } from "./field.ts";
import type { UnsupportedField } from "./unsupported-fields.ts";

/*
 * MeshConfig (`mesh.istio.io/v1alpha1`): a file named `mesh.yaml`, or the key `mesh` of the ConfigMap `istio`. Every
 * field Istio knows has a name here, so that a misspelt one is found; `MESH_CONFIG_UNSUPPORTED` tells which are not obeyed.
 */

const retryPolicy = object({
  attempts: v.optional(integer(0, 2_147_483_647), 0),
  retryOn: v.optional(text),
  backoff: v.optional(duration),
  retryRemoteLocalities: v.optional(flag),
  retryIgnorePreviousHosts: v.optional(flag),
});

const ignored = v.optional(anything);
const IGNORED = [
  "proxyListenPort", "proxyInboundListenPort", "proxyHttpPort", "tcpKeepalive", "ingressClass", "ingressService",
  "ingressControllerMode", "ingressSelector", "enableTracing", "enableEnvoyAccessLogService", "disableEnvoyListenerLog",
  "configSources", "caCertificates", "localityLbSetting", "zoneAwareLbSetting", "dnsRefreshRate",
  "inboundClusterStatName", "outboundClusterStatName", "certificates", "serviceSettings", "enablePrometheusMerge",
  "verifyCertificateAtClient", "ca", "extensionProviders", "defaultProviders", "discoverySelectors", "meshMTLS",
  "tlsDefaults", "hboneIdleTimeout", "defaultTrafficPolicy",
] as const;
const ignoredFields = Object.fromEntries(IGNORED.map((name) => [name, ignored])) as Record<(typeof IGNORED)[number], typeof ignored>;

export const meshConfig = object({
  trustDomain: v.optional(filledText),
  trustDomainAliases: list(filledText),
  rootNamespace: v.optional(filledText, "istio-system"),
  outboundTrafficPolicy: v.optional(object({ mode: v.optional(oneOf("REGISTRY_ONLY", "ALLOW_ANY"), "ALLOW_ANY") }), {}),
  inboundTrafficPolicy: v.optional(object({ mode: v.optional(oneOf("PASSTHROUGH", "LOCALHOST"), "PASSTHROUGH") }), {}),
  enableAutoMtls: v.optional(flag, true),
  connectTimeout: v.optional(duration, "10s"),
  h2UpgradePolicy: v.optional(oneOf("DO_NOT_UPGRADE", "UPGRADE")),
  protocolDetectionTimeout: v.optional(durationOrZero, "0s"),
  accessLogFile: v.optional(text, ""),
  accessLogFormat: v.optional(text),
  accessLogEncoding: v.optional(oneOf("TEXT", "JSON")),
  pathNormalization: v.optional(object({
    normalization: v.optional(oneOf("DEFAULT", "NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"), "DEFAULT"),
  })),
  defaultHttpRetryPolicy: v.optional(retryPolicy),
  defaultInboundHttpRetryPolicy: v.optional(retryPolicy),
  defaultConfig: v.optional(anyMapping),
  defaultServiceExportTo: list(text),
  defaultVirtualServiceExportTo: list(text),
  defaultDestinationRuleExportTo: list(text),
  ...ignoredFields,
});

export type MeshConfigSpec = v.InferOutput<typeof meshConfig>;

/** What becomes of some of the ignored fields. */
const CONSEQUENCES: Partial<Record<(typeof IGNORED)[number], string>> = {
  proxyListenPort: "use --outbound-port",
  proxyInboundListenPort: "use --inbound-port",
  extensionProviders: "providers of external authorization, tracing and access logs are not used",
  defaultProviders: "providers of tracing, metrics and access logs are not used",
  caCertificates: "SECURITY: further roots of trust are not loaded from here; put bundles into the certificate folder",
  localityLbSetting: "endpoints are chosen without regard to their locality",
  defaultTrafficPolicy: "DestinationRules without these blocks keep the built-in limits",
  meshMTLS: "SECURITY: TLS parameters of mesh connections keep their defaults",
  tlsDefaults: "SECURITY: TLS parameters keep their defaults",
};

/** Accepted, and not obeyed yet. */
export const MESH_CONFIG_UNSUPPORTED: readonly UnsupportedField[] = [
  ...IGNORED.map((path) => ({ path, consequence: CONSEQUENCES[path] ?? "it has no effect here" })),
  { path: "inboundTrafficPolicy.mode", when: (value) => value === "LOCALHOST", consequence: "the application is dialled at the pod's address" },
  { path: "protocolDetectionTimeout", consequence: "Outrider decides by itself how long to wait for the first bytes" },
  { path: "accessLogFormat", consequence: "the access log has its default format" },
  { path: "accessLogEncoding", when: (value) => value === "TEXT", consequence: "the access log has its default format" },
  { path: "defaultInboundHttpRetryPolicy", consequence: "requests to the application are not retried" },
  { path: "defaultConfig.*", consequence: "it has no effect here; see the options of `outrider proxy`" },
];
