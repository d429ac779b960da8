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
  /** What counted against it when it was last ejected. */
  readonly cause: EjectionCause;
  /** By how much its ejection time is multiplied. */
  readonly ejections: number;
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
  /** The next request is to go to `endpoint`, ejected as it is. */
  wantProbe(endpoint: Endpoint): void;
}

/**
 * Outlier detection of one cluster, `spec/04` 4.4 and 4.5: counts consecutive errors of each endpoint, ejects it when
 * they reach the threshold, restores it at a later sweep, or when one request that was let through then was answered well
 * (`readmitsByProbe`). It knows nothing of balancing: it marks endpoints and tells its subject, which builds a new picker.
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

  /** An endpoint answered with `status`. */
  report(endpoint: Endpoint, status: number): void {
    const spec = this.#spec;
    if (spec === null) return;
    const isError = spec.errorStatuses === undefined ? status >= 500 : spec.errorStatuses.includes(status);
    const isGatewayError = status >= 502 && status <= 504;
    if (endpoint.outlier.probe === "out") {
      this.#probed(endpoint, spec, !isError && !(isGatewayError && spec.consecutiveGatewayErrors > 0), `was answered ${status}`);
    } else {
      this.#answered(endpoint, spec, isError, isGatewayError);
    }
  }

  /**
   * A connection to an endpoint failed, or a request on it ended without an answer. Counts as a 503, or for a time-out
   * as a 504, whatever the list of error statuses; apart from answers where the spec says so.
   */
  reportFailure(endpoint: Endpoint, isTimeout: boolean): void {
    const spec = this.#spec;
    if (spec === null) return;
    const state = endpoint.outlier;
    if (state.probe === "out") {
      this.#probed(endpoint, spec, false, isTimeout ? "timed out" : "could not be sent or was reset");
    } else if (spec.consecutiveLocalOriginFailures === undefined) {
      this.#answered(endpoint, spec, true, true);
    } else {
      state.consecutiveLocalFailures++;
      if (!reaches(state.consecutiveLocalFailures, spec.consecutiveLocalOriginFailures) || endpoint.isEjected) return;
      this.#detected(endpoint, spec, "consecutive_local_origin_failure", `${state.consecutiveLocalFailures} consecutive failures to connect`);
      state.consecutiveLocalFailures = 0;
    }
  }

  /** An opaque connection to an endpoint is established, which is all that is known of its success. */
  reportConnected(endpoint: Endpoint): void {
    const spec = this.#spec;
    if (spec === null) return;
    endpoint.outlier.connected();
    if (endpoint.outlier.probe === "out") this.#probed(endpoint, spec, true, "was connected");
    else if (spec.consecutiveLocalOriginFailures === undefined) this.#answered(endpoint, spec, false, false);
  }

  /**
   * What another data thread did with an endpoint of the same cluster: the same is done here, as far as the rules allow it, so
   * that not every thread has to find it out by failures of its own. Nobody is told of it again.
   */
  heard({ kind, endpoint: name, cause, ejections }: OutlierEvent): void {
    const endpoints = this.#subject.endpoints;
    const endpoint = endpoints.find((each) => each.name === name);
    const spec = this.#spec;
    if (spec === null || endpoint === undefined || kind === "kept") return;
    if (kind === "restored") {
      if (!endpoint.isEjected) return;
      endpoint.outlier.restore();
      this.#subject.healthChanged();
      return;
    }
    const state = endpoint.outlier;
    const wasEjected = endpoint.isEjected;
    if (!wasEjected && this.#objection(endpoint, spec) !== null) return;
    state.ejections = Math.max(ejections, state.ejections);
    state.eject(this.#parts.clock.monotonicMs(), cause);
    this.#armSweep();
    if (!wasEjected) this.#subject.healthChanged();
  }

  #answered(endpoint: Endpoint, spec: OutlierSpec, isError: boolean, isGatewayError: boolean): void {
    const state = endpoint.outlier;
    state.consecutive5xx = isError ? state.consecutive5xx + 1 : 0;
    if (reaches(state.consecutive5xx, spec.consecutive5xx) && !endpoint.isEjected) {
      this.#detected(endpoint, spec, "consecutive_5xx", `${state.consecutive5xx} consecutive ${spec.errorStatuses === undefined ? "5xx" : "errors"}`);
      state.consecutive5xx = 0;
    }
    state.consecutiveGatewayErrors = isGatewayError ? state.consecutiveGatewayErrors + 1 : 0;
    if (reaches(state.consecutiveGatewayErrors, spec.consecutiveGatewayErrors) && !endpoint.isEjected) {
      this.#detected(endpoint, spec, "consecutive_gateway_failure", `${state.consecutiveGatewayErrors} consecutive gateway errors`);
      state.consecutiveGatewayErrors = 0;
    }
  }

  /** When an ejected endpoint may be restored, `Clock.monotonicMs`; null when it is not ejected. */
  ejectedUntilMs(endpoint: Endpoint): number | null {
    const { ejectedAtMs, ejections } = endpoint.outlier;
    return ejectedAtMs === null || this.#spec === null ? null : ejectedAtMs + ejectionMs(this.#spec, ejections);
  }

  /** An endpoint that is not ejected has reached a threshold. */
  #detected(endpoint: Endpoint, spec: OutlierSpec, cause: EjectionCause, what: string): void {
    const endpoints = this.#subject.endpoints;
    // The endpoint may have left the cluster while its last requests run.
    if (!endpoints.includes(endpoint)) return;
    this.#metrics.ejectionDetected(cause);
    const objection = this.#objection(endpoint, spec);
    if (objection !== null) {
      this.#keep(endpoint, `${what}; ${objection}`);
      return;
    }
    const { count, percent } = this.#withOneMore();
    const until = this.#eject(endpoint, spec, cause);
    this.#subject.healthChanged();
    this.#tell("ejected", endpoint, `${what}; ${count} of ${endpoints.length} ejected, ${percent} % <= ${spec.maxEjectionPercent} %; until ${until}`);
  }

  /** Why an endpoint must not be ejected; null where nothing is in the way. */
  #objection(endpoint: Endpoint, spec: OutlierSpec): string | null {
    const endpoints = this.#subject.endpoints;
    const { count, percent } = this.#withOneMore();
    if (percent > spec.maxEjectionPercent) return `${count} of ${endpoints.length} would be ejected, ${percent} % > ${spec.maxEjectionPercent} %`;
    const isLast = endpoint.isPickable && endpoints.filter((other) => other.isPickable).length === 1;
    return isLast ? `it is the last healthy endpoint of ${endpoints.length}` : null;
  }

  /** How many would be ejected if one more was, in whole per cents of all. */
  #withOneMore(): { readonly count: number; readonly percent: number } {
    const endpoints = this.#subject.endpoints;
    const count = endpoints.filter((each) => each.isEjected).length + 1;
    return { count, percent: Math.floor((100 * count) / endpoints.length) };
  }

  /** Gives the time of its end. */
  #eject(endpoint: Endpoint, spec: OutlierSpec, cause: EjectionCause): string {
    const state = endpoint.outlier;
    state.ejections++;
    state.eject(this.#parts.clock.monotonicMs(), cause);
    this.#metrics.ejected(cause);
    this.#armSweep();
    return new Date(this.#parts.clock.wallMs() + ejectionMs(spec, state.ejections)).toISOString();
  }

  /** How the one request fared that was let through. One that was on its way before tells as much. */
  #probed(endpoint: Endpoint, spec: OutlierSpec, isGood: boolean, what: string): void {
    if (!this.#subject.endpoints.includes(endpoint)) return;
    if (isGood) {
      this.#restore([endpoint], `the probe ${what}`);
      return;
    }
    const until = this.#eject(endpoint, spec, endpoint.outlier.cause);
    this.#tell("ejected", endpoint, `the probe ${what}; ejected ${endpoint.outlier.ejections} times in a row; until ${until}`);
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
        if (spec.readmitsByProbe !== true) restored.push(endpoint);
        // A probe that is out since the last sweep may never tell: its caller may have gone. Another one is.
        else if (endpoint.spec.isHealthy) this.#subject.wantProbe(endpoint);
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
    for (const endpoint of restored) endpoint.outlier.restore();
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
      if (this.#spec !== null) this.#sweep(this.#spec);
    });
  }

  #tell(kind: OutlierEvent["kind"], endpoint: Endpoint, reason: string): void {
    const { cause, ejections } = endpoint.outlier;
    this.#parts.outliers.outlier({ kind, cluster: this.#cluster, endpoint: endpoint.name, reason, cause, ejections });
  }
}

/** A threshold of 0 is none. */
function reaches(count: number, threshold: number): boolean {
  return threshold > 0 && count >= threshold;
}

/** `baseEjectionTime` times the ejections so far, capped. */
function ejectionMs(spec: OutlierSpec, ejections: number): number {
  return Math.min(spec.baseEjectionMs * ejections, Math.max(MAX_EJECTION_MS, spec.baseEjectionMs));
}
