import { isExportedTo } from "../compile/export-to.ts";
import { CLUSTER_DOMAIN, isSubsetOfHost, isWildcard, qualifyHost } from "../compile/host-name.ts";
import type { Service } from "../compile/service.ts";
import { hostsOf } from "../compile/virtual-service-index.ts";
import type { VirtualService } from "../compile/virtual-service-index.ts";
import type { ResourceOf } from "../kinds/kind-specs.ts";
import type { Finding } from "./finding.ts";
import { isForSidecars, placeOf } from "./lint-model.ts";
import type { LintModel } from "./lint-model.ts";

const ADVICE = 'write exportTo: ["."] to keep it to the callers of';

/**
 * Rules of one namespace that decide for callers elsewhere what becomes of calls to a host of another: whoever may write
 * them may read and answer what is meant for that (ISTIO-2026-002). Istio lets every namespace do so, and so do we; those
 * of the root namespace are the mesh's. A DestinationRule cannot: callers look in their own namespace and the service's.
 */
export function foreignHosts(model: LintModel): Finding[] {
  const { rootNamespace } = model.mesh;
  const rules = model.virtualServices.filter((rule) => isForSidecars(rule) && rule.metadata.namespace !== rootNamespace);
  const entries = model.all("ServiceEntry").filter((entry) => entry.metadata.namespace !== rootNamespace);
  return [...rules.flatMap((rule) => claimedRoutes(model, rule)), ...entries.flatMap((entry) => claimedNames(model, entry))];
}

/** One finding for each host that is not the rule's own; of a wildcard, for the first service it takes. */
function claimedRoutes(model: LintModel, rule: VirtualService): Finding[] {
  const { namespace } = rule.metadata;
  return hostsOf(rule).flatMap((host, index): Finding[] => {
    const service = model.services.within(host).find((candidate) => candidate.namespace !== namespace && isTaken(model, rule, candidate));
    if (service === undefined) return [];
    return [{
      lint: "claims-foreign-host", resource: rule, path: ["spec", "hosts", index],
      message: `decides for callers outside of namespace ${namespace}, too, where calls to ${service.host} go, a host of namespace ${service.namespace} (${placeOf(service.resource, [])}); `
        + `${ADVICE} ${namespace}, or leave the rule to ${service.namespace}`,
    }];
  });
}

/** Whether callers outside of the rule's namespace see both the rule and the service. */
function isTaken(model: LintModel, rule: VirtualService, service: Service): boolean {
  const { namespace } = rule.metadata;
  return [service.namespace, "*"].some((caller) =>
    isExportedTo(rule.spec.exportTo ?? [], namespace, caller, model.mesh.virtualServiceExportTo)
    && isExportedTo(service.exportTo, service.namespace, caller, model.mesh.serviceExportTo));
}

/** ServiceEntries for names below `NAMESPACE.svc` of the cluster. Where a Service has the name, the compiler tells that it counts. */
function claimedNames(model: LintModel, entry: ResourceOf<"ServiceEntry">): Finding[] {
  const { namespace } = entry.metadata;
  const { exportTo = [] } = entry.spec;
  const isForOthers = (exportTo.length > 0 ? exportTo : model.mesh.serviceExportTo).some((to) => ![".", "~", namespace].includes(to));
  if (!isForOthers) return [];
  return entry.spec.hosts.flatMap((written, index): Finding[] => {
    const host = qualifyHost(written, namespace);
    const owner = namespaceOf(host);
    if (owner === null || owner === namespace || model.services.at(host).some((service) => service.isKubernetes)) return [];
    return [{
      lint: "claims-foreign-host", resource: entry, path: ["spec", "hosts", index],
      message: `answers for callers outside of namespace ${namespace}, too, for ${owner === "*" ? `names of every namespace (${host})` : `${host}, a name of namespace ${owner}`}; `
        + `${ADVICE} ${namespace}, or use a host of its own`,
    }];
  });
}

/** The namespace a name of the cluster belongs to, `*` for a wildcard over several; null for other names. */
function namespaceOf(host: string): string | null {
  const end = `.svc.${CLUSTER_DOMAIN}`;
  if (!host.endsWith(end)) return isSubsetOfHost(`*${end}`, host) ? "*" : null;
  const last = host.slice(0, -end.length).split(".").at(-1) ?? "";
  return isWildcard(last) ? "*" : last;
}
