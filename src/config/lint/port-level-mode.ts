import { selects } from "../compile/export-to.ts";
import type { Service, ServiceEndpoint } from "../compile/service.ts";
import type { ResourceOf } from "../kinds/kind-specs.ts";
import type { Finding } from "./finding.ts";
import type { LintModel } from "./lint-model.ts";

/**
 * Modes for a port that is none of the workload's own, but the port of a service that leads to another one: `portLevelMtls`
 * goes by the port the application listens on (`spec/05` 5.2).
 */
export function modesForServicePorts(model: LintModel): Finding[] {
  return model.all("PeerAuthentication").flatMap((policy) => Object.keys(policy.spec.portLevelMtls ?? {}).flatMap((key) => {
    const meant = meantPort(model, policy, Number(key));
    return meant === null ? [] : [finding(policy, key, meant)];
  }));
}

interface MeantPort {
  readonly service: Service;
  readonly port: number;
}

/** The workload port that was probably meant; null where the port is one, or nothing is known of it. */
function meantPort(model: LintModel, { metadata, spec }: ResourceOf<"PeerAuthentication">, number: number): MeantPort | null {
  const isSelected = ({ namespace, labels }: ServiceEndpoint): boolean => namespace === metadata.namespace && selects(spec.selector?.matchLabels, labels);
  let meant: MeantPort | null = null;
  for (const service of model.services.within("*")) {
    for (const port of service.ports) {
      for (const endpoint of port.endpoints) {
        if (!isSelected(endpoint)) continue;
        if (endpoint.port === number) return null;
        if (port.number === number) meant ??= { service, port: endpoint.port };
      }
    }
  }
  return meant;
}

function finding(resource: ResourceOf<"PeerAuthentication">, key: string, { service, port }: MeantPort): Finding {
  return {
    lint: "mode-for-service-port", resource, path: ["spec", "portLevelMtls", key],
    message: `no service leads to port ${key} of the workload: ${key} is the port of ${service.host}, whose connections come to port ${port}, and this mode is not theirs; write ${port}`,
  };
}
