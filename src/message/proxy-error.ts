/** Who is to blame, for metrics and for the choice of a response flag. */
export type ErrorSource = "downstream" | "upstream" | "local";

interface Attributes {
  readonly source: ErrorSource;
  /** Status of the local reply; 0 when nothing can be said any more. */
  readonly status: number;
  /** Envoy response flag, `-` when it has none. */
  readonly flag: string;
  /** `%RESPONSE_CODE_DETAILS%`; the error's own detail is put in braces behind it when there is one. */
  readonly details: string;
  /** Body of the local reply; `{}` stands for the error's message. */
  readonly body: string;
}

const RESET = "upstream connect error or disconnect/reset before headers. reset reason: ";

/**
 * Every way a stream can fail, with what Istio's users see of it: names and texts of `spec/06` 6.4 and 6.5 and of
 * Envoy's local replies. A new code does not compile until it has a row.
 */
const ATTRIBUTES = {
  codec_error: { source: "downstream", status: 400, flag: "DPE", details: "http1.codec_error", body: "Bad Request" },
  http2_messaging: { source: "downstream", status: 0, flag: "DPE", details: "http2.violation.of.messaging.rule", body: "" },
  http2_protocol: { source: "downstream", status: 0, flag: "DPE", details: "http2.codec_error", body: "" },
  http2_flood: { source: "downstream", status: 0, flag: "DPE", details: "http2.flood", body: "" },
  http2_headers_too_large: { source: "downstream", status: 0, flag: "DPE", details: "request_headers_too_large", body: "" },
  headers_too_large: { source: "downstream", status: 431, flag: "DPE", details: "request_headers_too_large", body: "Request Header Fields Too Large" },
  uri_too_long: { source: "downstream", status: 414, flag: "DPE", details: "request_uri_too_long", body: "URI Too Long" },
  transfer_encoding: { source: "downstream", status: 501, flag: "DPE", details: "http1.invalid_transfer_encoding", body: "Not Implemented" },
  http_version: { source: "downstream", status: 505, flag: "DPE", details: "http_version_not_supported", body: "HTTP Version Not Supported" },
  method_not_allowed: { source: "downstream", status: 405, flag: "DPE", details: "method_not_allowed", body: "Method Not Allowed" },
  method_unknown: { source: "downstream", status: 501, flag: "DPE", details: "method_unknown", body: "Not Implemented" },
  misdirected: { source: "downstream", status: 421, flag: "-", details: "misdirected_request", body: "Misdirected Request" },
  expectation_failed: { source: "downstream", status: 417, flag: "DPE", details: "expectation_failed", body: "Expectation Failed" },
  header_timeout: { source: "downstream", status: 408, flag: "SI", details: "request_header_timeout", body: "Request Timeout" },
  body_rate: { source: "downstream", status: 408, flag: "SI", details: "request_body_too_slow", body: "Request Timeout" },
  response_stalled: { source: "downstream", status: 0, flag: "SI", details: "response_stalled", body: "" },
  path_normalization: { source: "downstream", status: 400, flag: "-", details: "path_normalization_failed", body: "" },
  downstream_disconnect: { source: "downstream", status: 0, flag: "DC", details: "downstream_remote_disconnect", body: "" },

  /** Its connection was open when a policy came into force by which it would have been refused. */
  no_longer_accepted: { source: "local", status: 0, flag: "LR", details: "connection_no_longer_accepted", body: "" },
  rewrite: { source: "local", status: 500, flag: "-", details: "route_rewrite_invalid", body: "" },
  route_not_found: { source: "local", status: 404, flag: "NR", details: "route_not_found", body: "" },
  cluster_not_found: { source: "local", status: 503, flag: "NC", details: "cluster_not_found", body: "" },
  no_healthy_upstream: { source: "local", status: 503, flag: "UH", details: "no_healthy_upstream", body: "no healthy upstream" },
  overflow: { source: "local", status: 503, flag: "UO", details: "upstream_reset_before_response_started", body: `${RESET}overflow` },
  rbac_denied: { source: "local", status: 403, flag: "-", details: "rbac_access_denied_matched_policy", body: "RBAC: access denied" },
  response_timeout: { source: "local", status: 504, flag: "UT", details: "response_timeout", body: "upstream request timeout" },
  per_try_timeout: { source: "local", status: 504, flag: "UT", details: "upstream_per_try_timeout", body: "upstream request timeout" },
  request_stalled: { source: "upstream", status: 504, flag: "UT", details: "upstream_request_stalled", body: "upstream request timeout" },
  retry_buffer: { source: "local", status: 507, flag: "-", details: "request_payload_exceeded_retry_buffer_limit", body: "exceeded request buffer limit while retrying upstream" },
  internal: { source: "local", status: 500, flag: "-", details: "internal_error", body: "internal error" },

  connect_failure: { source: "upstream", status: 503, flag: "UF", details: "upstream_reset_before_response_started", body: `${RESET}remote connection failure, transport failure reason: {}` },
  connect_timeout: { source: "upstream", status: 503, flag: "UF", details: "upstream_reset_before_response_started", body: `${RESET}connection timeout` },
  tls_failure: { source: "upstream", status: 503, flag: "UF", details: "upstream_reset_before_response_started", body: `${RESET}remote connection failure, transport failure reason: {}` },
  /** The configuration asks for TLS that cannot be had. Its reason names files: it is for logs alone. */
  tls_refused: { source: "local", status: 503, flag: "UF", details: "upstream_reset_before_response_started", body: `${RESET}remote connection failure` },
  upstream_disconnect: { source: "upstream", status: 503, flag: "UC", details: "upstream_reset_before_response_started", body: `${RESET}connection termination` },
  upstream_reset: { source: "upstream", status: 503, flag: "UR", details: "upstream_reset_before_response_started", body: `${RESET}remote reset` },
  refused_stream: { source: "upstream", status: 503, flag: "UR", details: "upstream_reset_before_response_started", body: `${RESET}remote refused stream reset` },
  upstream_protocol: { source: "upstream", status: 502, flag: "UPE", details: "upstream_reset_before_response_started", body: `${RESET}protocol error` },
} as const satisfies Record<string, Attributes>;

/** Stable names of failures; sent as `x-outrider-error` and usable in alerts. */
export type ProxyErrorCode = keyof typeof ATTRIBUTES;

/**
 * A failure as a value. It carries plain facts, never the request, and crosses at most one folder as an exception:
 * the seams of `stream.ts` pass it as an argument.
 */
export class ProxyError extends Error {
  readonly code: ProxyErrorCode;
  /** Says why in the operator's words; goes into the log and, where the table says so, into the body. */
  readonly reason: string;
  /**
   * For an upstream failure: whether the connection had carried a request before. A reused connection that dies
   * before the first response byte was most likely closed while idle (the keep-alive race).
   */
  readonly onReusedConnection: boolean;
  /** For an upstream failure: certainly nothing of the request was written, although it had a connection. */
  readonly isUnsent: boolean;

  constructor(code: ProxyErrorCode, reason = "", options: { cause?: unknown; onReusedConnection?: boolean; isUnsent?: boolean } = {}) {
    super(reason === "" ? code : `${code}: ${reason}`, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.reason = reason;
    this.onReusedConnection = options.onReusedConnection ?? false;
    this.isUnsent = options.isUnsent ?? false;
  }

  get attributes(): Attributes {
    return ATTRIBUTES[this.code];
  }
}
