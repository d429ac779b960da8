import { metricFamily } from "./metric-family.ts";

/** Labels of the HTTP metrics in the order Istio exposes them (spec/06 6.1). */
export const REQUEST_LABELS: readonly string[] = [
  "reporter",
  "source_workload", "source_canonical_service", "source_canonical_revision", "source_workload_namespace",
  "source_principal", "source_app", "source_version", "source_cluster",
  "destination_workload", "destination_workload_namespace", "destination_principal", "destination_app", "destination_version",
  "destination_service", "destination_canonical_service", "destination_canonical_revision",
  "destination_service_name", "destination_service_namespace", "destination_cluster",
  "request_protocol", "response_code", "grpc_response_status", "response_flags", "connection_security_policy",
];

/** The TCP metrics have no response code and no gRPC status. */
export const TCP_LABELS: readonly string[] = REQUEST_LABELS.filter((name) => name !== "response_code" && name !== "grpc_response_status");

const OPTIONS = { isTraffic: true, keptOnOverflow: ["reporter"] };

/** Istio's standard metrics, recorded by both reporters. */
export const ISTIO_FAMILIES = {
  requests: metricFamily("istio_requests_total", "counter", "Requests", REQUEST_LABELS, OPTIONS),
  duration: metricFamily("istio_request_duration_milliseconds", "histogram", "First byte of the request to last byte of the response, in milliseconds", REQUEST_LABELS, OPTIONS),
  requestBytes: metricFamily("istio_request_bytes", "histogram", "Request size on the downstream wire, head and body, in bytes", REQUEST_LABELS, OPTIONS),
  responseBytes: metricFamily("istio_response_bytes", "histogram", "Response size on the downstream wire, head and body, in bytes", REQUEST_LABELS, OPTIONS),
  tcpOpened: metricFamily("istio_tcp_connections_opened_total", "counter", "Opaque connections opened", TCP_LABELS, OPTIONS),
  tcpClosed: metricFamily("istio_tcp_connections_closed_total", "counter", "Opaque connections closed", TCP_LABELS, OPTIONS),
  tcpSent: metricFamily("istio_tcp_sent_bytes_total", "counter", "Bytes sent to the downstream on opaque connections", TCP_LABELS, OPTIONS),
  tcpReceived: metricFamily("istio_tcp_received_bytes_total", "counter", "Bytes received from the downstream on opaque connections", TCP_LABELS, OPTIONS),
} as const;
