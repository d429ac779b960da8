import { SharedCounts } from "../cluster/shared-counts.ts";
import type { ClusterSpec, LimitsSpec } from "../config/snapshot.ts";

/** What has changed; `removed` comes first where a name is in both. */
export interface SharedLimitsChange {
  readonly removed: readonly string[];
  readonly added: ReadonlyMap<string, SharedArrayBuffer>;
}

/** A cluster with a limit and what all threads together have under way of it. */
interface Limited {
  readonly buffer: SharedArrayBuffer;
  /** For looking; rows are the threads' to write. */
  readonly counts: SharedCounts;
  limits: LimitsSpec;
}

/**
 * The memory in which the data threads count what is limited (`spec/04` 4.3): a piece for each cluster that has a limit,
 * with a row for each thread. A piece is never given to another cluster, since a thread that has not yet heard of a new
 * snapshot goes on counting in it.
 */
export class SharedLimits {
  readonly #rows: number;
  readonly #clusters = new Map<string, Limited>();

  /** `rows`: data threads at most. */
  constructor(rows: number) {
    this.#rows = rows;
  }

  /** All pieces, for a thread that knows of none. */
  get all(): SharedLimitsChange {
    return { removed: [], added: new Map([...this.#clusters].map(([name, { buffer }]) => [name, buffer])) };
  }

  /** Takes the clusters of a snapshot. Null: the threads know all there is to know. */
  apply(clusters: readonly ClusterSpec[]): SharedLimitsChange | null {
    const added = new Map<string, SharedArrayBuffer>();
    const gone = new Set(this.#clusters.keys());
    for (const { name, limits } of clusters) {
      if (!isLimited(limits)) continue;
      gone.delete(name);
      const known = this.#clusters.get(name);
      if (known !== undefined) {
        known.limits = limits;
        continue;
      }
      const buffer = SharedCounts.create(this.#rows);
      this.#clusters.set(name, { buffer, counts: new SharedCounts(buffer, 0), limits });
      added.set(name, buffer);
    }
    for (const name of gone) this.#clusters.delete(name);
    return gone.size + added.size === 0 ? null : { removed: [...gone], added };
  }

  /** The thread that counted in `row` has ended: what it had under way is not. */
  clear(row: number): void {
    for (const { buffer } of this.#clusters.values()) new SharedCounts(buffer, row).clear();
  }

  /** The clusters that have a limit now and that some thread uses, with counts in the order of `COUNTED`. */
  *counts(): Iterable<{ readonly cluster: string; readonly limits: LimitsSpec; readonly count: (cell: number) => number }> {
    for (const [cluster, { limits, counts }] of this.#clusters) {
      if (counts.isUsed) yield { cluster, limits, count: (cell) => counts.total(cell) };
    }
  }
}

function isLimited(limits: LimitsSpec): boolean {
  return Number.isFinite(Math.min(limits.maxConnections, limits.maxPendingRequests, limits.maxRequests, limits.maxRetries));
}
