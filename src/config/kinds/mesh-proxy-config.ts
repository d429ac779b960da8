import * as v from "valibot";
import { clientTls } from "./destination-rule.ts";
import { duration } from "./duration.ts";
import { anyMapping, flag, integer, list, mapOf, object, oneOf, percentage, text, uint32 } from "./field.ts";
import type { UnsupportedField } from "./unsupported-fields.ts";

/* `defaultConfig` of the MeshConfig (`istio.mesh.v1alpha1.ProxyConfig`): how Istio's agent starts a sidecar. */

const port = integer(0, 65_535);
const remoteService = object({ address: v.optional(text), tlsSettings: v.optional(clientTls), tcpKeepalive: v.optional(anyMapping) });

const tracing = object({
  zipkin: v.optional(object({ address: v.optional(text) })),
  lightstep: v.optional(object({ address: v.optional(text), accessToken: v.optional(text) })),
  datadog: v.optional(object({ address: v.optional(text) })),
  stackdriver: v.optional(anyMapping),
  openCensusAgent: v.optional(anyMapping),
  customTags: mapOf(object({
    literal: v.optional(object({ value: v.optional(text) })),
    environment: v.optional(object({ name: v.optional(text), defaultValue: v.optional(text) })),
    header: v.optional(object({ name: v.optional(text), defaultValue: v.optional(text) })),
  })),
  maxPathTagLength: v.optional(uint32),
  /** 0: unset. */
  sampling: v.optional(percentage),
  tlsSettings: v.optional(clientTls),
  enableIstioTags: v.optional(flag),
});

export const meshProxyConfig = object({
  configPath: v.optional(text), binaryPath: v.optional(text), customConfigFile: v.optional(text), proxyBootstrapTemplatePath: v.optional(text),
  serviceCluster: v.optional(text),
  tracingServiceName: v.optional(oneOf("APP_LABEL_AND_NAMESPACE", "CANONICAL_NAME_ONLY", "CANONICAL_NAME_AND_NAMESPACE")),
  drainDuration: v.optional(duration),
  parentShutdownDuration: v.optional(duration),
  terminationDrainDuration: v.optional(duration),
  discoveryAddress: v.optional(text), discoveryRefreshDelay: v.optional(text), controlPlaneAuthPolicy: v.optional(oneOf("NONE", "MUTUAL_TLS", "INHERIT")),
  zipkinAddress: v.optional(text), statsdUdpAddress: v.optional(text), envoyMetricsServiceAddress: v.optional(text),
  proxyAdminPort: v.optional(port), statusPort: v.optional(port),
  availabilityZone: v.optional(text),
  statNameLength: v.optional(integer(0, 2_147_483_647)),
  concurrency: v.optional(integer(0, 2_147_483_647)),
  interceptionMode: v.optional(oneOf("REDIRECT", "TPROXY", "NONE")),
  tracing: v.optional(tracing),
  sds: v.optional(anyMapping),
  envoyAccessLogService: v.optional(remoteService), envoyMetricsService: v.optional(remoteService),
  proxyMetadata: mapOf(text), runtimeValues: mapOf(text),
  extraStatTags: list(text),
  gatewayTopology: v.optional(anyMapping),
  meshId: v.optional(text),
  readinessProbe: v.optional(anyMapping),
  proxyStatsMatcher: v.optional(object({ inclusionPrefixes: list(text), inclusionSuffixes: list(text), inclusionRegexps: list(text) })),
  statsEvictionInterval: v.optional(duration), statsCompression: v.optional(flag),
  holdApplicationUntilProxyStarts: v.optional(flag),
  caCertificatesPem: list(text),
  image: v.optional(object({ imageType: v.optional(text) })),
  privateKeyProvider: v.optional(anyMapping),
  proxyHeaders: v.optional(anyMapping),
  fileFlushInterval: v.optional(duration), fileFlushMinSizeKb: v.optional(uint32),
});

const AGENT = "it is for Istio's own agent and Envoy, which are not there";
/** `concurrency` and `proxyMetadata` are obeyed when a proxy starts, `caCertificatesPem` at all times. */
const CONSEQUENCES: Readonly<Record<Exclude<keyof v.InferOutput<typeof meshProxyConfig>, "concurrency" | "proxyMetadata" | "caCertificatesPem">, string>> = {
  configPath: AGENT, binaryPath: AGENT, customConfigFile: AGENT, proxyBootstrapTemplatePath: AGENT, runtimeValues: AGENT, sds: AGENT, statNameLength: AGENT,
  discoveryAddress: "there is no control plane to ask: configuration comes from the folders of --config",
  discoveryRefreshDelay: "there is no control plane to ask: configuration comes from the folders of --config",
  controlPlaneAuthPolicy: "there is no control plane to ask: configuration comes from the folders of --config",
  serviceCluster: "metrics and logs name the workload as its pod does", tracingServiceName: "no spans are reported",
  drainDuration: "use --drain or OUTRIDER_DRAIN", parentShutdownDuration: "use --drain or OUTRIDER_DRAIN", terminationDrainDuration: "use --drain or OUTRIDER_DRAIN",
  zipkinAddress: "no spans are sent there", tracing: "no spans are reported, and trace headers pass as they came",
  statsdUdpAddress: "metrics are scraped; none are sent", envoyMetricsServiceAddress: "metrics are scraped; none are sent", envoyMetricsService: "metrics are scraped; none are sent",
  envoyAccessLogService: "the access log is not sent there",
  proxyAdminPort: "use --admin-port", statusPort: "use --status-port",
  availabilityZone: "the zone is that of the workload's own endpoint",
  interceptionMode: "use --istio-inbound-interception-mode of `outrider init`",
  extraStatTags: "metrics have their usual labels", proxyStatsMatcher: "no metric is added or left out by its name",
  gatewayTopology: "it is for gateways", meshId: "telemetry does not name the mesh",
  readinessProbe: "/healthz/ready is there at all times, and asks nothing of the application",
  statsEvictionInterval: "idle series stay", statsCompression: "metrics are not compressed",
  holdApplicationUntilProxyStarts: "use `outrider wait` in the container's postStart hook",
  image: "the image is whatever runs already",
  privateKeyProvider: "private keys are used by OpenSSL in this process",
  proxyHeaders: "headers that tell of the proxy keep their defaults",
  fileFlushInterval: "the access log is written at least every second", fileFlushMinSizeKb: "the access log is written at least every second",
};

/** Accepted, and not obeyed; paths are relative to the `defaultConfig`. */
export const MESH_PROXY_CONFIG_UNSUPPORTED: readonly UnsupportedField[] = Object.entries(CONSEQUENCES).map(([path, consequence]) => ({ path, consequence }));
