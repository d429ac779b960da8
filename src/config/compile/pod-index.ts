import type { ResourceOf } from "../kinds/kind-specs.ts";
import { canonicalAddress } from "./ip-address.ts";
import { formatLocality, hasIstioLocality, localityOfLabels, parseLocality, topologyOf } from "./locality.ts";

type Pod = ResourceOf<"Pod">;

/** Pods by name and by address, and the nodes they run on. */
export class PodIndex {
  readonly all: readonly Pod[];
  readonly #byName = new Map<string, Pod>();
  readonly #byAddress = new Map<string, Pod>();

  readonly #nodeLocalities = new Map<string, string>();
  readonly #regions = new Map<string, string>();

  constructor(pods: readonly Pod[], nodes: readonly ResourceOf<"Node">[] = []) {
    for (const { metadata } of nodes) {
      const locality = topologyOf(metadata.labels);
      this.#nodeLocalities.set(metadata.name, locality);
      const { region, zone } = parseLocality(locality);
      if (region !== "" && zone !== "") this.#regions.set(zone, region);
    }
    this.all = pods;
    for (const pod of pods) {
      this.#byName.set(`${pod.metadata.namespace}/${pod.metadata.name}`, pod);
      // Pods on the host's network share its address and cannot be told apart by it.
      if (pod.spec.spec.hostNetwork) continue;
      for (const address of podAddresses(pod)) this.#byAddress.set(address, pod);
    }
  }

  named(namespace: string, name: string): Pod | null {
    return this.#byName.get(`${namespace}/${name}`) ?? null;
  }

  at(address: string): Pod | null {
    return this.#byAddress.get(address) ?? null;
  }

  /**
   * Where something with these labels on this node runs, `region/zone/subzone` or empty: the label `istio-locality`, else the
   * node, else the labels of the topology, which newer versions of Kubernetes copy to pods, else the zone alone.
   */
  localityOf(labels: Readonly<Record<string, string>>, nodeName: string | null, zone = ""): string {
    if (hasIstioLocality(labels)) return localityOfLabels(labels);
    const ofNode = nodeName === null ? "" : (this.#nodeLocalities.get(nodeName) ?? "");
    const known = ofNode || topologyOf(labels);
    return known || formatLocality({ region: this.#regions.get(zone) ?? "", zone, subzone: "" });
  }
}

/** The addresses of a pod, in canonical form, each once. */
export function podAddresses(pod: Pod): string[] {
  const { podIP, podIPs } = pod.spec.status;
  const addresses = [podIP, ...podIPs.map((entry) => entry.ip)].filter((address) => address !== undefined && address !== "");
  return [...new Set(addresses.map((address) => canonicalAddress(address as string)))];
}
