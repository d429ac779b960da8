import type { Cluster } from "../cluster/cluster.ts";
import type { StreamInfo } from "../message/stream-info.ts";
import type { Retry, RetryDecision } from "./retry-policy.ts";

/** The retry of one request that is under way: it counts against its cluster's limit until its outcome is known. */
export class CountedRetry {
  readonly #cluster: Cluster;
  readonly #info: StreamInfo;
  #isCounted = false;

  constructor(cluster: Cluster, info: StreamInfo) {
    this.#cluster = cluster;
    this.#info = info;
  }

  /** The retry to make after this decision, counted; null when there is to be none, which the flags of the stream then say. */
  begin(decision: RetryDecision): Retry | null {
    this.release();
    if (decision.kind === "give-up") {
      if (decision.isExhausted) this.#info.addFlag("URX");
      return null;
    }
    if (!this.#cluster.tryBeginRetry()) {
      this.#info.addFlag("UO");
      return null;
    }
    this.#isCounted = true;
    return decision;
  }

  /** The outcome is known. */
  release(): void {
    if (this.#isCounted) this.#cluster.endRetry();
    this.#isCounted = false;
  }
}
