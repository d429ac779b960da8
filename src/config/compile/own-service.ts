import { selects } from "./export-to.ts";
import { canonicalAddress } from "./ip-address.ts";
import type { PodIndex } from "./pod-index.ts";
import type { ProblemList } from "./problem-list.ts";
import type { ServiceRegistry } from "./service-registry.ts";
import type { Service, ServicePort } from "./service.ts";
import type { WorkloadIdentity } from "./workload-identity.ts";

/** A port of the workload, and the service port it is reached by. */
export interface OwnPort {
  readonly number: number;
  readonly service: Service;
  readonly port: ServicePort;
}

/**
 * The workload's ports that services lead to (spec/02 2.6), the oldest service's first; a number may occur more than
 * once. A service is the workload's when its selector holds or when one of its endpoints has the workload's address.
 */
export function ownPorts(registry: ServiceRegistry, workload: WorkloadIdentity, pods: PodIndex, problems: ProblemList): OwnPort[] {
  const addresses = new Set(workload.addresses.map(canonicalAddress));
  const found: OwnPort[] = [];
  for (const service of registry.services) {
    const isSelected = service.namespace === workload.namespace && service.selector !== null && selects(service.selector, workload.labels);
    for (const port of service.ports) {
      const own = port.endpoints.filter((endpoint) => addresses.has(endpoint.address)).map((endpoint) => endpoint.port);
      const numbers = own.length > 0 ? new Set(own) : isSelected ? targetNumber(service, port, workload, pods, problems) : [];
      for (const number of numbers) found.push({ number, service, port });
    }
  }
  return found;
}

/** The number of a target port, through the pod's containers where it is a name; empty when it cannot be found out. */
function targetNumber(service: Service, port: ServicePort, workload: WorkloadIdentity, pods: PodIndex, problems: ProblemList): number[] {
  const { targetPort } = port;
  if (typeof targetPort === "number") return [targetPort];
  if (/^\d+$/.test(targetPort)) return [Number(targetPort)];
  const pod = pods.named(workload.namespace, workload.podName);
  const containerPort = pod?.spec.spec.containers.flatMap((container) => container.ports).find((entry) => entry.name === targetPort);
  if (containerPort !== undefined) return [containerPort.containerPort];
  const index = service.ports.indexOf(port);
  problems.warning(service.resource, ["spec", "ports", index, "targetPort"], pod === null
    ? `the number of target port ${JSON.stringify(targetPort)} is not known, since there is no Pod ${workload.namespace}/${workload.podName} and no endpoint of it: the port is treated as one without service`
    : `Pod ${workload.podName} has no container port named ${JSON.stringify(targetPort)}: the port is treated as one without service`);
  return [];
}
