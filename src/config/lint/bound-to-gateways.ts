import { hostsOf } from "../compile/virtual-service-index.ts";
import type { Finding } from "./finding.ts";
import { isForSidecars } from "./lint-model.ts";
import type { LintModel } from "./lint-model.ts";

/**
 * A VirtualService that names gateways and not `mesh` is not for sidecars. That is as it should be for public names; for
 * a service of the mesh it means that calls within the mesh do not obey it.
 */
export function boundToGatewaysOnly(model: LintModel): Finding[] {
  const findings: Finding[] = [];
  for (const resource of model.virtualServices) {
    if (isForSidecars(resource)) continue;
    const hosts = hostsOf(resource);
    const index = hosts.findIndex((host) => model.services.at(host).length > 0);
    if (index < 0) continue;
    findings.push({
      lint: "bound-to-gateways-only", resource, path: ["spec", "gateways"],
      message: `has no effect on calls to ${hosts[index]} within the mesh, only on those through these gateways; add "mesh" if sidecars are to obey it too`,
    });
  }
  return findings;
}
