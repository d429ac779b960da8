import type { InboundSpec } from "../snapshot.ts";
import { selects } from "./export-to.ts";
import type { ProblemList } from "./problem-list.ts";
import type { Service } from "./service.ts";
import type { WorkloadIdentity } from "./workload-identity.ts";

/** `allow` on a Service or ServiceEntry: its workloads serve requests for other hosts than TLS was opened for. */
const ANNOTATION = "outrider.io/sni-host-mismatch";

/** What was compiled for the inbound side, and whether one of the workload's services lets hosts differ from server names. */
export function withForeignHosts<T extends { readonly inbound: InboundSpec }>(
  compiled: T, services: readonly Service[], workload: WorkloadIdentity, problems: ProblemList,
): T {
  return allowsForeignHosts(services, workload, problems) ? { ...compiled, inbound: { ...compiled.inbound, allowsForeignHosts: true } } : compiled;
}

function allowsForeignHosts(services: readonly Service[], { namespace, labels, addresses }: WorkloadIdentity, problems: ProblemList): boolean {
  const own = services.filter((service) => valueOf(service) !== undefined && service.namespace === namespace && (
    (service.selector !== null && selects(service.selector, labels)) || service.ports.some((port) => port.endpoints.some(({ address }) => addresses.includes(address)))));
  for (const service of own) {
    const value = valueOf(service);
    if (value !== "allow" && value !== "refuse") {
      problems.warning(service.resource, ["metadata", "annotations", ANNOTATION], `must be "allow" or "refuse", not ${JSON.stringify(value)}: they are refused`);
    }
  }
  return own.some((service) => valueOf(service) === "allow");
}

function valueOf({ resource }: Service): string | undefined {
  const { annotations } = resource.metadata;
  return Object.hasOwn(annotations, ANNOTATION) ? annotations[ANNOTATION] : undefined;
}
