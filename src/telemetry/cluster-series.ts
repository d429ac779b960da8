import type { Counter, Gauge, Histogram } from "./series.ts";
import type { SeriesWriter } from "./series-writer.ts";

type EjectionCause = "consecutive_5xx" | "consecutive_gateway_failure" | "consecutive_local_origin_failure";

/** Envoy's counters for what the peer showed, where it has one that is more telling than `ssl_fail_verify_error`. */
const VERIFICATIONS: Readonly<Record<string, string>> = {
  tls_peer_no_certificate: "ssl_fail_verify_no_cert",
  tls_peer_identity_mismatch: "ssl_fail_verify_san",
  tls_peer_wrong_trust_domain: "ssl_fail_verify_san",
};

/** The counts of one cluster under Envoy's names (`spec/06` 6.3); made once per cluster, added to from the request path. */
export class OneClusterSeries {
  readonly #counter: (name: string) => Counter;
  readonly #gauge: (name: string) => Gauge;
  readonly #mirrored: (outcome: string) => Counter;
  readonly #tlsFailed: (reason: string) => Counter;
  readonly #statuses = new Map<number, readonly [Counter, Counter]>();
  readonly #statusSeries: (status: number) => readonly [Counter, Counter];
  readonly #connections: Counter;
  readonly #connectionsHttp1: Counter;
  readonly #connectionsHttp2: Counter;
  readonly #connectionsActive: Gauge;
  readonly #connectMs: Histogram;
  readonly #lengthMs: Histogram;
  readonly #requests: Counter;
  readonly #requestsActive: Gauge;
  readonly #completed: Counter;
  readonly #pending: Counter;
  readonly #pendingActive: Gauge;

  constructor(writer: SeriesWriter, cluster: string) {
    const labels = { cluster_name: cluster };
    const name = (suffix: string): string => `envoy_cluster_${suffix}`;
    this.#counter = (suffix) => writer.counter(name(suffix), labels);
    this.#gauge = (suffix) => writer.gauge(name(suffix), labels);
    this.#mirrored = (outcome) => writer.counter("outrider_mirrored_requests_total", { ...labels, outcome }, "Copies of requests that were sent, or were to be");
    this.#tlsFailed = (reason) => writer.counter("outrider_cluster_tls_failures_total", { ...labels, reason }, "Connections to endpoints for which TLS failed");
    this.#statusSeries = (status) => [
      writer.counter(name("upstream_rq"), { ...labels, response_code: String(status) }),
      writer.counter(name("upstream_rq_xx"), { ...labels, response_code_class: String(Math.floor(status / 100)) }),
    ];
    this.#connections = this.#counter("upstream_cx_total");
    this.#connectionsHttp1 = this.#counter("upstream_cx_http1_total");
    this.#connectionsHttp2 = this.#counter("upstream_cx_http2_total");
    this.#connectionsActive = this.#gauge("upstream_cx_active");
    this.#connectMs = writer.histogram(name("upstream_cx_connect_ms"), labels);
    this.#lengthMs = writer.histogram(name("upstream_cx_length_ms"), labels);
    this.#requests = this.#counter("upstream_rq_total");
    this.#requestsActive = this.#gauge("upstream_rq_active");
    this.#completed = this.#counter("upstream_rq_completed");
    this.#pending = this.#counter("upstream_rq_pending_total");
    this.#pendingActive = this.#gauge("upstream_rq_pending_active");
  }

  connectionOpened(kind: "http1" | "http2" | "tcp", connectMs: number): void {
    this.#connections.add(1);
    if (kind === "http1") this.#connectionsHttp1.add(1);
    else if (kind === "http2") this.#connectionsHttp2.add(1);
    this.#connectionsActive.add(1);
    this.#connectMs.observe(connectMs);
  }

  connectionClosed(isByPeer: boolean, hadRequest: boolean, ageMs: number): void {
    const by = isByPeer ? "remote" : "local";
    this.#connectionsActive.add(-1);
    this.#lengthMs.observe(ageMs);
    this.#counter("upstream_cx_destroy").add(1);
    this.#counter(`upstream_cx_destroy_${by}`).add(1);
    if (!hadRequest) return;
    this.#counter("upstream_cx_destroy_with_active_rq").add(1);
    this.#counter(`upstream_cx_destroy_${by}_with_active_rq`).add(1);
  }

  connectFailed(isTimeout: boolean): void {
    this.#counter("upstream_cx_connect_fail").add(1);
    if (isTimeout) this.#counter("upstream_cx_connect_timeout").add(1);
  }

  tlsFailed(reason: string): void {
    this.#tlsFailed(reason).add(1);
    const isOfPeer = reason.startsWith("tls_peer_");
    const envoy = VERIFICATIONS[reason] ?? (isOfPeer ? "ssl_fail_verify_error" : "ssl_connection_error");
    this.#counter(envoy).add(1);
  }

  connectionOverflow(): void {
    this.#counter("upstream_cx_overflow").add(1);
  }

  idleTimeout(): void {
    this.#counter("upstream_cx_idle_timeout").add(1);
  }

  maxRequestsReached(): void {
    this.#counter("upstream_cx_max_requests").add(1);
  }

  maxDurationReached(): void {
    this.#counter("upstream_cx_max_duration_reached").add(1);
  }

  noneHealthy(): void {
    this.#counter("upstream_cx_none_healthy").add(1);
  }

  panicPick(): void {
    this.#counter("lb_healthy_panic").add(1);
  }

  requestStarted(): void {
    this.#requests.add(1);
    this.#requestsActive.add(1);
  }

  requestFinished(): void {
    this.#requestsActive.add(-1);
  }

  responded(status: number): void {
    let series = this.#statuses.get(status);
    if (series === undefined) {
      series = this.#statusSeries(status);
      this.#statuses.set(status, series);
    }
    series[0].add(1);
    series[1].add(1);
    this.#completed.add(1);
  }

  pendingStarted(): void {
    this.#pending.add(1);
    this.#pendingActive.add(1);
  }

  pendingEnded(): void {
    this.#pendingActive.add(-1);
  }

  pendingFailed(): void {
    this.#counter("upstream_rq_pending_failure_eject").add(1);
  }

  requestCancelled(): void {
    this.#counter("upstream_rq_cancelled").add(1);
  }

  pendingOverflow(): void {
    this.#counter("upstream_rq_pending_overflow").add(1);
  }

  activeOverflow(): void {
    this.#counter("upstream_rq_active_overflow").add(1);
    this.#counter("upstream_rq_pending_overflow").add(1);
  }

  retried(isDelayed: boolean): void {
    this.#counter("upstream_rq_retry").add(1);
    if (isDelayed) this.#counter("upstream_rq_retry_backoff_exponential").add(1);
  }

  retrySucceeded(): void {
    this.#counter("upstream_rq_retry_success").add(1);
  }

  retriesExhausted(): void {
    this.#counter("upstream_rq_retry_limit_exceeded").add(1);
  }

  retryOverflow(): void {
    this.#counter("upstream_rq_retry_overflow").add(1);
  }

  retryAbandoned(): void {
    this.#counter("retry_or_shadow_abandoned").add(1);
  }

  mirrored(outcome: "answered" | "failed" | "overflow" | "too_large" | "abandoned"): void {
    this.#mirrored(outcome).add(1);
  }

  limitChanged(limit: "cx" | "rq_pending" | "rq" | "rq_retry", isReached: boolean): void {
    this.#gauge(`circuit_breakers_default_${limit}_open`).set(isReached ? 1 : 0);
  }

  membership(total: number, healthy: number, ejected: number, hasChanged: boolean): void {
    this.#gauge("membership_total").set(total);
    this.#gauge("membership_healthy").set(healthy);
    this.#gauge("outlier_detection_ejections_active").set(ejected);
    if (hasChanged) this.#counter("membership_change").add(1);
  }

  nameLookedUp(outcome: "success" | "empty" | "failure"): void {
    this.#counter("update_attempt").add(1);
    this.#counter(`update_${outcome}`).add(1);
  }

  ejectionDetected(cause: EjectionCause): void {
    this.#counter(`outlier_detection_ejections_detected_${cause}`).add(1);
  }

  ejected(cause: EjectionCause): void {
    this.#counter("outlier_detection_ejections_enforced_total").add(1);
    this.#counter(`outlier_detection_ejections_enforced_${cause}`).add(1);
  }

  ejectionOverflow(): void {
    this.#counter("outlier_detection_ejections_overflow").add(1);
  }
}

/** The cluster metrics of a thread: one object per cluster name, found again when a cluster comes back. */
export class ClusterSeries {
  readonly #writer: SeriesWriter;
  readonly #clusters = new Map<string, OneClusterSeries>();

  constructor(writer: SeriesWriter) {
    this.#writer = writer;
  }

  of(cluster: string): OneClusterSeries {
    let series = this.#clusters.get(cluster);
    if (series === undefined) {
      series = new OneClusterSeries(this.#writer, cluster);
      this.#clusters.set(cluster, series);
    }
    return series;
  }
}
