import { describe, expect, it } from "vitest";
import { type ClusterMetrics, NO_CLUSTER_METRICS } from "../../../src/cluster/cluster-metrics.ts";
import { ClusterSeries } from "../../../src/telemetry/cluster-series.ts";
import { ListenerSeries } from "../../../src/telemetry/listener-series.ts";
import { SeriesReader } from "../../../src/telemetry/series-reader.ts";
import { SeriesWriter } from "../../../src/telemetry/series-writer.ts";

const CLUSTER = "outbound|9080||reviews.default.svc.cluster.local";

function setUp() {
  const reader = new SeriesReader();
  const writer = new SeriesWriter((batch) => reader.accept("data-0", batch));
  const value = async (name: string, labels: Record<string, string>): Promise<number | undefined> => {
    await Promise.resolve();
    return reader.value(name, labels);
  };
  return { clusters: new ClusterSeries(writer), listeners: new ListenerSeries(writer), value };
}

describe("ClusterSeries", () => {
  const labels = { cluster_name: CLUSTER };

  it("has an answer to everything a cluster tells, and gives the same object for the same name", () => {
    const { clusters } = setUp();
    const series: ClusterMetrics = clusters.of(CLUSTER);
    for (const name of Object.keys(NO_CLUSTER_METRICS)) expect(typeof series[name as keyof ClusterMetrics]).toBe("function");
    expect(clusters.of(CLUSTER)).toBe(series);
    expect(clusters.of("other")).not.toBe(series);
  });

  it("counts connections, what is open, and by whom they were closed", async () => {
    const { clusters, value } = setUp();
    const series = clusters.of(CLUSTER);
    series.connectionOpened("http1", 5);
    series.connectionOpened("tcp", 5);
    series.connectionOpened("http2", 5);
    series.connectionClosed(true, true, 100);
    series.connectFailed(true);
    expect(await value("envoy_cluster_upstream_cx_total", labels)).toBe(3);
    expect(await value("envoy_cluster_upstream_cx_http1_total", labels)).toBe(1);
    expect(await value("envoy_cluster_upstream_cx_http2_total", labels)).toBe(1);
    expect(await value("envoy_cluster_upstream_cx_active", labels)).toBe(2);
    expect(await value("envoy_cluster_upstream_cx_connect_ms", labels)).toBe(3);
    expect(await value("envoy_cluster_upstream_cx_destroy_remote_with_active_rq", labels)).toBe(1);
    expect(await value("envoy_cluster_upstream_cx_destroy_local", labels)).toBeUndefined();
    expect(await value("envoy_cluster_upstream_cx_connect_timeout", labels)).toBe(1);
  });

  it("counts what TLS failed for, by Envoy's names and by our own", async () => {
    const { clusters, value } = setUp();
    const series = clusters.of(CLUSTER);
    for (const reason of ["tls_peer_expired", "tls_peer_not_yet_valid", "tls_peer_expired", "tls_peer_identity_mismatch", "tls_refused_by_peer"] as const) series.tlsFailed(reason);
    expect(await value("outrider_cluster_tls_failures_total", { ...labels, reason: "tls_peer_expired" })).toBe(2);
    expect(await value("outrider_cluster_tls_failures_total", { ...labels, reason: "tls_peer_not_yet_valid" })).toBe(1);
    expect(await value("envoy_cluster_ssl_fail_verify_error", labels)).toBe(3);
    expect(await value("envoy_cluster_ssl_fail_verify_san", labels)).toBe(1);
    expect(await value("envoy_cluster_ssl_connection_error", labels)).toBe(1);
  });

  it("counts retries and copies of requests by what became of them (spec/06 6.3)", async () => {
    const { clusters, value } = setUp();
    const series = clusters.of(CLUSTER);
    series.retried(true);
    series.retried(false);
    series.retrySucceeded();
    series.retriesExhausted();
    series.retryAbandoned();
    series.mirrored("answered");
    series.mirrored("overflow");
    series.mirrored("overflow");
    const retries = ["upstream_rq_retry", "upstream_rq_retry_backoff_exponential", "upstream_rq_retry_success", "upstream_rq_retry_limit_exceeded", "retry_or_shadow_abandoned"];
    expect(await Promise.all(retries.map((name) => value(`envoy_cluster_${name}`, labels)))).toEqual([2, 1, 1, 1, 1]);
    expect(await value("outrider_mirrored_requests_total", { ...labels, outcome: "answered" })).toBe(1);
    expect(await value("outrider_mirrored_requests_total", { ...labels, outcome: "overflow" })).toBe(2);
  });

  it("counts requests, those under way, and responses by status and class", async () => {
    const { clusters, value } = setUp();
    const series = clusters.of(CLUSTER);
    series.requestStarted();
    series.requestStarted();
    series.requestFinished();
    series.responded(200);
    series.responded(204);
    expect(await value("envoy_cluster_upstream_rq_total", labels)).toBe(2);
    expect(await value("envoy_cluster_upstream_rq_active", labels)).toBe(1);
    expect(await value("envoy_cluster_upstream_rq", { ...labels, response_code: "204" })).toBe(1);
    expect(await value("envoy_cluster_upstream_rq_xx", { ...labels, response_code_class: "2" })).toBe(2);
    expect(await value("envoy_cluster_upstream_rq_completed", labels)).toBe(2);
  });

  it("shows limits that are reached and the health of its endpoints", async () => {
    const { clusters, value } = setUp();
    const series = clusters.of(CLUSTER);
    series.limitChanged("rq_pending", true);
    series.membership(3, 2, 1, true);
    expect(await value("envoy_cluster_circuit_breakers_default_rq_pending_open", labels)).toBe(1);
    expect(await value("envoy_cluster_membership_healthy", labels)).toBe(2);
    series.limitChanged("rq_pending", false);
    series.membership(3, 3, 0, false);
    expect(await value("envoy_cluster_circuit_breakers_default_rq_pending_open", labels)).toBe(0);
    expect(await value("envoy_cluster_outlier_detection_ejections_active", labels)).toBe(0);
    expect(await value("envoy_cluster_membership_change", labels)).toBe(1);
  });
});

describe("ListenerSeries", () => {
  it("counts connections of a listener, and those it refused", async () => {
    const { listeners, value } = setUp();
    const labels = { listener_address: "0.0.0.0_15006" };
    listeners.accepted("0.0.0.0_15006");
    listeners.accepted("0.0.0.0_15006");
    listeners.closed("0.0.0.0_15006");
    listeners.refused("0.0.0.0_15006", "connection_limit");
    listeners.refused("0.0.0.0_15006", "own_port");
    expect(await value("envoy_listener_downstream_cx_total", labels)).toBe(2);
    expect(await value("envoy_listener_downstream_cx_active", labels)).toBe(1);
    expect(await value("envoy_listener_downstream_cx_destroy", labels)).toBe(1);
    expect(await value("envoy_listener_downstream_cx_overflow", labels)).toBe(1);
    expect(await value("outrider_listener_refused_total", { ...labels, reason: "own_port" })).toBe(1);
  });

  it("counts what was refused after its first bytes, and what was detected", async () => {
    const { listeners, value } = setUp();
    listeners.connectionRefused("inbound", "plaintext_on_strict_port");
    listeners.connectionRefused("inbound", "rbac_access_denied");
    listeners.detected("outbound", "timeout");
    expect(await value("outrider_connections_refused_total", { direction: "inbound", reason: "rbac_access_denied" })).toBe(1);
    expect(await value("envoy_listener_no_filter_chain_match", { direction: "inbound" })).toBe(1);
    expect(await value("outrider_protocol_detections_total", { direction: "outbound", outcome: "timeout" })).toBe(1);
  });
});
