import type { Clock } from "../core/clock.ts";
import type { Random } from "../core/random.ts";
import type { TimerWheel } from "../core/timer-wheel.ts";
import type { ClusterSpec } from "../config/snapshot.ts";
import type { UpstreamFacts } from "../upstream/connector.ts";
import type { ClusterMetrics } from "./cluster-metrics.ts";
import type { OpenClient, OpenMultiplexed } from "./dial.ts";
import type { Dialler } from "./dialler.ts";
import type { Endpoint } from "./endpoint.ts";
import type { Limits } from "./limits.ts";
import type { SharingLimits } from "./shared-connections.ts";

/** What a pool has of its cluster. */
export interface PoolOwner {
  /** As the newest snapshot says. */
  readonly spec: ClusterSpec;
  readonly limits: Limits;
  readonly metrics: ClusterMetrics;
  readonly dialler: Dialler;
  readonly parts: {
    readonly clock: Clock;
    readonly timers: TimerWheel;
    readonly random: Random;
    readonly openClient: OpenClient;
    readonly openMultiplexed?: OpenMultiplexed;
    readonly sharing?: SharingLimits;
    readonly tlsGeneration: () => number;
    readonly hasExpired?: (facts: UpstreamFacts) => boolean;
  };
  /** An answer, towards outlier detection. */
  report(endpoint: Endpoint, status: number): void;
  /** A connect that failed, or a request without an answer, towards outlier detection. */
  reportFailure(endpoint: Endpoint, isTimeout: boolean): void;
}
