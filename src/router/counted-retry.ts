import type { Cluster } from "../cluster/cluster.ts";
import type { StreamInfo } from "../message/stream-info.ts";
import type { GaveUpRequests } from "./gave-up-requests.ts";
import type { Retry, RetryDecision } from "./retry-policy.ts";

/** The retry of one request that is under way: it counts against its cluster's limit until its outcome is known. */
export class CountedRetry {
  readonly #cluster: Cluster;
  readonly #info: StreamInfo;
  readonly #gaveUp: GaveUpRequests | undefined;
  #isCounted = false;
  #hasRetried = false;
  #hasGivenUp = false;

  constructor(cluster: Cluster, info: StreamInfo, gaveUp: GaveUpRequests | undefined) {
    this.#cluster = cluster;
    this.#info = info;
    this.#gaveUp = gaveUp;
  }

  /** An attempt that was sent has failed for good: whoever waits for the answer had better not begin anew. */
  get hasGivenUp(): boolean {
    return this.#hasGivenUp;
  }

  /**
   * The retry to make after this decision, counted; null when there is to be none, which the flags of the stream then say.
   * `isAnswer`: the upstream answered; `wasSent`: the attempt may have reached it.
   */
  begin(decision: RetryDecision, isAnswer: boolean, wasSent: boolean): Retry | null {
    this.release();
    const { metrics } = this.#cluster;
    if (decision.kind === "give-up") {
      if (decision.reason === "exhausted") {
        metrics.retriesExhausted();
        this.#info.addFlag("URX");
        if (wasSent) this.#giveUp();
      } else if (decision.reason === "told-not-to") {
        this.#giveUp();
      } else if (decision.reason === "body-not-kept") {
        metrics.retryAbandoned();
      } else if (this.#hasRetried && isAnswer) {
        metrics.retrySucceeded();
      }
      return null;
    }
    if (!this.#cluster.tryBeginRetry(decision.wasSent)) {
      this.#info.addFlag("UO");
      if (wasSent) this.#giveUp();
      return null;
    }
    metrics.retried(decision.backoffMs > 0);
    this.#isCounted = true;
    this.#hasRetried = true;
    return decision;
  }

  /** Of a request to the own application nobody is told: its caller may well find another one that is better off. */
  #giveUp(): void {
    if (this.#info.direction !== "outbound") return;
    this.#hasGivenUp = true;
    this.#gaveUp?.add(this.#info.requestId);
  }

  /** The outcome is known. */
  release(): void {
    if (this.#isCounted) this.#cluster.endRetry();
    this.#isCounted = false;
  }
}
