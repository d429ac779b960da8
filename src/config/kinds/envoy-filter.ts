import * as v from "valibot";
import { anyMapping, int32, labels, list, mapOf, object, oneOf, text, uint32 } from "./field.ts";
import { policyTarget } from "./policy-target.ts";
import type { UnsupportedField } from "./unsupported-fields.ts";

/*
 * `networking.istio.io EnvoyFilter` as Istio writes it down. What a patch may hold is said by `local-rate-limits-of.ts`:
 * Outrider has no Envoy inside, so only the patches that stand for a feature of its own mean anything.
 */

const filter = object({ name: v.optional(text), subFilter: v.optional(object({ name: v.optional(text) })) });

const listener = object({
  name: v.optional(text),
  portNumber: v.optional(uint32),
  portName: v.optional(text),
  listenerFilter: v.optional(text),
  filterChain: v.optional(object({
    name: v.optional(text),
    sni: v.optional(text),
    transportProtocol: v.optional(text),
    applicationProtocols: v.optional(text),
    destinationPort: v.optional(uint32),
    filter: v.optional(filter),
  })),
});

const routeConfiguration = object({
  name: v.optional(text),
  portNumber: v.optional(uint32),
  portName: v.optional(text),
  gateway: v.optional(text),
  vhost: v.optional(object({
    name: v.optional(text),
    domainName: v.optional(text),
    route: v.optional(object({ name: v.optional(text), action: v.optional(oneOf("ANY", "ROUTE", "REDIRECT", "DIRECT_RESPONSE"), "ANY") })),
  })),
});

const match = object({
  context: v.optional(oneOf("ANY", "SIDECAR_INBOUND", "SIDECAR_OUTBOUND", "GATEWAY", "WAYPOINT"), "ANY"),
  proxy: v.optional(object({ proxyVersion: v.optional(text), metadata: mapOf(text) })),
  listener: v.optional(listener),
  routeConfiguration: v.optional(routeConfiguration),
  cluster: v.optional(object({ name: v.optional(text), service: v.optional(text), subset: v.optional(text), portNumber: v.optional(uint32) })),
  waypoint: v.optional(object({ filter: v.optional(filter), portNumber: v.optional(uint32), route: v.optional(object({ name: v.optional(text) })) })),
});

const patch = object({
  operation: v.optional(oneOf("INVALID", "MERGE", "ADD", "REMOVE", "INSERT_BEFORE", "INSERT_AFTER", "INSERT_FIRST", "REPLACE", "MERGE_AND_REPLACE_LIST"), "INVALID"),
  /** A piece of Envoy's own configuration. */
  value: v.optional(anyMapping),
  filterClass: v.optional(oneOf("UNSPECIFIED", "AUTHN", "AUTHZ", "STATS")),
});

const APPLY_TO = [
  "INVALID", "LISTENER", "FILTER_CHAIN", "NETWORK_FILTER", "HTTP_FILTER", "ROUTE_CONFIGURATION", "VIRTUAL_HOST", "HTTP_ROUTE",
  "CLUSTER", "EXTENSION_CONFIG", "BOOTSTRAP", "LISTENER_FILTER",
] as const;

export const envoyFilter = object({
  workloadSelector: v.optional(object({ labels: v.optional(labels, {}) })),
  targetRefs: policyTarget.targetRefs,
  configPatches: list(object({ applyTo: v.optional(oneOf(...APPLY_TO), "INVALID"), match: v.optional(match), patch: v.optional(patch) })),
  /** Lower is applied first; among equals the older object. */
  priority: v.optional(int32, 0),
});

export type EnvoyFilterSpec = v.InferOutput<typeof envoyFilter>;
export type ConfigPatch = EnvoyFilterSpec["configPatches"][number];

/** True for a patch that does not concern sidecars. */
export function isForGateways(patch: { readonly match?: { readonly context?: string | undefined } | undefined }): boolean {
  const context = patch.match?.context;
  return context === "GATEWAY" || context === "WAYPOINT";
}

const isMapping = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;
const concernsGateways = (value: unknown): boolean => isMapping(value) && isForGateways(value);

/** Accepted, and not obeyed. */
export const ENVOY_FILTER_UNSUPPORTED: readonly UnsupportedField[] = [
  { path: "configPatches[]", when: concernsGateways, consequence: "the patch is for gateways or waypoints; a sidecar does not apply it" },
  { path: "configPatches[].match.proxy.proxyVersion", consequence: "there is no Istio proxy here to have a version; the patch counts for every version" },
  { path: "targetRefs", consequence: "it is for a gateway or waypoint; a sidecar does not apply it" },
];
