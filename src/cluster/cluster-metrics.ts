import type { PeerRefusal } from "../identity/peer-refused.ts";

/** A circuit-breaker limit, by the name of Envoy's gauge without `_open`. */
export type LimitName = "cx" | "rq_pending" | "rq" | "rq_retry";

/** What a connection carries; the hop counts as HTTP/2. */
export type ConnectionKind = "http1" | "http2" | "tcp";

/** Why outlier detection acted, by the part of Envoy's counter name that says so. */
export type EjectionCause = "consecutive_5xx" | "consecutive_gateway_failure" | "consecutive_local_origin_failure";

/**
 * What became of a copy of a request: the cluster answered it, or failed to; or it was given up, because too many were under
 * way, because its body had to wait and was too large for that, or because the request itself was cut.
 */
export type MirrorOutcome = "answered" | "failed" | "overflow" | "too_large" | "abandoned";

/**
 * Counts of one cluster. One object per cluster, so that a series is looked up once; every name is Envoy's behind
 * `envoy_cluster_` (`spec/06` 6.3). Calls come from the request path: an implementation adds to a slot and returns.
 */
export interface ClusterMetrics {
  /** `upstream_cx_total`, `upstream_cx_active` +1, `upstream_cx_connect_ms`; HTTP also `upstream_cx_http1_total` or `_http2_total`. */
  connectionOpened(kind: ConnectionKind, connectMs: number): void;
  /**
   * `upstream_cx_destroy`, `upstream_cx_active` -1, `upstream_cx_length_ms`, and `_destroy_local` or `_destroy_remote`,
   * with `_with_active_rq` when a request was under way.
   */
  connectionClosed(isByPeer: boolean, hadRequest: boolean, ageMs: number): void;
  /** `upstream_cx_connect_fail`, for a time-out also `upstream_cx_connect_timeout`. */
  connectFailed(isTimeout: boolean): void;
  /**
   * TLS to an endpoint failed for a reason of the table in `docs/identity.md`: `ssl_fail_verify_no_cert`, `_san` or `_error`
   * for what the endpoint showed, else `ssl_connection_error`; and by its name a counter of our own.
   */
  tlsFailed(reason: PeerRefusal): void;
  /** `upstream_cx_overflow`: a connection was wanted and `maxConnections` did not allow it. */
  connectionOverflow(): void;
  /** `upstream_cx_idle_timeout`. */
  idleTimeout(): void;
  /** `upstream_cx_max_requests`: a connection carried `maxRequestsPerConnection` requests. */
  maxRequestsReached(): void;
  /** `upstream_cx_max_duration_reached`: an HTTP connection became as old as `maxConnectionDuration` allows. */
  maxDurationReached(): void;
  /** `upstream_cx_none_healthy`: there was no endpoint to pick. */
  noneHealthy(): void;
  /** `lb_healthy_panic`: picked among all endpoints because too few are healthy. */
  panicPick(): void;

  /** `upstream_rq_total`, `upstream_rq_active` +1: the request has its connection. */
  requestStarted(): void;
  /** `upstream_rq_active` -1. */
  requestFinished(): void;
  /** `upstream_rq`, `upstream_rq_xx`, `upstream_rq_completed`: a response head came. */
  responded(status: number): void;
  /** `upstream_rq_pending_total`, `upstream_rq_pending_active` +1. */
  pendingStarted(): void;
  /** `upstream_rq_pending_active` -1. */
  pendingEnded(): void;
  /** `upstream_rq_pending_failure_eject`: the connection a pending request waited for could not be had. */
  pendingFailed(): void;
  /** `upstream_rq_cancelled`: given up while pending. */
  requestCancelled(): void;
  /** `upstream_rq_pending_overflow`. */
  pendingOverflow(): void;
  /** `upstream_rq_active_overflow`, and as older dashboards expect `upstream_rq_pending_overflow`. */
  activeOverflow(): void;
  /** `upstream_rq_retry`, and `upstream_rq_retry_backoff_exponential` for one that waits first. */
  retried(isDelayed: boolean): void;
  /** `upstream_rq_retry_success`: a retry was answered with what is not to be retried. */
  retrySucceeded(): void;
  /** `upstream_rq_retry_limit_exceeded`: a request failed for which no attempt was left. */
  retriesExhausted(): void;
  /** `upstream_rq_retry_overflow`. */
  retryOverflow(): void;
  /** `retry_or_shadow_abandoned`: a request could not be sent again because too much of its body had been sent. */
  retryAbandoned(): void;
  /** `outrider_mirrored_requests_total{outcome}`: a copy of a request is over. */
  mirrored(outcome: MirrorOutcome): void;
  /** `circuit_breakers_default_{cx,rq_pending,rq,rq_retry}_open`. */
  limitChanged(limit: LimitName, isReached: boolean): void;

  /** `membership_total`, `membership_healthy`, `outlier_detection_ejections_active`; `membership_change` when `hasChanged`. */
  membership(total: number, healthy: number, ejected: number, hasChanged: boolean): void;
  /** `update_attempt` and `update_success`, `update_empty` or `update_failure`: a name of the cluster was looked up. */
  nameLookedUp?(outcome: "success" | "empty" | "failure"): void;
  /** `outlier_detection_ejections_detected_<cause>`. */
  ejectionDetected(cause: EjectionCause): void;
  /** `outlier_detection_ejections_enforced_total`, `outlier_detection_ejections_enforced_<cause>`. */
  ejected(cause: EjectionCause): void;
  /** `outlier_detection_ejections_overflow`. */
  ejectionOverflow(): void;
}

/** For a part of the program that keeps no metrics. */
export const NO_CLUSTER_METRICS: ClusterMetrics = {
  connectionOpened: () => {},
  connectionClosed: () => {},
  connectFailed: () => {},
  tlsFailed: () => {},
  connectionOverflow: () => {},
  idleTimeout: () => {},
  maxRequestsReached: () => {},
  maxDurationReached: () => {},
  noneHealthy: () => {},
  panicPick: () => {},
  requestStarted: () => {},
  requestFinished: () => {},
  responded: () => {},
  pendingStarted: () => {},
  pendingEnded: () => {},
  pendingFailed: () => {},
  requestCancelled: () => {},
  pendingOverflow: () => {},
  activeOverflow: () => {},
  retried: () => {},
  retrySucceeded: () => {},
  retriesExhausted: () => {},
  retryOverflow: () => {},
  retryAbandoned: () => {},
  mirrored: () => {},
  limitChanged: () => {},
  membership: () => {},
  ejectionDetected: () => {},
  ejected: () => {},
  ejectionOverflow: () => {},
};
