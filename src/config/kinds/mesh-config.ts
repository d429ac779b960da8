import * as v from "valibot";
import { duration, durationOrZero } from "./duration.ts";
import { anything, anyMapping, filledText, flag, integer, list, object, oneOf, text } from "./field.ts";

/*
 * MeshConfig (`mesh.istio.io/v1alpha1`): a file named `mesh.yaml`, or the key `mesh` of the ConfigMap `istio`. Every
 * field Istio knows has a name here, so that a misspelt one is found; `mesh-config-fields.ts` tells which are obeyed.
 */

const retryPolicy = object({
  attempts: v.optional(integer(0, 2_147_483_647), 0),
  retryOn: v.optional(text),
  backoff: v.optional(duration),
  retryRemoteLocalities: v.optional(flag),
  retryIgnorePreviousHosts: v.optional(flag),
});

const ignored = v.optional(anything);

export const meshConfig = object({
  trustDomain: v.optional(filledText),
  trustDomainAliases: list(filledText),
  rootNamespace: v.optional(filledText, "istio-system"),
  outboundTrafficPolicy: v.optional(object({ mode: v.optional(oneOf("REGISTRY_ONLY", "ALLOW_ANY"), "ALLOW_ANY") }), {}),
  inboundTrafficPolicy: v.optional(object({ mode: v.optional(oneOf("PASSTHROUGH", "LOCALHOST"), "PASSTHROUGH") }), {}),
  enableAutoMtls: v.optional(flag, true),
  connectTimeout: v.optional(duration, "10s"),
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
  proxyListenPort: ignored, proxyInboundListenPort: ignored, proxyHttpPort: ignored, tcpKeepalive: ignored,
  ingressClass: ignored, ingressService: ignored, ingressControllerMode: ignored, ingressSelector: ignored,
  enableTracing: ignored, enableEnvoyAccessLogService: ignored, disableEnvoyListenerLog: ignored,
  configSources: ignored, caCertificates: ignored, localityLbSetting: ignored, zoneAwareLbSetting: ignored,
  dnsRefreshRate: ignored, h2UpgradePolicy: ignored, inboundClusterStatName: ignored, outboundClusterStatName: ignored,
  certificates: ignored, serviceSettings: ignored, enablePrometheusMerge: ignored, verifyCertificateAtClient: ignored,
  ca: ignored, extensionProviders: ignored, defaultProviders: ignored, discoverySelectors: ignored,
  meshMTLS: ignored, tlsDefaults: ignored, hboneIdleTimeout: ignored, defaultTrafficPolicy: ignored,
});

export type MeshConfigSpec = v.InferOutput<typeof meshConfig>;
