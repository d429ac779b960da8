import type { AnyResource, ResourceOf } from "../kinds/kind-specs.ts";
import { isExportedTo } from "./export-to.ts";
import { HostIndex } from "./host-index.ts";
import { qualifyHost } from "./host-name.ts";
import type { MeshSettings } from "./mesh-settings.ts";
import type { ProblemList } from "./problem-list.ts";
import { oldestFirst } from "./resource-order.ts";

export type VirtualService = ResourceOf<"VirtualService">;

/** The gateway that stands for all sidecars. */
export const MESH_GATEWAY = "mesh";

/** The VirtualServices that sidecars of a namespace see, the oldest first (spec/03 3.1). */
export function visibleVirtualServices(resources: readonly AnyResource[], namespace: string, mesh: MeshSettings): VirtualService[] {
  return oldestFirst(resources, "VirtualService").filter((resource) =>
    (resource.spec.gateways ?? [MESH_GATEWAY]).includes(MESH_GATEWAY)
    && isExportedTo(resource.spec.exportTo ?? [], resource.metadata.namespace, namespace, mesh.virtualServiceExportTo));
}

/** A VirtualService's hosts, fully qualified. */
export function hostsOf(resource: VirtualService): string[] {
  return resource.spec.hosts.map((host) => qualifyHost(host, resource.metadata.namespace));
}

/** Which VirtualService is in force for a host. */
export class VirtualServiceIndex {
  /** By host, the oldest only. */
  readonly #byHost = new Map<string, VirtualService>();
  readonly #index: HostIndex<VirtualService>;

  /** @param resources oldest first. */
  constructor(resources: readonly VirtualService[], problems: ProblemList) {
    for (const resource of resources) {
      hostsOf(resource).forEach((host, index) => {
        const winner = this.#byHost.get(host);
        if (winner === undefined) this.#byHost.set(host, resource);
        else if (winner !== resource) {
          problems.shadowed(resource, ["spec", "hosts", index],
            `ignored for this host: VirtualService ${winner.metadata.namespace}/${winner.metadata.name} came first; rules of several VirtualServices for one host are not merged`, winner);
        }
      });
    }
    this.#index = new HostIndex(this.#byHost);
  }

  /** The one for a service's host: by its exact name, else by the most specific wildcard. */
  of(host: string): VirtualService | null {
    return this.#index.covering(host)[0] ?? null;
  }

  /** The hosts each VirtualService is in force for, in the order of the resources given. */
  entries(): [host: string, resource: VirtualService][] {
    return [...this.#byHost.entries()];
  }
}
