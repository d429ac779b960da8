import { Cluster } from "../cluster/cluster.ts";
import { NO_CLUSTER_METRICS } from "../cluster/cluster-metrics.ts";
import type { ClusterParts } from "../cluster/cluster-parts.ts";
import type { ClusterSpec, WeightedClusterSpec } from "../config/snapshot.ts";
import type { Clock } from "../core/clock.ts";
import type { Random } from "../core/random.ts";
import { TimerWheel } from "../core/timer-wheel.ts";

/** Time stands still: nothing that is decided here waits. */
const STILL: Clock = { monotonicMs: () => 0, wallMs: () => 0 };
const neverOpened = (): never => {
  throw new Error("nothing is dialled for an explanation");
};

/**
 * The floor below the router with nobody at its other end: clusters of a snapshot that choose endpoints and refuse as
 * live ones do, whose dials never come to anything. Each cluster is made for one decision, so that none leaves a trace
 * in the next.
 */
export class DryRun {
  readonly clock = STILL;
  readonly timers = new TimerWheel(STILL, { isDriven: true });
  readonly #specs: ReadonlyMap<string, ClusterSpec>;
  readonly #made: Cluster[] = [];
  #drawn = 0;

  constructor(specs: readonly ClusterSpec[]) {
    this.#specs = new Map(specs.map((spec) => [spec.name, spec]));
  }

  /** What the next draws give. */
  readonly random: Random = () => this.#drawn;

  spec(name: string): ClusterSpec | undefined {
    return this.#specs.get(name);
  }

  readonly cluster = (name: string): Cluster | undefined => {
    const spec = this.#specs.get(name);
    if (spec === undefined) return undefined;
    const parts: ClusterParts = {
      clock: STILL,
      timers: this.timers,
      random: this.random,
      dial: () => ({ cancel: () => {} }),
      openClient: neverOpened,
      openMultiplexed: neverOpened,
      tlsGeneration: () => 1,
      metrics: () => NO_CLUSTER_METRICS,
      outliers: { outlier: () => {} },
    };
    const cluster = new Cluster(spec, parts);
    this.#made.push(cluster);
    return cluster;
  };

  /**
   * From now on the cluster that is drawn of `clusters` is the one of the rank-th largest weight, 0 the heaviest. False
   * when there are not that many.
   */
  aim(clusters: readonly WeightedClusterSpec[], rank: number): boolean {
    const draws = drawsByWeight(clusters);
    this.#drawn = draws[rank] ?? 0;
    return rank < draws.length;
  }

  /** Ends what one decision has begun. */
  clear(): void {
    for (const cluster of this.#made.splice(0)) cluster.closeAll();
  }
}

/** A number in [0, 1) for each cluster of positive weight with which it is the one that is drawn; at least one number. */
function drawsByWeight(clusters: readonly WeightedClusterSpec[]): number[] {
  const total = clusters.reduce((sum, { weight }) => sum + weight, 0);
  if (clusters.length < 2 || total <= 0) return [0];
  let before = 0;
  const draws: { readonly weight: number; readonly draw: number }[] = [];
  for (const { weight } of clusters) {
    if (weight > 0) draws.push({ weight, draw: (before + weight / 2) / total });
    before += weight;
  }
  return draws.toSorted((a, b) => b.weight - a.weight).map(({ draw }) => draw);
}
