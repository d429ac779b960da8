import { isDeepStrictEqual } from "node:util";
import type { ClusterSpec } from "../config/snapshot.ts";
import { Cluster } from "./cluster.ts";
import type { ClusterParts } from "./cluster-parts.ts";
import type { OutlierEvent } from "./outlier-detector.ts";
import { type ClusterState, unusedClusterState } from "./cluster-state.ts";

/**
 * Every cluster of this workload. Clusters are kept by name from one snapshot to the next. One is made when it is first
 * asked for: a workload calls few of the services it sees, and the others cost no more than their specs.
 */
export class Clusters {
  readonly #parts: ClusterParts;
  #specs = new Map<string, ClusterSpec>();
  /** Those that were asked for. */
  readonly #made = new Map<string, Cluster>();
  /** Endpoints that active health checks speak against, by cluster. */
  readonly #failing = new Map<string, ReadonlySet<string>>();
  /** Gone from the snapshot, with requests still under way. */
  readonly #leaving = new Set<Cluster>();

  constructor(parts: ClusterParts) {
    this.#parts = parts;
  }

  /** The cluster called `name` in the newest snapshot. */
  get(name: string): Cluster | undefined {
    return this.#made.get(name) ?? this.#make(name);
  }

  /** Takes the clusters of a new snapshot. One whose spec is equal is not touched. */
  apply(specs: readonly ClusterSpec[]): void {
    for (const cluster of this.#leaving) if (cluster.isIdle) this.#leaving.delete(cluster);
    this.#specs = new Map(specs.map((spec) => [spec.name, spec]));
    for (const [name, cluster] of this.#made) {
      const spec = this.#specs.get(name);
      if (spec === undefined || spec.kind !== cluster.spec.kind) {
        this.#made.delete(name);
        cluster.leave();
        this.#leaving.add(cluster);
      } else if (cluster.spec !== spec && !isDeepStrictEqual(cluster.spec, spec)) {
        cluster.apply(spec);
      }
    }
  }

  /** What active health checks have found out about a cluster of this name, whether or not it is known yet. */
  applyHealth(cluster: string, failing: readonly string[]): void {
    const names = new Set(failing);
    if (names.size === 0) this.#failing.delete(cluster);
    else this.#failing.set(cluster, names);
    this.#made.get(cluster)?.setFailing(names);
  }

  /** What another data thread did with an endpoint; one that is not known here yet finds out by itself. */
  heardOutlier(event: OutlierEvent): void {
    this.#made.get(event.cluster)?.heardOutlier(event);
  }

  /** The identity or the trust of this workload has changed: connections made under the old one are not used again. */
  closeStale(): void {
    for (const cluster of this.#made.values()) cluster.closeStale();
  }

  /** Closes idle connections, and the others as they become idle. Requests are still served. */
  drain(): void {
    for (const cluster of this.#made.values()) cluster.drain();
  }

  /** Cuts every connection. */
  closeAll(): void {
    for (const cluster of this.#made.values()) cluster.closeAll();
    for (const cluster of this.#leaving) cluster.closeAll();
    this.#leaving.clear();
  }

  /** Plain data for `/clusters?format=json`, in the order of the snapshot. */
  state(): ClusterState[] {
    return [...this.#specs.values()].map((spec) => this.#made.get(spec.name)?.state() ?? unusedClusterState(spec, this.#failing.get(spec.name)));
  }

  #make(name: string): Cluster | undefined {
    const spec = this.#specs.get(name);
    if (spec === undefined) return undefined;
    const cluster = new Cluster(spec, this.#parts);
    const failing = this.#failing.get(name);
    if (failing !== undefined) cluster.setFailing(failing);
    this.#made.set(name, cluster);
    return cluster;
  }
}
