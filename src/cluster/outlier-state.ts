import type { EjectionCause } from "./cluster-metrics.ts";

/** What outlier detection remembers of an endpoint (`spec/04` 4.5). Only `OutlierDetector` writes to it, but for `connected`. */
export class OutlierState {
  consecutive5xx = 0;
  consecutiveGatewayErrors = 0;
  /** Failures to connect, where they are counted apart from answers. */
  consecutiveLocalFailures = 0;
  /** `Clock.monotonicMs` of the ejection, or null. */
  ejectedAtMs: number | null = null;
  /** What it was ejected for; of the last ejection. */
  cause: EjectionCause = "consecutive_5xx";
  /** Multiplies the ejection time: grows with every ejection, shrinks with every sweep without one. */
  ejections = 0;
  /**
   * Re-admission by a probe, once the ejection time is over: `wanted` until a request is let through, `out` while its
   * result is awaited.
   */
  probe: "wanted" | "out" | null = null;
  /** When it was last reported that the endpoint was not ejected although it failed. */
  keptAtMs = Number.NEGATIVE_INFINITY;

  /** A request has a connection to the endpoint: failures to connect are not consecutive any more. */
  connected(): void {
    this.consecutiveLocalFailures = 0;
  }

  eject(nowMs: number, cause: EjectionCause): void {
    this.ejectedAtMs = nowMs;
    this.cause = cause;
    this.probe = null;
  }

  /** As if nothing had happened, but for the multiplier. */
  restore(): void {
    this.ejectedAtMs = null;
    this.probe = null;
    this.consecutive5xx = 0;
    this.consecutiveGatewayErrors = 0;
    this.consecutiveLocalFailures = 0;
  }
}
