import type { ExtensionProvider } from "./extension-provider.ts";
import { MESH_PROXY_CONFIG_UNSUPPORTED } from "./mesh-proxy-config.ts";
import type { UnsupportedField } from "./unsupported-fields.ts";

const isTrue = (value: unknown): boolean => value === true;
const isFalse = (value: unknown): boolean => value === false;
const GATEWAY = "it is for ingress gateways";
const NO_SPANS = "no spans are reported";
const NO_LOG_SERVICE = "the access log goes to no service";
const PROMETHEUS = "prometheus";
const CONTROL_PLANE = "there is no control plane here that would obey it";

/** All ways to be a provider but `prometheus`, whose metrics are there to be scraped, a log file, and those that are asked. */
const UNUSED_PROVIDERS: Readonly<Record<Exclude<keyof ExtensionProvider, "name" | "prometheus" | "envoyFileAccessLog" | "envoyExtAuthzHttp" | "envoyExtAuthzGrpc">, string>> = {
  zipkin: NO_SPANS, lightstep: NO_SPANS, datadog: NO_SPANS, opencensus: NO_SPANS, skywalking: NO_SPANS, opentelemetry: NO_SPANS,
  stackdriver: "neither spans, metrics nor access logs are sent there",
  envoyHttpAls: NO_LOG_SERVICE, envoyTcpAls: NO_LOG_SERVICE, envoyOtelAls: NO_LOG_SERVICE,
  sds: "certificates are read from the certificate folder",
};
const PROVIDERS: readonly UnsupportedField[] = [
  ...Object.entries(UNUSED_PROVIDERS).map(([kind, consequence]) => ({ path: `extensionProviders[].${kind}`, consequence })),
  { path: "extensionProviders[].envoyFileAccessLog.path", when: (value) => value !== "/dev/stdout", consequence: "the access log goes to stdout" },
  { path: "extensionProviders[].envoyFileAccessLog.logFormat", consequence: "the access log has its default format" },
  { path: "extensionProviders[].envoyFileAccessLog.omitEmptyValues", when: isTrue, consequence: "missing values are null" },
  { path: "defaultProviders.tracing", consequence: NO_SPANS },
  { path: "defaultProviders.metrics[]", when: (name) => typeof name === "string" && name.toLowerCase() !== PROMETHEUS, consequence: "metrics are there to be scraped by Prometheus, and sent nowhere" },
];

/** Fields of the MeshConfig that are accepted and not obeyed, each with what happens instead. */
export const MESH_CONFIG_UNSUPPORTED: readonly UnsupportedField[] = [
  { path: "protocolDetectionTimeout", consequence: "Outrider decides by itself how long to wait for the first bytes" },
  { path: "accessLogFormat", consequence: "the access log has its default format" },
  { path: "accessLogEncoding", when: (value) => value === "TEXT", consequence: "the access log has its default format" },
  { path: "enableEnvoyAccessLogService", when: isTrue, consequence: NO_LOG_SERVICE },
  { path: "disableEnvoyListenerLog", when: isTrue, consequence: "connections without a route are logged as before" },
  { path: "enableTracing", when: isTrue, consequence: NO_SPANS },
  { path: "defaultInboundHttpRetryPolicy.perTryTimeout", consequence: "Istio ignores this field of the inbound policy as well" },
  { path: "defaultInboundHttpRetryPolicy.retryRemoteLocalities", consequence: "there is one application, and no other place to go to" },
  { path: "defaultInboundHttpRetryPolicy.retryIgnorePreviousHosts", consequence: "there is one application, and no other place to go to" },
  { path: "defaultHttpRetryPolicy.perTryTimeout", consequence: "Istio ignores this field of the mesh's policy as well" },
  ...PROVIDERS,
  { path: "proxyListenPort", consequence: "use --outbound-port" },
  { path: "proxyInboundListenPort", consequence: "use --inbound-port" },
  { path: "proxyHttpPort", consequence: "there is no listener for HTTP proxy requests" },
  { path: "inboundClusterStatName", consequence: "metrics have the usual cluster names" },
  { path: "outboundClusterStatName", consequence: "metrics have the usual cluster names" },
  { path: "serviceSettings", consequence: "endpoints of all clusters are used" },
  { path: "enablePrometheusMerge", when: isFalse, consequence: "use the annotations of the pod to keep the application's metrics apart" },
  { path: "verifyCertificateAtClient", when: isFalse, consequence: "the peer's certificate is always verified" },
  { path: "meshMTLS.cipherSuites", consequence: "SECURITY: mesh connections keep the default cipher suites" },
  { path: "meshMTLS.ecdhCurves", consequence: "SECURITY: mesh connections keep the default groups" },
  { path: "tlsDefaults", consequence: "SECURITY: TLS parameters keep their defaults" },
  { path: "compliancePolicy", consequence: "SECURITY: no policy of compliance is put over the TLS settings" },
  { path: "hboneIdleTimeout", consequence: "idle tunnels keep their default lifetime" },
  { path: "caCertificates[].certSigners", when: (value) => Array.isArray(value) && value.length > 0, consequence: "SECURITY: the roots of this entry are not trusted: nobody can tell here which signer made a certificate" },
  { path: "ca", consequence: "certificates are read from the certificate folder" },
  { path: "certificates", consequence: "certificates are read from the certificate folder" },
  { path: "ingressClass", consequence: GATEWAY },
  { path: "ingressService", consequence: GATEWAY },
  { path: "ingressSelector", consequence: GATEWAY },
  { path: "ingressControllerMode", consequence: GATEWAY },
  { path: "configSources", consequence: "configuration comes from the folders of --config" },
  { path: "discoverySelectors", consequence: CONTROL_PLANE },
  { path: "serviceScopeConfigs", consequence: CONTROL_PLANE },
  ...MESH_PROXY_CONFIG_UNSUPPORTED.map((field) => ({ ...field, path: `defaultConfig.${field.path}` })),
];
