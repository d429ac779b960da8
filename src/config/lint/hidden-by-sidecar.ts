import { EgressHosts } from "../compile/egress-host.ts";
import { hostsOf } from "../compile/virtual-service-index.ts";
import type { VirtualService } from "../compile/virtual-service-index.ts";
import type { ResourceOf } from "../kinds/kind-specs.ts";
import type { Finding } from "./finding.ts";
import { isForSidecars, placeOf } from "./lint-model.ts";
import type { LintModel } from "./lint-model.ts";

type Sidecar = ResourceOf<"Sidecar">;

/**
 * VirtualServices that the Sidecar of their own namespace hides from its workloads (spec/00 0.5). Only those for hosts of
 * other namespaces: rules for the namespace's own services are mostly meant for callers elsewhere.
 */
export function hiddenBySidecar(model: LintModel): Finding[] {
  const sidecars = new Map<string, { sidecar: Sidecar; hosts: EgressHosts }>();
  for (const sidecar of model.all("Sidecar")) {
    const { namespace } = sidecar.metadata;
    const isGeneral = Object.keys(sidecar.spec.workloadSelector?.labels ?? {}).length === 0;
    if (!isGeneral || sidecar.spec.egress.length === 0 || sidecars.has(namespace)) continue;
    const patterns = sidecar.spec.egress.flatMap((entry) => entry.hosts);
    sidecars.set(namespace, { sidecar, hosts: new EgressHosts(patterns, namespace) });
  }
  const findings: Finding[] = [];
  for (const resource of model.virtualServices) {
    const scope = sidecars.get(resource.metadata.namespace);
    if (scope === undefined || !isForSidecars(resource)) continue;
    const finding = hidden(model, resource, scope.sidecar, scope.hosts);
    if (finding !== null) findings.push(finding);
  }
  return findings;
}

function hidden(model: LintModel, resource: VirtualService, sidecar: Sidecar, imported: EgressHosts): Finding | null {
  const { namespace } = resource.metadata;
  const hosts = hostsOf(resource);
  if (hosts.length === 0 || imported.importsRule(namespace, hosts)) return null;
  const index = hosts.findIndex((host) => {
    const services = model.services.at(host);
    return services.length > 0 && services.every((service) => service.namespace !== namespace);
  });
  if (index < 0) return null;
  return {
    lint: "hidden-by-sidecar", resource, path: ["spec", "hosts", index],
    message: `has no effect on the workloads of ${namespace}: none of the egress hosts of Sidecar ${sidecar.metadata.name} at ${placeOf(sidecar, ["spec", "egress"])} covers it; `
      + `add "${namespace}/${hosts[index]}" there to import this rule, and the namespace of the service to import that`,
  };
}
