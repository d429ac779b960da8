import type { AnyResource, ResourceOf } from "../kinds/kind-specs.ts";
import type { SidecarEgress } from "../kinds/sidecar.ts";
import { EgressHosts } from "./egress-host.ts";
import { qualifyHost } from "./host-name.ts";
import type { MeshSettings } from "./mesh-settings.ts";
import type { ProblemList } from "./problem-list.ts";
import { visibleServices } from "./service-registry.ts";
import type { ServiceRegistry } from "./service-registry.ts";
import type { Service } from "./service.ts";
import { selectSidecar } from "./sidecar-selection.ts";
import { VirtualServiceIndex, hostsOf, visibleVirtualServices } from "./virtual-service-index.ts";
import type { VirtualService } from "./virtual-service-index.ts";
import type { WorkloadIdentity } from "./workload-identity.ts";

/** What one egress entry of the Sidecar resource lets through; without a Sidecar there is one that lets all through. */
export interface EgressScope {
  /** Null without a Sidecar resource. */
  readonly entry: SidecarEgress | null;
  /** Index of the entry in the Sidecar. */
  readonly index: number;
  readonly services: readonly Service[];
  readonly rules: VirtualServiceIndex;
}

/** What a workload sees of the mesh. */
export interface SidecarScope {
  readonly sidecar: ResourceOf<"Sidecar"> | null;
  /** In the order of the Sidecar's entries, those without a port together as the last. */
  readonly egress: readonly EgressScope[];
  /** Hosts that get clusters: those imported, and those that imported VirtualServices send to. */
  readonly services: readonly Service[];
  readonly outboundMode: "ALLOW_ANY" | "REGISTRY_ONLY";
}

/** Trims the mesh to what the workload's Sidecar resource, and everybody's `exportTo`, let it see (spec/00 0.5). */
export function sidecarScope(
  resources: readonly AnyResource[],
  registry: ServiceRegistry,
  workload: WorkloadIdentity,
  mesh: MeshSettings,
  problems: ProblemList,
): SidecarScope {
  const services = visibleServices(registry, workload.namespace, mesh);
  const rules = visibleVirtualServices(resources, workload.namespace, mesh);
  const sidecar = selectSidecar(resources, workload, mesh.rootNamespace, problems);
  const entries = sidecar?.spec.egress ?? [];
  if (sidecar === null || entries.length === 0) {
    const egress = [{ entry: null, index: 0, services, rules: new VirtualServiceIndex(rules, problems) }];
    return { sidecar, egress, services, outboundMode: sidecar?.spec.outboundTrafficPolicy?.mode ?? mesh.outboundMode };
  }
  const egress: EgressScope[] = [];
  const used = new Set<VirtualService>();
  for (const { entry, index, hosts: patterns } of combineUnbound(entries)) {
    const hosts = new EgressHosts(patterns, workload.namespace);
    const imported = rules.filter((rule) => hosts.importsRule(rule.metadata.namespace, hostsOf(rule)));
    for (const rule of imported) used.add(rule);
    const own = services.filter((service) => hosts.importsService(service.namespace, service.host));
    if (own.length === 0 && !patterns.every((host) => host.startsWith("~"))) {
      problems.warning(sidecar, ["spec", "egress", index, "hosts"], "no service of the configuration is imported by these hosts", "sidecar-imports-nothing");
    }
    egress.push({ entry, index, services: own, rules: new VirtualServiceIndex(imported, problems) });
  }
  const hosts = new Set(egress.flatMap((scope) => scope.services.map((service) => service.host)));
  const proxy = sidecar.spec.outboundTrafficPolicy?.egressProxy;
  if (proxy !== undefined) hosts.add(qualifyHost(proxy.host, sidecar.metadata.namespace));
  for (const rule of used) for (const host of destinationHosts(rule)) hosts.add(registry.aliases.get(host) ?? host);
  return {
    sidecar,
    egress,
    services: services.filter((service) => hosts.has(service.host)),
    outboundMode: sidecar.spec.outboundTrafficPolicy?.mode ?? mesh.outboundMode,
  };
}

/** Entries without a port are one: what any of them imports may be reached on the ports that no other entry claims. */
function combineUnbound(entries: readonly SidecarEgress[]): { entry: SidecarEgress; index: number; hosts: readonly string[] }[] {
  const all = entries.map((entry, index) => ({ entry, index, hosts: entry.hosts }));
  const unbound = all.filter(({ entry }) => entry.port === undefined);
  const [first] = unbound;
  if (first === undefined) return all;
  return [...all.filter(({ entry }) => entry.port !== undefined), { ...first, hosts: unbound.flatMap(({ hosts }) => hosts) }];
}

/** Every host that a VirtualService sends traffic to, fully qualified. */
function destinationHosts(resource: VirtualService): string[] {
  const { http, tcp, tls } = resource.spec;
  const routes = [...http, ...tcp, ...tls].flatMap((rule) => rule.route.map(({ destination }) => destination));
  const mirrors = http.flatMap((rule) => [...(rule.mirror === undefined ? [] : [rule.mirror]), ...rule.mirrors.map(({ destination }) => destination)]);
  return [...routes, ...mirrors].map(({ host }) => qualifyHost(host, resource.metadata.namespace));
}
