import { MESH_PROXY_CONFIG_UNSUPPORTED } from "./mesh-proxy-config.ts";
import type { UnsupportedField } from "./unsupported-fields.ts";

const isTrue = (value: unknown): boolean => value === true;
const isFalse = (value: unknown): boolean => value === false;
const GATEWAY = "it is for ingress gateways";
const CONTROL_PLANE = "there is no control plane here that would obey it";

/** Fields of the MeshConfig that are accepted and not obeyed (yet), each with what happens instead. */
export const MESH_CONFIG_UNSUPPORTED: readonly UnsupportedField[] = [
  { path: "protocolDetectionTimeout", consequence: "Outrider decides by itself how long to wait for the first bytes" },
  { path: "accessLogFormat", consequence: "the access log has its default format" },
  { path: "accessLogEncoding", when: (value) => value === "TEXT", consequence: "the access log has its default format" },
  { path: "enableEnvoyAccessLogService", when: isTrue, consequence: "the access log goes to no service" },
  { path: "disableEnvoyListenerLog", when: isTrue, consequence: "connections without a route are logged as before" },
  { path: "enableTracing", when: isTrue, consequence: "no spans are reported" },
  { path: "defaultInboundHttpRetryPolicy.perTryTimeout", consequence: "Istio ignores this field of the inbound policy as well" },
  { path: "defaultInboundHttpRetryPolicy.retryRemoteLocalities", consequence: "there is one application, and no other place to go to" },
  { path: "defaultInboundHttpRetryPolicy.retryIgnorePreviousHosts", consequence: "there is one application, and no other place to go to" },
  { path: "defaultHttpRetryPolicy.perTryTimeout", consequence: "Istio ignores this field of the mesh's policy as well" },
  { path: "extensionProviders", consequence: "providers of external authorization, tracing and access logs are not used" },
  { path: "defaultProviders", consequence: "providers of tracing, metrics and access logs are not used" },
  { path: "proxyListenPort", consequence: "use --outbound-port" },
  { path: "proxyInboundListenPort", consequence: "use --inbound-port" },
  { path: "proxyHttpPort", consequence: "there is no listener for HTTP proxy requests" },
  { path: "inboundClusterStatName", consequence: "metrics have the usual cluster names" },
  { path: "outboundClusterStatName", consequence: "metrics have the usual cluster names" },
  { path: "serviceSettings", consequence: "endpoints of all clusters are used" },
  { path: "enablePrometheusMerge", when: isFalse, consequence: "use the annotations of the pod to keep the application's metrics apart" },
  { path: "verifyCertificateAtClient", when: isFalse, consequence: "the peer's certificate is always verified" },
  { path: "meshMTLS", consequence: "SECURITY: TLS parameters of mesh connections keep their defaults" },
  { path: "tlsDefaults", consequence: "SECURITY: TLS parameters keep their defaults" },
  { path: "compliancePolicy", consequence: "SECURITY: no policy of compliance is put over the TLS settings" },
  { path: "hboneIdleTimeout", consequence: "idle tunnels keep their default lifetime" },
  { path: "caCertificates", consequence: "SECURITY: further roots of trust are not loaded from here; put bundles into the certificate folder" },
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
