import type { AnyResource, ResourceOf } from "../kinds/kind-specs.ts";
import type { ServicePort as PortSpec } from "../kinds/kubernetes.ts";
import { EndpointSliceIndex } from "./endpoint-slice-index.ts";
import { CLUSTER_DOMAIN } from "./host-name.ts";
import { canonicalAddress } from "./ip-address.ts";
import type { PodIndex } from "./pod-index.ts";
import { protocolOfPort } from "./port-protocol.ts";
import type { ProblemList } from "./problem-list.ts";
import { oldestFirst } from "./resource-order.ts";
import type { Service, ServicePort } from "./service.ts";

/** Kubernetes services as hosts of the registry; `aliases` are the ExternalName services and what they stand for. */
export interface KubernetesServices {
  readonly services: readonly Service[];
  readonly aliases: ReadonlyMap<string, string>;
}

/** Turns Services with their EndpointSlices, or Endpoints where there are no slices, into hosts (spec/00 0.3). */
export function kubernetesServices(resources: readonly AnyResource[], pods: PodIndex, problems: ProblemList): KubernetesServices {
  const endpoints = new EndpointSliceIndex(resources, pods);
  const services: Service[] = [];
  const aliases = new Map<string, string>();
  for (const resource of oldestFirst(resources, "Service")) {
    const host = hostOf(resource);
    if (resource.spec.type === "ExternalName") {
      if (resource.spec.externalName !== undefined) aliases.set(host, resource.spec.externalName.toLowerCase());
      problems.warning(resource, ["spec", "type"], "ExternalName services get no listener of their own; connections to it are treated as to an unknown destination");
    } else {
      services.push(compileService(resource, host, endpoints, problems));
    }
  }
  return { services, aliases };
}

function hostOf(resource: ResourceOf<"Service">): string {
  return `${resource.metadata.name}.${resource.metadata.namespace}.svc.${CLUSTER_DOMAIN}`;
}

function compileService(resource: ResourceOf<"Service">, host: string, endpoints: EndpointSliceIndex, problems: ProblemList): Service {
  const { metadata, spec } = resource;
  const isHeadless = spec.clusterIP === "None" || spec.clusterIPs[0] === "None";
  const addresses = spec.clusterIPs.length > 0 ? spec.clusterIPs : [spec.clusterIP ?? ""];
  const ports: ServicePort[] = [];
  for (const port of spec.ports) {
    const protocol = protocolOfPort(port);
    if (protocol !== "UDP" && port.protocol === "TCP") ports.push(compilePort(resource, port, protocol, endpoints));
  }
  if (spec.internalTrafficPolicy === "Local") {
    problems.warning(resource, ["spec", "internalTrafficPolicy"], "Local is not obeyed: endpoints of every node are used");
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
    exportTo: exportToOf(metadata.annotations),
    subjectAltNames: [],
    selector: spec.selector !== undefined && Object.keys(spec.selector).length > 0 ? spec.selector : null,
    resource,
  };
}

function compilePort(resource: ResourceOf<"Service">, port: PortSpec, protocol: ServicePort["protocol"], endpoints: EndpointSliceIndex): ServicePort {
  return {
    number: port.port,
    name: port.name,
    protocol,
    targetPort: port.targetPort ?? port.port,
    endpoints: endpoints.of(resource.metadata.namespace, resource.metadata.name, port.name),
  };
}

/** The annotation's namespaces; empty for the mesh's default. */
function exportToOf(annotations: Readonly<Record<string, string>>): string[] {
  const text = annotations["networking.istio.io/exportTo"] ?? "";
  return text.split(",").map((entry) => entry.trim()).filter((entry) => entry !== "");
}
