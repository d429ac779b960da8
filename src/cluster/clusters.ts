import { isDeepStrictEqual } from "node:util";
import type { ClusterSpec } from "../config/snapshot.ts";
import { Cluster } from "./cluster.ts";
import type { ClusterParts } from "./cluster-parts.ts";
import type { ClusterState } from "./cluster-state.ts";

/** Every cluster of this workload. Clusters are kept by name from one snapshot to the next. */
export class Clusters {
  readonly #parts: ClusterParts;
  #byName = new Map<string, Cluster>();
  /** Gone from the snapshot, with requests still under way. */
  readonly #leaving = new Set<Cluster>();

  constructor(parts: ClusterParts) {
    this.#parts = parts;
  }

  /** The cluster called `name` in the newest snapshot. */
  get(name: string): Cluster | undefined {
    return this.#byName.get(name);
  }

  /** Takes the clusters of a new snapshot. One whose spec is equal is not touched. */
  apply(specs: readonly ClusterSpec[]): void {
    for (const cluster of this.#leaving) if (cluster.isIdle) this.#leaving.delete(cluster);
    const byName = new Map<string, Cluster>();
    for (const spec of specs) {
      const known = this.#byName.get(spec.name);
      if (known === undefined || known.spec.kind !== spec.kind) {
        byName.set(spec.name, new Cluster(spec, this.#parts));
        continue;
      }
      if (known.spec !== spec && !isDeepStrictEqual(known.spec, spec)) known.apply(spec);
      byName.set(spec.name, known);
    }
    const old = this.#byName;
    this.#byName = byName;
    for (const [name, cluster] of old) {
      if (byName.get(name) === cluster) continue;
      cluster.drain();
      this.#leaving.add(cluster);
    }
  }

  /** The identity or the trust of this workload has changed: connections made under the old one are not used again. */
  closeStale(): void {
    for (const cluster of this.#byName.values()) cluster.closeStale();
  }

  /** Closes idle connections, and the others as they become idle. Requests are still served. */
  drain(): void {
    for (const cluster of this.#byName.values()) cluster.drain();
  }

  /** Cuts every connection. */
  closeAll(): void {
    for (const cluster of this.#byName.values()) cluster.closeAll();
    for (const cluster of this.#leaving) cluster.closeAll();
    this.#leaving.clear();
  }

  /** Plain data for `/clusters?format=json`, in the order of the snapshot. */
  state(): ClusterState[] {
    return [...this.#byName.values()].map((cluster) => cluster.state());
  }
}
