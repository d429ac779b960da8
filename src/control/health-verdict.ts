import type { HealthCheckSpec } from "../config/snapshot-cluster.ts";

/**
 * What one probe of an endpoint came to.
 * - `healthy`: it said so, or, of TCP, took the connection.
 * - `unhealthy`: it answered, and not what was hoped for.
 * - `failed`: it did not answer, or not in time, which the network may be to blame for.
 */
export interface ProbeOutcome {
  readonly result: "healthy" | "unhealthy" | "failed";
  /** In words, for the log. */
  readonly reason: string;
}

/**
 * Whether an endpoint is healthy, by its probes. It is taken for healthy until they show that it is not: a proxy that has
 * just started must not refuse everything until it has asked everybody. An answer that says no counts at once, silence
 * only `unhealthyThreshold` times in a row (as Envoy's health checks do); it takes `healthyThreshold` good answers in a
 * row to come back.
 */
export class HealthVerdict {
  isHealthy = true;
  /** No probe has come to an end yet. */
  isUnknown = true;
  /** What the newest probe came to. */
  reason = "not checked yet";
  /** Probes in a row that speak against what it is taken for. */
  #against = 0;

  /** Takes an outcome; true when the endpoint is healthy from now on, or unhealthy. */
  observe(outcome: ProbeOutcome, { healthyThreshold, unhealthyThreshold }: Pick<HealthCheckSpec, "healthyThreshold" | "unhealthyThreshold">): boolean {
    this.isUnknown = false;
    this.reason = outcome.reason;
    const speaksFor = outcome.result === "healthy" ? this.isHealthy : !this.isHealthy;
    if (speaksFor) {
      this.#against = 0;
      return false;
    }
    this.#against++;
    const needed = outcome.result === "healthy" ? healthyThreshold : outcome.result === "unhealthy" ? 1 : unhealthyThreshold;
    if (this.#against < needed) return false;
    this.#against = 0;
    this.isHealthy = !this.isHealthy;
    return true;
  }
}
