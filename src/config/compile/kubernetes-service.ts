import { isIP } from "node:net";
import type { AnyResource, ResourceOf } from "../kinds/kind-specs.ts";
import type { ServicePort as PortSpec } from "../kinds/kubernetes.ts";
import { EndpointSliceIndex } from "./endpoint-slice-index.ts";
import { CLUSTER_DOMAIN } from "./host-name.ts";
import { canonicalAddress } from "./ip-address.ts";
import { DISTRIBUTION_ANNOTATION, labelsOfDistribution } from "./locality-setting.ts";
import type { PodIndex } from "./pod-index.ts";
import { protocolOfPort } from "./port-protocol.ts";
import type { ProblemList } from "./problem-list.ts";
import { oldestFirst } from "./resource-order.ts";
import type { Service, ServicePort } from "./service.ts";
import { WorkloadEntries } from "./workload-endpoint.ts";

/** Kubernetes services as hosts of the registry; `aliases` are the ExternalName services and what they stand for. */
export interface KubernetesServices {
  readonly services: readonly Service[];
  readonly aliases: ReadonlyMap<string, string>;
}

/** Turns Services with their EndpointSlices, or Endpoints where there are no slices, into hosts (spec/00 0.3). */
export function kubernetesServices(resources: readonly AnyResource[], pods: PodIndex, problems: ProblemList): KubernetesServices {
  const sources = { slices: new EndpointSliceIndex(resources, pods), workloads: new WorkloadEntries(resources) };
  const services: Service[] = [];
  const aliases = new Map<string, string>();
  for (const resource of oldestFirst(resources, "Service")) {
    const host = hostOf(resource);
    if (resource.spec.type === "ExternalName") {
      if (resource.spec.externalName !== undefined) aliases.set(host, resource.spec.externalName.toLowerCase());
      problems.warning(resource, ["spec", "type"], "ExternalName services get no listener of their own; connections to it are treated as to an unknown destination");
    } else {
      services.push(compileService(resource, host, sources, problems));
    }
  }
  return { services, aliases };
}

function hostOf(resource: ResourceOf<"Service">): string {
  return `${resource.metadata.name}.${resource.metadata.namespace}.svc.${CLUSTER_DOMAIN}`;
}

/** Where endpoints come from. */
interface EndpointSources {
  readonly slices: EndpointSliceIndex;
  /** A Service selects WorkloadEntries of its namespace as it does pods. */
  readonly workloads: WorkloadEntries;
}

function compileService(resource: ResourceOf<"Service">, host: string, sources: EndpointSources, problems: ProblemList): Service {
  const { metadata, spec } = resource;
  const isHeadless = spec.clusterIP === "None" || spec.clusterIPs[0] === "None";
  const addresses = spec.clusterIPs.length > 0 ? spec.clusterIPs : [spec.clusterIP ?? ""];
  const ports: ServicePort[] = [];
  for (const port of spec.ports) {
    const protocol = protocolOfPort(port);
    if (protocol !== "UDP" && port.protocol === "TCP") ports.push(compilePort(resource, port, protocol, sources));
  }
  const written = metadata.annotations[DISTRIBUTION_ANNOTATION];
  const trafficDistribution = written ?? spec.trafficDistribution;
  if (trafficDistribution !== undefined && trafficDistribution !== "Any" && labelsOfDistribution(trafficDistribution) === undefined) {
    const path = written === undefined ? ["spec", "trafficDistribution"] : ["metadata", "annotations", DISTRIBUTION_ANNOTATION];
    problems.warning(resource, path, `${JSON.stringify(trafficDistribution)} is not known: endpoints are chosen as if it were not there`);
  }
  return {
    host,
    ref: { host, name: metadata.name, namespace: metadata.namespace },
    namespace: metadata.namespace,
    resolution: isHeadless ? "none" : "static",
    isHeadless,
    publishesNotReady: spec.publishNotReadyAddresses,
    isExternal: false,
    isKubernetes: true,
    addresses: isHeadless ? [] : addresses.filter((address) => address !== "" && address !== "None").map(canonicalAddress),
    ports,
    ...(trafficDistribution === undefined ? {} : { trafficDistribution }),
    ...(spec.internalTrafficPolicy === "Local" ? { isNodeLocal: true } : {}),
    exportTo: exportToOf(metadata.annotations),
    subjectAltNames: [],
    selector: spec.selector !== undefined && Object.keys(spec.selector).length > 0 ? spec.selector : null,
    resource,
  };
}

function compilePort(resource: ResourceOf<"Service">, port: PortSpec, protocol: ServicePort["protocol"], { slices, workloads }: EndpointSources): ServicePort {
  const { namespace, name } = resource.metadata;
  const listed = slices.of(namespace, name, port.name);
  // Without labels it selects nothing; its endpoints are what somebody lists.
  const selector = Object.keys(resource.spec.selector ?? {}).length > 0 ? resource.spec.selector ?? null : null;
  const selected = workloads.selectedBy(selector, namespace, { name: port.name, number: port.port, targetPort: port.targetPort });
  return {
    number: port.port,
    name: port.name,
    protocol,
    targetPort: port.targetPort ?? port.port,
    // The addresses of a Service are IP addresses: a name would have to be resolved.
    endpoints: [...listed, ...selected.filter(({ address }) => isIP(address) !== 0)],
  };
}

/** The annotation's namespaces; empty for the mesh's default. */
function exportToOf(annotations: Readonly<Record<string, string>>): string[] {
  const text = annotations["networking.istio.io/exportTo"] ?? "";
  return text.split(",").map((entry) => entry.trim()).filter((entry) => entry !== "");
}
