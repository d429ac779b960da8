import * as v from "valibot";
import { connectionPool } from "./connection-pool.ts";
import { clientTls, localityLbSetting, outlierDetection, zoneAwareLbSetting } from "./destination-rule.ts";
import { duration, durationOrZero } from "./duration.ts";
import { extensionProvider } from "./extension-provider.ts";
import { anyMapping, filledText, flag, integer, labels, list, object, oneOf, text } from "./field.ts";
import { meshProxyConfig } from "./mesh-proxy-config.ts";

/*
 * MeshConfig (`mesh.istio.io/v1alpha1`): a file named `mesh.yaml`, or the key `mesh` of the ConfigMap `istio`. Every
 * field Istio knows has a name here, so that a misspelt one is found; `mesh-config-unsupported.ts` tells which are not
 * obeyed, `mesh-config-check.ts` holds the rules over several fields.
 */

const count = integer(0, 2_147_483_647);
const port = integer(0, 65_535);
const retryPolicy = object({
  attempts: v.optional(count, 0),
  perTryTimeout: v.optional(duration),
  retryOn: v.optional(text),
  backoff: v.optional(duration),
  retryRemoteLocalities: v.optional(flag),
  retryIgnorePreviousHosts: v.optional(flag),
});
export type MeshRetryPolicy = v.InferOutput<typeof retryPolicy>;

/** `outboundTrafficPolicy.mode`. */
export const outboundMode = oneOf("REGISTRY_ONLY", "ALLOW_ANY");
/** `meshMTLS.minProtocolVersion`. */
export const leastTlsVersion = oneOf("TLS_AUTO", "TLSV1_2", "TLSV1_3");

const tlsConfig = object({
  minProtocolVersion: v.optional(leastTlsVersion),
  ecdhCurves: list(text),
  cipherSuites: list(text),
});
const labelSelector = object({
  matchLabels: v.optional(labels, {}),
  matchExpressions: list(object({ key: filledText, operator: oneOf("In", "NotIn", "Exists", "DoesNotExist"), values: list(text) })),
});

/** Fields of the control plane, of gateways and of certificates, which a sidecar has no part in. */
const elsewhere = {
  ingressClass: v.optional(text), ingressService: v.optional(text), ingressSelector: v.optional(text),
  ingressControllerMode: v.optional(oneOf("UNSPECIFIED", "OFF", "DEFAULT", "STRICT")),
  configSources: list(object({ address: v.optional(text), tlsSettings: v.optional(clientTls), subscribedResources: list(text) })),
  certificates: list(object({ secretName: v.optional(text), dnsNames: list(text) })),
  ca: v.optional(object({ address: filledText, tlsSettings: v.optional(clientTls), requestTimeout: v.optional(duration), istiodSide: v.optional(flag) })),
  caCertificates: list(object({ pem: v.optional(text), spiffeBundleUrl: v.optional(text), certSigners: list(text), trustDomains: list(text) })),
  discoverySelectors: list(labelSelector),
  serviceScopeConfigs: list(anyMapping),
};

export const meshConfig = object({
  trustDomain: v.optional(filledText),
  trustDomainAliases: list(filledText),
  rootNamespace: v.optional(filledText, "istio-system"),
  outboundTrafficPolicy: v.optional(object({ mode: v.optional(outboundMode, "ALLOW_ANY") }), {}),
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
  defaultTrafficPolicy: v.optional(object({ connectionPool: v.optional(connectionPool), outlierDetection: v.optional(outlierDetection) })),
  defaultConfig: v.optional(meshProxyConfig),
  defaultServiceExportTo: list(text),
  defaultVirtualServiceExportTo: list(text),
  defaultDestinationRuleExportTo: list(text),
  extensionProviders: list(extensionProvider),
  defaultProviders: v.optional(object({ tracing: list(filledText), metrics: list(filledText), accessLogging: list(filledText) })),
  localityLbSetting: v.optional(localityLbSetting),
  zoneAwareLbSetting: v.optional(zoneAwareLbSetting),
  proxyListenPort: v.optional(port), proxyInboundListenPort: v.optional(port), proxyHttpPort: v.optional(port),
  tcpKeepalive: v.optional(object({ probes: v.optional(count), time: v.optional(duration), interval: v.optional(duration) })),
  enableTracing: v.optional(flag),
  enableEnvoyAccessLogService: v.optional(flag), disableEnvoyListenerLog: v.optional(flag),
  dnsRefreshRate: v.optional(duration),
  inboundClusterStatName: v.optional(text), outboundClusterStatName: v.optional(text),
  serviceSettings: list(object({ settings: v.optional(object({ clusterLocal: v.optional(flag) })), hosts: list(filledText) })),
  enablePrometheusMerge: v.optional(flag),
  verifyCertificateAtClient: v.optional(flag),
  meshMTLS: v.optional(tlsConfig), tlsDefaults: v.optional(tlsConfig),
  compliancePolicy: v.optional(text),
  hboneIdleTimeout: v.optional(durationOrZero),
  ...elsewhere,
});

export type MeshConfigSpec = v.InferOutput<typeof meshConfig>;
