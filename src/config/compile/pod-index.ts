import type { ResourceOf } from "../kinds/kind-specs.ts";
import { canonicalAddress } from "./ip-address.ts";

type Pod = ResourceOf<"Pod">;

/** Pods by name and by address. */
export class PodIndex {
  readonly all: readonly Pod[];
  readonly #byName = new Map<string, Pod>();
  readonly #byAddress = new Map<string, Pod>();

  constructor(pods: readonly Pod[]) {
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
}

/** The addresses of a pod, in canonical form, each once. */
export function podAddresses(pod: Pod): string[] {
  const { podIP, podIPs } = pod.spec.status;
  const addresses = [podIP, ...podIPs.map((entry) => entry.ip)].filter((address) => address !== undefined && address !== "");
  return [...new Set(addresses.map((address) => canonicalAddress(address as string)))];
}
