import type { LimitsSpec } from "../config/snapshot.ts";
import type { SeriesReader } from "../telemetry/series-reader.ts";
import type { SeriesWriter } from "../telemetry/series-writer.ts";
import type { SharedLimits } from "./shared-limits.ts";

/** What Envoy shows as remaining where there is no limit. */
const UNLIMITED = 0xffff_ffff;

/** The gauges of one limit, by the cell it is counted in (`COUNTED`). */
const GAUGES: readonly { readonly open: string; readonly remaining: string; readonly max: (limits: LimitsSpec) => number }[] = [
  { open: "cx_open", remaining: "remaining_cx", max: ({ maxConnections }) => maxConnections },
  { open: "rq_pending_open", remaining: "remaining_pending", max: ({ maxPendingRequests }) => maxPendingRequests },
  { open: "rq_open", remaining: "remaining_rq", max: ({ maxRequests }) => maxRequests },
  { open: "rq_retry_open", remaining: "remaining_retries", max: ({ maxRetries }) => maxRetries },
];

/**
 * `envoy_cluster_circuit_breakers_default_*` of the clusters that have a limit (`spec/04` 4.9): read from the memory the
 * data threads count in when somebody scrapes, at no cost to them.
 */
export class CircuitBreakerMetrics {
  readonly #writer: SeriesWriter;
  readonly #limits: () => SharedLimits;
  /** Clusters whose gauges were written last time. */
  #shown: ReadonlySet<string> = new Set();

  constructor(reader: SeriesReader, writer: SeriesWriter, limits: () => SharedLimits) {
    this.#writer = writer;
    this.#limits = limits;
    reader.beforeScrape(() => this.#refresh());
  }

  #refresh(): void {
    const shown = new Set<string>();
    for (const { cluster, limits, count } of this.#limits().counts()) {
      shown.add(cluster);
      GAUGES.forEach((gauge, cell) => this.#write(cluster, gauge, gauge.max(limits), count(cell)));
    }
    for (const cluster of this.#shown) {
      if (!shown.has(cluster)) for (const gauge of GAUGES) this.#write(cluster, gauge, Number.POSITIVE_INFINITY, 0);
    }
    this.#shown = shown;
  }

  #write(cluster: string, names: { readonly open: string; readonly remaining: string }, max: number, count: number): void {
    const gauge = (name: string): { set(value: number): void } => this.#writer.gauge(`envoy_cluster_circuit_breakers_default_${name}`, { cluster_name: cluster });
    gauge(names.open).set(count >= max ? 1 : 0);
    gauge(names.remaining).set(Number.isFinite(max) ? Math.max(0, max - count) : UNLIMITED);
  }
}
