import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { RESPONSE_FLAGS, type ResponseFlag } from "../../src/message/response-flags.ts";
import { RawHttp2Backend } from "../hostile/raw-http2-backend.ts";
import { FlagStage } from "./flag-stage.ts";
import { HTTP_FLAG_ROWS } from "./http-flag-rows.ts";
import { ManualTime } from "./manual-time.ts";
import { yamlOf } from "./mesh-resources.ts";
import { eventually, ProxyUnderTest, statusOf } from "./proxy-under-test.ts";
import { ScriptedUpstream } from "./scripted-upstream.ts";
import { TCP_FLAG_ROWS } from "./tcp-flag-rows.ts";

/*
 * Every response flag and the details that go with it (spec/06 6.4 and 6.5, spec/07 7.4), each made to happen over real sockets:
 * what the client gets, what the access log says and what the metrics count.
 */

/** Flags that nothing here can raise, and why. */
const NEVER: Partial<Record<ResponseFlag, string>> = {
  LH: "Envoy's own health check of the listener is not part of a sidecar's configuration",
  LR: "Envoy resets a stream itself where a buffer overflows; here its writer is held back",
  RLSE: "there is no service of global rate limits",
  IH: "x-envoy headers from peers are taken out instead of being refused",
  UMSDR: "Istio sets no duration of upstream streams",
  RFCF: "there is no cache",
  NFCF: "filters are not configured from afar",
  OM: "there is no overload manager; connections beyond the limit are refused",
  DF: "a name without an address has no endpoint: UH",
  DO: "there is no load report that would ask for drops",
  DR: "a stream that its client resets is logged as DC, as the connection's end is",
};

/** The details of spec/06 6.5 and what here stands in their place, or why nothing can. */
const OTHER_DETAILS: Readonly<Record<string, string>> = {
  maintenance_mode: "there is no maintenance mode",
  upstream_per_try_idle_timeout: "Istio sets none",
  request_overall_timeout: "Istio sets none",
  stream_idle_timeout: "off, as in Istio; request_header_timeout and response_stalled bound what would last for ever",
  max_duration_timeout: "Istio sets none",
  upstream_max_stream_duration_reached: "Istio sets none",
  late_upstream_reset: "a response that was sent is over",
  downstream_local_disconnect: "connections are closed between requests",
  missing_host_header: "http1.codec_error",
  missing_path_rejected: "http1.codec_error",
  absolute_path_rejected: "the absolute form is taken",
  low_version: "HTTP/1.0 is served",
  upgrade_failed: "an offer to upgrade to anything else is left out, and the request served as it is",
  response_payload_too_large: "response bodies are not gathered",
  "http1.invalid_characters": "http1.codec_error",
  "http1.content_length_and_chunked_not_allowed": "http1.codec_error",
  internal_redirect: "redirects are the client's to follow",
  filter_chain_not_found: "counted by outrider_connections_refused_total and told in the log, with the reason",
};
/** Details of the specification, by the names they have in this proxy where those are others. */
const SPECIFIED = [
  "via_upstream", "direct_response", "route_not_found", "cluster_not_found", "no_healthy_upstream", "maintenance_mode", "response_timeout", "upstream_per_try_timeout",
  "upstream_per_try_idle_timeout", "request_overall_timeout", "stream_idle_timeout", "max_duration_timeout", "upstream_max_stream_duration_reached",
  "upstream_reset_before_response_started", "upstream_reset_after_response_started", "late_upstream_reset", "downstream_remote_disconnect", "downstream_local_disconnect",
  "missing_host_header", "missing_path_rejected", "path_normalization_failed", "absolute_path_rejected", "low_version", "upgrade_failed", "request_headers_too_large",
  "request_payload_too_large", "response_payload_too_large", "http1.codec_error", "http1.invalid_characters", "http1.content_length_and_chunked_not_allowed", "http2",
  "fault_filter_abort", "cors_response", "ext_authz_denied", "ext_authz_error", "jwt_authn_access_denied", "rbac_access_denied_matched_policy", "local_rate_limited",
  "internal_redirect", "filter_chain_not_found",
];

describe("response flags", () => {
  let upstream: ScriptedUpstream;
  let http2: RawHttp2Backend;
  let stage: FlagStage;

  beforeAll(async () => {
    upstream = await ScriptedUpstream.start();
    http2 = await RawHttp2Backend.listen();
  });

  afterAll(() => {
    upstream.stop();
    http2.close();
  });

  beforeEach(async () => {
    upstream.reset();
    http2.reset();
    const time = new ManualTime();
    const proxy = await ProxyUnderTest.start({ yaml: yamlOf(), clock: time, timers: time.timers });
    stage = new FlagStage(time, upstream, http2, proxy);
  });

  afterEach(() => {
    stage.proxy.stop();
    stage.stop();
  });

  async function logged(): Promise<Record<string, unknown>> {
    await eventually(() => stage.proxy.accessLog.length > 0, "it was logged");
    expect(stage.proxy.accessLog).toHaveLength(1);
    return stage.proxy.accessLog[0] as Record<string, unknown>;
  }

  it.each(HTTP_FLAG_ROWS)("$flags $status: $what", async ({ flags, details, status, body, act }) => {
    const answer = await act(stage);
    expect(statusOf(answer)).toBe(status);
    if (body !== undefined) expect(bodyOf(answer)).toBe(body);
    const matching = typeof details === "string" ? details : (expect.stringMatching(details) as string);
    expect(await logged()).toMatchObject({ response_flags: flags, response_code_details: matching, response_code: status });
    expect(await stage.proxy.metrics()).toMatch(new RegExp(`istio_requests_total\\{.*response_code="${status}",.*response_flags="${flags}",.*\\} 1`));
  });

  it.each(TCP_FLAG_ROWS)("$flags of an opaque connection: $what", async ({ flags, details, act }) => {
    await act(stage);
    const termination = details === "" ? null : typeof details === "string" ? details : (expect.stringMatching(details) as string);
    expect(await logged()).toMatchObject({ response_flags: flags, connection_termination_details: termination, method: null });
    expect(await stage.proxy.metrics()).toMatch(new RegExp(`istio_tcp_connections_closed_total\\{.*response_flags="${flags}".*\\} 1`));
  });

  it("come with all details there are, but for those that have a reason", () => {
    const raised = HTTP_FLAG_ROWS.map(({ details }) => (typeof details === "string" ? details : details.source.replace("^", "")));
    const missing = SPECIFIED.filter((name) => !raised.some((details) => details.startsWith(name)));
    expect(missing.toSorted()).toEqual(Object.keys(OTHER_DETAILS).toSorted());
  });

  it("are all there are, but for those that nothing here can raise", () => {
    const raised = new Set([...HTTP_FLAG_ROWS, ...TCP_FLAG_ROWS].flatMap(({ flags }) => flags.split(",")));
    expect(RESPONSE_FLAGS.filter((flag) => !raised.has(flag)).toSorted()).toEqual(Object.keys(NEVER).toSorted());
  });
});

/** The body of an answer; one in chunks is one chunk. */
function bodyOf(answer: string): string {
  const body = answer.slice(answer.indexOf("\r\n\r\n") + 4);
  return /^[0-9a-f]+\r\n([^]*)\r\n0\r\n\r\n$/.exec(body)?.[1] ?? body;
}
