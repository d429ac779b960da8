import type { AnyResource } from "../kinds/kind-specs.ts";
import { isExportedTo } from "./export-to.ts";
import { kubernetesServices } from "./kubernetes-service.ts";
import type { MeshSettings } from "./mesh-settings.ts";
import type { PodIndex } from "./pod-index.ts";
import type { ProblemList } from "./problem-list.ts";
import { compareAge } from "./resource-order.ts";
import { serviceEntries } from "./service-entry.ts";
import type { Service } from "./service.ts";

/** Every host of the mesh, and which of them a namespace sees. */
export interface ServiceRegistry {
  /** All of them, the oldest first; a host may occur once per namespace. */
  readonly services: readonly Service[];
  /** ExternalName hosts to the host they stand for. */
  readonly aliases: ReadonlyMap<string, string>;
}

/** Gathers the registry from Kubernetes Services and ServiceEntries. */
export function serviceRegistry(resources: readonly AnyResource[], pods: PodIndex, problems: ProblemList): ServiceRegistry {
  const kubernetes = kubernetesServices(resources, pods, problems);
  const byKey = new Map<string, Service>();
  const byHost = new Map<string, Service>();
  for (const service of kubernetes.services) {
    byKey.set(`${service.namespace}/${service.host}`, service);
    byHost.set(service.host, service);
  }
  for (const entry of serviceEntries(resources, pods, problems)) {
    const owner = byHost.get(entry.host);
    if (owner !== undefined) {
      // The Kubernetes service is the host; the entry only tells more about it.
      const key = `${owner.namespace}/${owner.host}`;
      const known = byKey.get(key) ?? owner;
      byKey.set(key, { ...known, subjectAltNames: [...new Set([...known.subjectAltNames, ...entry.subjectAltNames])] });
      problems.warning(entry.resource, ["spec", "hosts"], `${owner.host} is Service ${owner.namespace}/${owner.ref.name} already: of this entry only subjectAltNames count, its ports and endpoints have no effect`, "service-entry-overlap");
      continue;
    }
    const key = `${entry.namespace}/${entry.host}`;
    const rival = byKey.get(key);
    byKey.set(key, rival === undefined ? entry : merge(rival, entry, problems));
  }
  return { services: [...byKey.values()].toSorted((a, b) => compareAge(a.resource, b.resource)), aliases: kubernetes.aliases };
}

/** Two ServiceEntries of a namespace that name the same host: the older decides, the younger may add ports and addresses. */
function merge(older: Service, younger: Service, problems: ProblemList): Service {
  const added = younger.ports.filter((port) => !older.ports.some((own) => own.number === port.number));
  if (added.length < younger.ports.length) {
    problems.warning(younger.resource, ["spec", "hosts"], `host ${older.host} is already defined by ${older.resource.metadata.name}; the ports both define are taken from there`, "host-claimed-twice");
  }
  const addresses = [...new Set([...older.addresses, ...younger.addresses])];
  const blocks = [...new Set([...older.addressBlocks ?? [], ...younger.addressBlocks ?? []])];
  return { ...older, addresses, ...(blocks.length === 0 ? {} : { addressBlocks: blocks }), ports: [...older.ports, ...added], subjectAltNames: [...new Set([...older.subjectAltNames, ...younger.subjectAltNames])] };
}

/**
 * The services that a namespace may see, one for each host: its own before those of other namespaces, Kubernetes'
 * before others, then the oldest.
 */
export function visibleServices(registry: ServiceRegistry, namespace: string, mesh: MeshSettings): Service[] {
  const chosen = new Map<string, Service>();
  for (const service of registry.services) {
    if (!isExportedTo(service.exportTo, service.namespace, namespace, mesh.serviceExportTo)) continue;
    const rival = chosen.get(service.host);
    if (rival === undefined || rank(service, namespace) > rank(rival, namespace)) chosen.set(service.host, service);
  }
  return registry.services.filter((service) => chosen.get(service.host) === service);
}

function rank(service: Service, namespace: string): number {
  return (service.namespace === namespace ? 2 : 0) + (service.isKubernetes ? 1 : 0);
}
