import type { AnyResource, ResourceOf } from "../kinds/kind-specs.ts";
import type { ServiceEntrySpec } from "../kinds/service-entry.ts";
import { endpointOfPod } from "./endpoint-of-pod.ts";
import { selects } from "./export-to.ts";
import { singleAddress } from "./ip-address.ts";
import { podAddresses } from "./pod-index.ts";
import type { PodIndex } from "./pod-index.ts";
import { protocolOfPort } from "./port-protocol.ts";
import type { ProblemList } from "./problem-list.ts";
import { compareText, oldestFirst } from "./resource-order.ts";
import type { Resolution, Service, ServiceEndpoint, ServicePort } from "./service.ts";
import { WorkloadEntries, endpointOfWorkload } from "./workload-endpoint.ts";

type PortSpec = ServiceEntrySpec["ports"][number];
type ServiceEntry = ResourceOf<"ServiceEntry">;

/** Turns ServiceEntries with their WorkloadEntries and Pods into hosts of the registry, one for each host (spec/00 0.4). */
export function serviceEntries(resources: readonly AnyResource[], pods: PodIndex, problems: ProblemList): Service[] {
  const workloads = new WorkloadEntries(resources);
  return oldestFirst(resources, "ServiceEntry").flatMap((resource) => {
    const addresses = virtualAddresses(resource);
    return resource.spec.hosts.map((host) => compileHost(resource, host.toLowerCase(), addresses, workloads, pods, problems));
  });
}

function compileHost(
  resource: ServiceEntry,
  host: string,
  addresses: Pick<Service, "addresses" | "addressBlocks">,
  workloads: WorkloadEntries,
  pods: PodIndex,
  problems: ProblemList,
): Service {
  const { spec, metadata } = resource;
  const resolution = resolutionOf(spec.resolution);
  const ports: ServicePort[] = [];
  for (const port of spec.ports) {
    const protocol = protocolOfPort({ appProtocol: port.protocol === "" ? undefined : port.protocol, name: port.name, port: port.number });
    if (protocol === "UDP") continue;
    const endpoints = endpointsOf(resource, host, port, workloads, pods, problems);
    ports.push({ number: port.number, name: port.name, protocol, targetPort: port.targetPort ?? port.number, endpoints });
  }
  return {
    host,
    ref: { host, name: host, namespace: metadata.namespace },
    namespace: metadata.namespace,
    resolution,
    isHeadless: false,
    publishesNotReady: false,
    isExternal: spec.location === "MESH_EXTERNAL",
    isKubernetes: false,
    ...addresses,
    ports,
    exportTo: spec.exportTo ?? [],
    subjectAltNames: spec.subjectAltNames,
    selector: spec.workloadSelector?.labels ?? null,
    resource,
  };
}

function resolutionOf(resolution: ServiceEntrySpec["resolution"]): Resolution {
  if (resolution === "NONE") return "none";
  if (resolution === "DNS_ROUND_ROBIN") return "dns-round-robin";
  return resolution === "DNS" ? "dns" : "static";
}

/** What connections to the entry's hosts are told by: single addresses, and blocks of several. */
function virtualAddresses({ spec }: ServiceEntry): Pick<Service, "addresses" | "addressBlocks"> {
  const addresses = spec.addresses.map(singleAddress).filter((address) => address !== null);
  const addressBlocks = [...new Set(spec.addresses.filter((text) => singleAddress(text) === null))];
  return addressBlocks.length === 0 ? { addresses } : { addresses, addressBlocks };
}

function endpointsOf(
  resource: ServiceEntry,
  host: string,
  port: PortSpec,
  workloads: WorkloadEntries,
  pods: PodIndex,
  problems: ProblemList,
): ServiceEndpoint[] {
  const { spec, metadata } = resource;
  const found: ServiceEndpoint[] = [];
  spec.endpoints.forEach((entry, index) => {
    const endpoint = endpointOfWorkload(entry, port, metadata.namespace, null);
    if (endpoint === null) problems.error(resource, ["spec", "endpoints", index, "address"], "only IP addresses and host names are supported: this endpoint is left out");
    else found.push(endpoint);
  });
  if (spec.workloadSelector !== undefined) found.push(...selectedEndpoints(resource, port, workloads, pods));
  const resolvesItself = spec.resolution.startsWith("DNS") && spec.endpoints.length === 0 && spec.workloadSelector === undefined;
  if (resolvesItself) {
    const self = endpointOfWorkload({ address: host, labels: {} }, port, metadata.namespace, null);
    if (self !== null) found.push(self);
  }
  return found.toSorted((a, b) => compareText(a.address, b.address) || a.port - b.port);
}

function selectedEndpoints(
  resource: ServiceEntry,
  port: PortSpec,
  workloads: WorkloadEntries,
  pods: PodIndex,
): ServiceEndpoint[] {
  const selector = resource.spec.workloadSelector?.labels;
  const { namespace } = resource.metadata;
  const found = workloads.selectedBy(selector ?? null, namespace, port);
  for (const pod of pods.all) {
    if (pod.metadata.namespace !== namespace || !selects(selector, pod.metadata.labels)) continue;
    const [address] = podAddresses(pod);
    const isHealthy = pod.spec.status.phase === undefined || pod.spec.status.phase === "Running";
    if (address !== undefined) found.push(endpointOfPod(address, port.targetPort ?? port.number, isHealthy, namespace, pod, pods));
  }
  return found;
}
