import type { Clock } from "../core/clock.ts";
import type { Timer, TimerWheel } from "../core/timer-wheel.ts";
import type { OutlierSpec } from "../config/snapshot.ts";
import type { ClusterMetrics, EjectionCause } from "./cluster-metrics.ts";
import type { Endpoint } from "./endpoint.ts";

/** No ejection lasts longer than this, unless `baseEjectionTime` itself does (Envoy's `max_ejection_time`). */
const MAX_EJECTION_MS = 300_000;
/** A failing endpoint that may not be ejected is reported at most this often. */
const KEPT_REPORT_MS = 10_000;

/** What happened to an endpoint, with the arithmetic in words. */
export interface OutlierEvent {
  /** `kept`: it reached the threshold and a rule forbade the ejection. */
  readonly kind: "ejected" | "kept" | "restored";
  readonly cluster: string;
  readonly endpoint: string;
  /** `5 consecutive 5xx; 1 of 3 ejected, 33 % <= 50 %; until 2025-01-01T00:00:30.000Z`. */
  readonly reason: string;
}

/** Told of ejections; the log is one. */
export interface OutlierObserver {
  outlier(event: OutlierEvent): void;
}

interface OutlierParts {
  readonly clock: Clock;
  readonly timers: TimerWheel;
  readonly outliers: OutlierObserver;
}

/** The endpoints a detector watches; told when the set of pickable ones has changed. */
export interface OutlierSubject {
  readonly endpoints: readonly Endpoint[];
  healthChanged(): void;
}

/**
 * Outlier detection of one cluster, `spec/04` 4.4 and 4.5: counts consecutive errors of each endpoint, ejects it when
 * they reach the threshold, restores it at a later sweep. It knows nothing of balancing: it marks endpoints and tells
 * its subject, which builds a new picker.
 *
 * One rule is ours: the last endpoint that can be picked is never ejected, whatever `maxEjectionPercent` allows. With
 * nothing left to pick every request would fail at once, which is never better than trying.
 */
export class OutlierDetector {
  readonly #cluster: string;
  readonly #subject: OutlierSubject;
  readonly #metrics: ClusterMetrics;
  readonly #parts: OutlierParts;
  #spec: OutlierSpec | null;
  /** Sweeps happen at whole multiples of the interval after this moment. */
  #epochMs: number;
  #sweepTimer: Timer | null = null;

  constructor(cluster: string, spec: OutlierSpec | null, subject: OutlierSubject, metrics: ClusterMetrics, parts: OutlierParts) {
    this.#cluster = cluster;
    this.#spec = spec;
    this.#subject = subject;
    this.#metrics = metrics;
    this.#parts = parts;
    this.#epochMs = parts.clock.monotonicMs();
  }

  /**
   * Takes new settings, after the endpoints were renewed. Without any, every ejected endpoint is restored; else ejections
   * stay, under the new times.
   */
  apply(spec: OutlierSpec | null): void {
    const hadInterval = this.#spec?.intervalMs;
    this.#spec = spec;
    if (spec === null) {
      this.stop();
      this.#restore(this.#subject.endpoints.filter((endpoint) => endpoint.isEjected), "outlier detection was turned off");
      return;
    }
    this.#restoreLastHealthy();
    if (hadInterval !== spec.intervalMs) {
      this.stop();
      this.#epochMs = this.#parts.clock.monotonicMs();
      this.#armSweep();
    }
  }

  /** Ends the sweeps. */
  stop(): void {
    this.#sweepTimer?.cancel();
    this.#sweepTimer = null;
  }

  /**
   * An endpoint answered with `status`, or failed in a way that counts as one: 503 for a failed connect or a reset, 504
   * for a time-out.
   */
  report(endpoint: Endpoint, status: number): void {
    const spec = this.#spec;
    if (spec === null) return;
    const state = endpoint.outlier;
    if (status >= 500) {
      state.consecutive5xx++;
      if (spec.consecutive5xx > 0 && state.consecutive5xx >= spec.consecutive5xx) {
        this.#detected(endpoint, spec, "consecutive_5xx", `${state.consecutive5xx} consecutive 5xx`);
        state.consecutive5xx = 0;
      }
    } else {
      state.consecutive5xx = 0;
    }
    if (status >= 502 && status <= 504) {
      state.consecutiveGatewayErrors++;
      if (spec.consecutiveGatewayErrors > 0 && state.consecutiveGatewayErrors >= spec.consecutiveGatewayErrors) {
        this.#detected(endpoint, spec, "consecutive_gateway_failure", `${state.consecutiveGatewayErrors} consecutive gateway errors`);
        state.consecutiveGatewayErrors = 0;
      }
    } else {
      state.consecutiveGatewayErrors = 0;
    }
  }

  /** When an ejected endpoint may be restored, `Clock.monotonicMs`; null when it is not ejected. */
  ejectedUntilMs(endpoint: Endpoint): number | null {
    const { ejectedAtMs, ejections } = endpoint.outlier;
    return ejectedAtMs === null || this.#spec === null ? null : ejectedAtMs + ejectionMs(this.#spec, ejections);
  }

  #detected(endpoint: Endpoint, spec: OutlierSpec, cause: EjectionCause, what: string): void {
    this.#metrics.ejectionDetected(cause);
    if (endpoint.isEjected) return;
    const endpoints = this.#subject.endpoints;
    // The endpoint may have left the cluster while its last requests run.
    if (!endpoints.includes(endpoint)) return;
    const wouldBe = endpoints.filter((other) => other.isEjected).length + 1;
    const percent = Math.floor((100 * wouldBe) / endpoints.length);
    if (percent > spec.maxEjectionPercent) {
      this.#keep(endpoint, `${what}; ${wouldBe} of ${endpoints.length} would be ejected, ${percent} % > ${spec.maxEjectionPercent} %`);
      return;
    }
    if (endpoint.isPickable && endpoints.filter((other) => other.isPickable).length === 1) {
      this.#keep(endpoint, `${what}; it is the last healthy endpoint of ${endpoints.length}`);
      return;
    }
    const durationMs = this.#eject(endpoint, spec);
    this.#metrics.ejected(cause);
    const until = new Date(this.#parts.clock.wallMs() + durationMs).toISOString();
    this.#subject.healthChanged();
    this.#tell("ejected", endpoint, `${what}; ${wouldBe} of ${endpoints.length} ejected, ${percent} % <= ${spec.maxEjectionPercent} %; until ${until}`);
  }

  #eject(endpoint: Endpoint, spec: OutlierSpec): number {
    endpoint.outlier.ejectedAtMs = this.#parts.clock.monotonicMs();
    endpoint.outlier.ejections++;
    this.#armSweep();
    return ejectionMs(spec, endpoint.outlier.ejections);
  }

  #keep(endpoint: Endpoint, reason: string): void {
    this.#metrics.ejectionOverflow();
    const now = this.#parts.clock.monotonicMs();
    if (now - endpoint.outlier.keptAtMs < KEPT_REPORT_MS) return;
    endpoint.outlier.keptAtMs = now;
    this.#tell("kept", endpoint, reason);
  }

  /** Restores what has been ejected long enough; lets the multiplier of the others fall by one. */
  #sweep(spec: OutlierSpec): void {
    const now = this.#parts.clock.monotonicMs();
    const restored: Endpoint[] = [];
    for (const endpoint of this.#subject.endpoints) {
      const state = endpoint.outlier;
      if (state.ejectedAtMs === null) {
        if (state.ejections > 0) state.ejections--;
      } else if (now >= state.ejectedAtMs + ejectionMs(spec, state.ejections)) {
        restored.push(endpoint);
      }
    }
    this.#restore(restored, "ejection time is over");
    this.#armSweep();
  }

  /** The endpoints that were healthy have left, the ejected ones are all there is. */
  #restoreLastHealthy(): void {
    const endpoints = this.#subject.endpoints;
    if (endpoints.some((endpoint) => endpoint.isPickable)) return;
    this.#restore(endpoints.filter((endpoint) => endpoint.isEjected && endpoint.spec.isHealthy), "no other endpoint is left");
  }

  #restore(restored: readonly Endpoint[], why: string): void {
    if (restored.length === 0) return;
    for (const endpoint of restored) {
      endpoint.outlier.ejectedAtMs = null;
      endpoint.outlier.consecutive5xx = 0;
      endpoint.outlier.consecutiveGatewayErrors = 0;
    }
    this.#subject.healthChanged();
    const endpoints = this.#subject.endpoints;
    const left = endpoints.filter((endpoint) => endpoint.isEjected).length;
    for (const endpoint of restored) this.#tell("restored", endpoint, `${why}; ${left} of ${endpoints.length} ejected`);
  }

  /** Sweeps run only while there is something to restore or to count down, but always in the same rhythm. */
  #armSweep(): void {
    const spec = this.#spec;
    if (spec === null || this.#sweepTimer !== null) return;
    if (!this.#subject.endpoints.some((endpoint) => endpoint.outlier.ejections > 0)) return;
    const sinceEpoch = this.#parts.clock.monotonicMs() - this.#epochMs;
    this.#sweepTimer = this.#parts.timers.schedule(spec.intervalMs - (sinceEpoch % spec.intervalMs), () => {
      this.#sweepTimer = null;
      this.#sweep(spec);
    });
  }

  #tell(kind: OutlierEvent["kind"], endpoint: Endpoint, reason: string): void {
    this.#parts.outliers.outlier({ kind, cluster: this.#cluster, endpoint: endpoint.name, reason });
  }
}

/** `baseEjectionTime` times the ejections so far, capped. */
function ejectionMs(spec: OutlierSpec, ejections: number): number {
  return Math.min(spec.baseEjectionMs * ejections, Math.max(MAX_EJECTION_MS, spec.baseEjectionMs));
}
