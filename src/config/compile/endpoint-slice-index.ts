import type { AnyResource, ResourceOf } from "../kinds/kind-specs.ts";
import type { SliceEndpoint } from "../kinds/kubernetes.ts";
import { endpointOfPod } from "./endpoint-of-pod.ts";
import { canonicalAddress } from "./ip-address.ts";
import type { PodIndex } from "./pod-index.ts";
import { compareText, oldestFirst } from "./resource-order.ts";
import type { ServiceEndpoint } from "./service.ts";

const SERVICE_NAME_LABEL = "kubernetes.io/service-name";

type Reference = { readonly kind?: string | undefined; readonly name?: string | undefined; readonly namespace?: string | undefined };

/** One address of a slice or of Endpoints. */
interface Listed {
  readonly ip: string;
  readonly hostname?: string | undefined;
  readonly nodeName?: string | undefined;
  readonly zone?: string | undefined;
  readonly targetRef?: Reference | undefined;
}

/** Endpoints of Kubernetes services by service and port name. */
export class EndpointSliceIndex {
  readonly #byPort = new Map<string, Map<string, ServiceEndpoint>>();
  readonly #pods: PodIndex;

  constructor(resources: readonly AnyResource[], pods: PodIndex) {
    this.#pods = pods;
    const sliced = new Set<string>();
    for (const slice of oldestFirst(resources, "EndpointSlice")) {
      const name = slice.metadata.labels[SERVICE_NAME_LABEL];
      if (name === undefined || slice.spec.addressType === "FQDN") continue;
      sliced.add(`${slice.metadata.namespace}/${name}`);
      this.#addSlice(slice, name);
    }
    // Kubernetes mirrors Endpoints into slices: they count only for services that have no slice.
    for (const endpoints of oldestFirst(resources, "Endpoints")) {
      if (!sliced.has(`${endpoints.metadata.namespace}/${endpoints.metadata.name}`)) this.#addEndpoints(endpoints);
    }
  }

  /** The endpoints of a service's port, by address. */
  of(namespace: string, service: string, portName: string): ServiceEndpoint[] {
    const endpoints = this.#byPort.get(`${namespace}/${service}/${portName}`);
    return [...(endpoints?.values() ?? [])].toSorted((a, b) => compareText(a.address, b.address) || a.port - b.port);
  }

  #addSlice(slice: ResourceOf<"EndpointSlice">, service: string): void {
    const { namespace } = slice.metadata;
    for (const port of slice.spec.ports) {
      if (port.port === undefined || port.protocol !== "TCP") continue;
      for (const endpoint of slice.spec.endpoints) {
        const health = healthOf(endpoint);
        if (health === "gone") continue;
        for (const address of endpoint.addresses) {
          this.#add(`${namespace}/${service}/${port.name}`, namespace, { ...endpoint, ip: address }, port.port, health === "healthy");
        }
      }
    }
  }

  #addEndpoints(resource: ResourceOf<"Endpoints">): void {
    const { namespace, name } = resource.metadata;
    for (const subset of resource.spec.subsets) {
      for (const port of subset.ports) {
        if (port.protocol !== "TCP") continue;
        const key = `${namespace}/${name}/${port.name}`;
        for (const entry of subset.addresses) this.#add(key, namespace, entry, port.port, true);
        for (const entry of subset.notReadyAddresses) this.#add(key, namespace, entry, port.port, false);
      }
    }
  }

  #add(key: string, namespace: string, entry: Listed, port: number, isHealthy: boolean): void {
    let endpoints = this.#byPort.get(key);
    if (endpoints === undefined) this.#byPort.set(key, (endpoints = new Map()));
    const address = canonicalAddress(entry.ip);
    const id = `${address} ${port}`;
    // While an endpoint moves from slice to slice it may be in both: ready in either is ready.
    if (endpoints.get(id)?.isHealthy === true) return;
    const pod = this.#podOf(entry.targetRef, namespace, address);
    const hostName = entry.hostname === undefined || entry.hostname === "" ? null : entry.hostname.toLowerCase();
    endpoints.set(id, { ...endpointOfPod(address, port, isHealthy, namespace, pod, this.#pods, entry), hostName });
  }

  #podOf(reference: Reference | undefined, namespace: string, address: string): ResourceOf<"Pod"> | null {
    const isPod = reference?.name !== undefined && (reference.kind ?? "Pod") === "Pod";
    if (isPod) return this.#pods.named(reference.namespace ?? namespace, reference.name as string);
    return this.#pods.at(address);
  }
}

/** EndpointSlice conditions (spec/00 0.3): one that terminates is dropped, one that is not ready is kept as unhealthy. */
function healthOf(endpoint: SliceEndpoint): "healthy" | "unhealthy" | "gone" {
  if (endpoint.conditions.ready !== false) return "healthy";
  return endpoint.conditions.terminating === true ? "gone" : "unhealthy";
}
