import { AUTHORIZATION_POLICY_UNSUPPORTED, authorizationPolicy } from "./authorization-policy.ts";
import { checkAuthorizationPolicy } from "./authorization-policy-check.ts";
import { DESTINATION_RULE_UNSUPPORTED, destinationRule } from "./destination-rule.ts";
import { checkDestinationRule } from "./destination-rule-check.ts";
import { ENVOY_FILTER_UNSUPPORTED, envoyFilter } from "./envoy-filter.ts";
import { checkEnvoyFilter } from "./envoy-filter-check.ts";
import { gateway } from "./gateway.ts";
import type { KindDefinition } from "./kind-definition.ts";
import type { Kind } from "./kind-specs.ts";
import { endpointSlice, endpoints, node, pod, service } from "./kubernetes.ts";
import { meshConfig } from "./mesh-config.ts";
import { checkMeshConfig } from "./mesh-config-check.ts";
import { MESH_CONFIG_UNSUPPORTED } from "./mesh-config-unsupported.ts";
import { peerAuthentication } from "./peer-authentication.ts";
import { checkPeerAuthentication } from "./peer-authentication-check.ts";
import { PROXY_CONFIG_UNSUPPORTED, checkProxyConfig, proxyConfig } from "./proxy-config.ts";
import { REQUEST_AUTHENTICATION_UNSUPPORTED, requestAuthentication } from "./request-authentication.ts";
import { checkRequestAuthentication } from "./request-authentication-check.ts";
import { SERVICE_ENTRY_UNSUPPORTED, serviceEntry } from "./service-entry.ts";
import { checkServiceEntry } from "./service-entry-check.ts";
import { SIDECAR_UNSUPPORTED, sidecar } from "./sidecar.ts";
import { checkSidecar } from "./sidecar-check.ts";
import { suggest } from "./suggestion.ts";
import { TELEMETRY_UNSUPPORTED, telemetry } from "./telemetry.ts";
import { checkTelemetry } from "./telemetry-check.ts";
import { VIRTUAL_SERVICE_UNSUPPORTED, virtualService } from "./virtual-service.ts";
import { checkVirtualService } from "./virtual-service-check.ts";
import { WORKLOAD_ENTRY_UNSUPPORTED, workloadEntry } from "./workload-entry.ts";
import { checkWorkloadEntry } from "./workload-entry-check.ts";

const versions = (group: string, ...names: string[]): string[] => names.map((name) => `${group}/${name}`);
const NETWORKING = versions("networking.istio.io", "v1", "v1beta1", "v1alpha3");
const SECURITY = versions("security.istio.io", "v1", "v1beta1");

type Optional = "isLenient" | "unsupported" | "check" | "unsupportedKind";
function istio<K extends Kind>(definition: Omit<KindDefinition<K>, Optional | "body"> & Partial<Pick<KindDefinition<K>, Optional>>): KindDefinition<K> {
  return { body: "spec", isLenient: false, unsupported: [], check: null, unsupportedKind: null, ...definition };
}
function kubernetes<K extends Kind>(definition: Pick<KindDefinition<K>, "kind" | "apiVersions" | "schema" | "body">): KindDefinition<K> {
  return { isLenient: true, unsupported: [], check: null, unsupportedKind: null, ...definition };
}

/** Every kind Outrider reads. */
const DEFINITIONS: { readonly [K in Kind]: KindDefinition<K> } = {
  VirtualService: istio({ kind: "VirtualService", apiVersions: NETWORKING, schema: virtualService, check: checkVirtualService, unsupported: VIRTUAL_SERVICE_UNSUPPORTED }),
  DestinationRule: istio({ kind: "DestinationRule", apiVersions: NETWORKING, schema: destinationRule, check: checkDestinationRule, unsupported: DESTINATION_RULE_UNSUPPORTED }),
  ServiceEntry: istio({ kind: "ServiceEntry", apiVersions: NETWORKING, schema: serviceEntry, check: checkServiceEntry, unsupported: SERVICE_ENTRY_UNSUPPORTED }),
  WorkloadEntry: istio({ kind: "WorkloadEntry", apiVersions: NETWORKING, schema: workloadEntry, check: checkWorkloadEntry, unsupported: WORKLOAD_ENTRY_UNSUPPORTED }),
  Sidecar: istio({ kind: "Sidecar", apiVersions: NETWORKING, schema: sidecar, check: checkSidecar, unsupported: SIDECAR_UNSUPPORTED }),
  PeerAuthentication: istio({ kind: "PeerAuthentication", apiVersions: SECURITY, schema: peerAuthentication, check: checkPeerAuthentication }),
  AuthorizationPolicy: istio({ kind: "AuthorizationPolicy", apiVersions: SECURITY, schema: authorizationPolicy, check: checkAuthorizationPolicy, unsupported: AUTHORIZATION_POLICY_UNSUPPORTED }),
  RequestAuthentication: istio({
    kind: "RequestAuthentication", apiVersions: SECURITY, schema: requestAuthentication, check: checkRequestAuthentication,
    unsupported: REQUEST_AUTHENTICATION_UNSUPPORTED,
  }),
  Telemetry: istio({ kind: "Telemetry", apiVersions: versions("telemetry.istio.io", "v1", "v1alpha1"), schema: telemetry, check: checkTelemetry, unsupported: TELEMETRY_UNSUPPORTED }),
  ProxyConfig: istio({ kind: "ProxyConfig", apiVersions: versions("networking.istio.io", "v1beta1"), schema: proxyConfig, check: checkProxyConfig, unsupported: PROXY_CONFIG_UNSUPPORTED }),
  Gateway: istio({
    kind: "Gateway", apiVersions: NETWORKING, schema: gateway,
    unsupportedKind: "a sidecar serves no gateway; only VirtualServices bound to \"mesh\" apply",
  }),
  EnvoyFilter: istio({ kind: "EnvoyFilter", apiVersions: versions("networking.istio.io", "v1alpha3"), schema: envoyFilter, check: checkEnvoyFilter, unsupported: ENVOY_FILTER_UNSUPPORTED }),
  Service: kubernetes({ kind: "Service", apiVersions: ["v1"], body: "spec", schema: service }),
  EndpointSlice: kubernetes({ kind: "EndpointSlice", apiVersions: versions("discovery.k8s.io", "v1", "v1beta1"), body: "object", schema: endpointSlice }),
  Endpoints: kubernetes({ kind: "Endpoints", apiVersions: ["v1"], body: "object", schema: endpoints }),
  Node: kubernetes({ kind: "Node", apiVersions: ["v1"], body: "object", schema: node }),
  Pod: kubernetes({ kind: "Pod", apiVersions: ["v1"], body: "object", schema: pod }),
  MeshConfig: { ...istio({ kind: "MeshConfig", apiVersions: ["mesh.istio.io/v1alpha1"], schema: meshConfig, check: checkMeshConfig, unsupported: MESH_CONFIG_UNSUPPORTED }), body: "object" },
};

/** The names of every kind Outrider reads. */
export const KINDS = Object.keys(DEFINITIONS) as readonly Kind[];

/** The definition of a kind by its name, or null. */
export function findKind(kind: string): KindDefinition | null {
  return Object.hasOwn(DEFINITIONS, kind) ? (DEFINITIONS[kind as Kind] as unknown as KindDefinition) : null;
}

const groupOf = (apiVersion: string): string => (apiVersion.includes("/") ? apiVersion.slice(0, apiVersion.indexOf("/")) : "");
const GROUPS = [...new Set(KINDS.flatMap((kind) => DEFINITIONS[kind].apiVersions.map(groupOf)))];
const ISTIO_GROUPS = GROUPS.filter((group) => group.endsWith(".istio.io"));
/** Kinds of Istio's groups that are no concern of a sidecar. */
const NOT_FOR_SIDECARS = ["WorkloadGroup", "WasmPlugin", "IstioOperator"];

/**
 * True for an object that Outrider must understand or refuse; false for one that belongs to somebody else, as a
 * Deployment does, or a `Gateway` of another API group. In doubt it is ours: a policy with a misspelt kind or group
 * must not pass for a stranger.
 */
export function isOurs(kind: string | null, apiVersion: string | null): boolean {
  if (kind === null || apiVersion === null) return kind === null || findKind(kind) !== null;
  const group = groupOf(apiVersion);
  const definition = findKind(kind);
  if (definition === null) return ISTIO_GROUPS.includes(group) && !NOT_FOR_SIDECARS.includes(kind);
  const isOwnGroup = definition.apiVersions.some((version) => groupOf(version) === group) || GROUPS.includes(group);
  return isOwnGroup || suggest(group, ISTIO_GROUPS) !== null;
}
