import { hostOf } from "../compile/destination-rule-index.ts";
import type { DestinationRule } from "../compile/destination-rule-index.ts";
import { HostIndex } from "../compile/host-index.ts";
import { qualifyHost } from "../compile/host-name.ts";
import { meshSettings } from "../compile/mesh-settings.ts";
import type { MeshSettings } from "../compile/mesh-settings.ts";
import { PeerAuthentications } from "../compile/peer-authentication.ts";
import { PodIndex } from "../compile/pod-index.ts";
import { ProblemList } from "../compile/problem-list.ts";
import { oldestFirst } from "../compile/resource-order.ts";
import { serviceRegistry } from "../compile/service-registry.ts";
import type { Service } from "../compile/service.ts";
import { MESH_GATEWAY } from "../compile/virtual-service-index.ts";
import type { VirtualService } from "../compile/virtual-service-index.ts";
import type { AnyResource, Kind, ResourceOf } from "../kinds/kind-specs.ts";
import type { Destination } from "../kinds/virtual-service.ts";
import { positionOf } from "../resource.ts";
import type { Path, Resource } from "../resource.ts";

/**
 * The whole configuration as the lints look at it: no workload's view, but everything anybody may see. Built with the
 * compiler's own parts, so that both mean the same by a host, a service and a policy. What those parts have to say is
 * left to the compiler, which says it too.
 */
export class LintModel {
  readonly mesh: MeshSettings;
  readonly services: HostIndex<Service>;
  readonly rules: HostIndex<DestinationRule>;
  readonly peerAuthentications: PeerAuthentications;
  readonly virtualServices: readonly VirtualService[];
  readonly destinationRules: readonly DestinationRule[];
  /** ExternalName hosts to the host they stand for. */
  readonly aliases: ReadonlyMap<string, string>;
  readonly #resources: readonly AnyResource[];

  constructor(resources: readonly AnyResource[]) {
    const unsaid = new ProblemList();
    const registry = serviceRegistry(resources, new PodIndex(oldestFirst(resources, "Pod"), oldestFirst(resources, "Node")), unsaid);
    this.#resources = resources;
    this.mesh = meshSettings(resources, null, unsaid);
    this.services = new HostIndex(registry.services.map((service) => [service.host, service] as const));
    this.aliases = registry.aliases;
    this.peerAuthentications = new PeerAuthentications(resources, [], this.mesh.rootNamespace, unsaid);
    this.virtualServices = oldestFirst(resources, "VirtualService");
    this.destinationRules = oldestFirst(resources, "DestinationRule");
    this.rules = new HostIndex(this.destinationRules.map((rule) => [hostOf(rule), rule] as const));
  }

  /** The resources of a kind, the oldest first. */
  all<K extends Kind>(kind: K): ResourceOf<K>[] {
    return oldestFirst(this.#resources, kind);
  }

  /** The host a destination means: qualified, and through an ExternalName service to what that stands for. */
  destinationHost(destination: Pick<Destination, "host">, namespace: string): string {
    const host = qualifyHost(destination.host, namespace);
    return this.aliases.get(host) ?? host;
  }
}

/** Whether sidecars obey a VirtualService at all. */
export function isForSidecars(resource: VirtualService): boolean {
  return (resource.spec.gateways ?? [MESH_GATEWAY]).includes(MESH_GATEWAY);
}

/** `file:line` of a field, for a message about another one. */
export function placeOf(resource: Resource, path: Path): string {
  return `${resource.file}:${positionOf(resource, path).line}`;
}
