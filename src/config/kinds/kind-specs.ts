import type { Resource } from "../resource.ts";
import type { AuthorizationPolicySpec } from "./authorization-policy.ts";
import type { DestinationRuleSpec } from "./destination-rule.ts";
import type { EnvoyFilterSpec } from "./envoy-filter.ts";
import type { GatewaySpec } from "./gateway.ts";
import type { EndpointSliceSpec, EndpointsSpec, NodeSpec, PodSpec, ServiceSpec } from "./kubernetes.ts";
import type { MeshConfigSpec } from "./mesh-config.ts";
import type { PeerAuthenticationSpec } from "./peer-authentication.ts";
import type { ProxyConfigSpec } from "./proxy-config.ts";
import type { RequestAuthenticationSpec } from "./request-authentication.ts";
import type { ServiceEntrySpec } from "./service-entry.ts";
import type { SidecarSpec } from "./sidecar.ts";
import type { TelemetrySpec } from "./telemetry.ts";
import type { VirtualServiceSpec } from "./virtual-service.ts";
import type { WorkloadEntrySpec } from "./workload-entry.ts";

/** Every kind Outrider reads, and what its `Resource.spec` holds. */
export interface KindSpecs {
  readonly VirtualService: VirtualServiceSpec;
  readonly DestinationRule: DestinationRuleSpec;
  readonly ServiceEntry: ServiceEntrySpec;
  readonly WorkloadEntry: WorkloadEntrySpec;
  readonly Sidecar: SidecarSpec;
  readonly PeerAuthentication: PeerAuthenticationSpec;
  readonly AuthorizationPolicy: AuthorizationPolicySpec;
  readonly RequestAuthentication: RequestAuthenticationSpec;
  readonly Telemetry: TelemetrySpec;
  readonly ProxyConfig: ProxyConfigSpec;
  readonly Gateway: GatewaySpec;
  readonly EnvoyFilter: EnvoyFilterSpec;
  readonly Service: ServiceSpec;
  readonly EndpointSlice: EndpointSliceSpec;
  readonly Endpoints: EndpointsSpec;
  readonly Node: NodeSpec;
  readonly Pod: PodSpec;
  readonly MeshConfig: MeshConfigSpec;
}

export type Kind = keyof KindSpecs;

/** A resource of one kind: `ResourceOf<"VirtualService">`. */
export type ResourceOf<K extends Kind> = Resource<K, KindSpecs[K]>;

/** A resource of any kind; `resource.kind` tells which, and narrows `spec`. */
export type AnyResource = { [K in Kind]: ResourceOf<K> }[Kind];

/** Those of one kind, in their order. */
export function ofKind<K extends Kind>(resources: readonly AnyResource[], kind: K): ResourceOf<K>[] {
  return resources.filter((resource) => resource.kind === kind) as unknown as ResourceOf<K>[];
}
