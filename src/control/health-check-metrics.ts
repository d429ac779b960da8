import type { SeriesWriter } from "../telemetry/series-writer.ts";
import type { ProbeOutcome } from "./health-verdict.ts";

/** `envoy_cluster_health_check_*` of the clusters whose endpoints are checked, under Envoy's names. */
export class HealthCheckMetrics {
  readonly #writer: SeriesWriter;

  constructor(writer: SeriesWriter) {
    this.#writer = writer;
  }

  /** A probe for `cluster` came to an end. */
  probed(cluster: string, { result }: ProbeOutcome): void {
    this.#count(cluster, "attempt");
    this.#count(cluster, result === "healthy" ? "success" : "failure");
    if (result === "failed") this.#count(cluster, "network_failure");
  }

  /** Endpoints of `cluster` that are taken for healthy now. */
  healthy(cluster: string, count: number): void {
    this.#writer.gauge("envoy_cluster_health_check_healthy", { cluster_name: cluster }).set(count);
  }

  #count(cluster: string, what: string): void {
    this.#writer.counter(`envoy_cluster_health_check_${what}`, { cluster_name: cluster }).add(1);
  }
}
