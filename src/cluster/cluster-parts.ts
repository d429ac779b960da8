import type { Clock } from "../core/clock.ts";
import type { Random } from "../core/random.ts";
import type { TimerWheel } from "../core/timer-wheel.ts";
import type { UpstreamFacts } from "../upstream/connector.ts";
import type { ClusterMetrics } from "./cluster-metrics.ts";
import type { DnsNames } from "./dns-names.ts";
import type { Dial, OpenClient, OpenMultiplexed } from "./dial.ts";
import type { OutlierObserver } from "./outlier-detector.ts";
import type { SharedCounts } from "./shared-counts.ts";
import type { SharingLimits } from "./shared-connections.ts";

/** What all clusters share; made once by the composition root. */
export interface ClusterParts {
  readonly clock: Clock;
  readonly timers: TimerWheel;
  readonly random: Random;
  readonly dial: Dial;
  /** Addresses of endpoints that are names; absent: those have none. */
  readonly names?: DnsNames;
  readonly openClient: OpenClient;
  /** Absent: everything is HTTP/1, whatever a cluster declares. */
  readonly openMultiplexed?: OpenMultiplexed;
  /** When a pool of multiplexed connections opens another one; absent: `DEFAULT_SHARING`. */
  readonly sharing?: SharingLimits;
  /**
   * The generation of identity and trust in force. A TLS connection made under another one finishes its request and is
   * not used again.
   */
  readonly tlsGeneration: () => number;
  /** Whether the peer's certificate has ended, where such a connection is not to be used again; absent: it may be. */
  readonly hasExpired?: (facts: UpstreamFacts) => boolean;
  /** The counts of the cluster called so; asked once per cluster. */
  readonly metrics: (cluster: string) => ClusterMetrics;
  readonly outliers: OutlierObserver;
  /** What all data threads have under way of the cluster called so; null or absent: this thread is alone, or nothing is limited. */
  readonly sharedCounts?: (cluster: string) => SharedCounts | null;
}
