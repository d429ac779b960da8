import { describe, expect, it } from "vitest";

import { localReplyHead, toLocalReply } from "../../../src/message/local-reply.ts";
import { ProxyError, type ProxyErrorCode } from "../../../src/message/proxy-error.ts";

/** Rows of `spec/07` 7.4: what Istio's users and their dashboards expect of each failure. */
const rows: readonly (readonly [ProxyErrorCode, string, number, string, string, string])[] = [
  ["route_not_found", "", 404, "", "NR", "route_not_found"],
  ["cluster_not_found", "outbound|1||a", 503, "", "NC", "cluster_not_found"],
  ["no_healthy_upstream", "", 503, "no healthy upstream", "UH", "no_healthy_upstream"],
  ["overflow", "", 503, "upstream connect error or disconnect/reset before headers. reset reason: overflow", "UO", "upstream_reset_before_response_started{overflow}"],
  ["connect_failure", "refused", 503, "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure, transport failure reason: refused", "UF", "upstream_reset_before_response_started{remote_connection_failure|refused}"],
  ["connect_timeout", "", 503, "upstream connect error or disconnect/reset before headers. reset reason: connection timeout", "UF", "upstream_reset_before_response_started{connection_timeout}"],
  ["tls_refused", "tls_refused: no /etc/ca", 503, "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure", "UF", "upstream_reset_before_response_started{remote_connection_failure|tls_refused:_no_/etc/ca}"],
  ["upstream_disconnect", "", 503, "upstream connect error or disconnect/reset before headers. reset reason: connection termination", "UC", "upstream_reset_before_response_started{connection_termination}"],
  ["upstream_reset", "", 503, "upstream connect error or disconnect/reset before headers. reset reason: remote reset", "UR", "upstream_reset_before_response_started{remote_reset}"],
  ["refused_stream", "", 503, "upstream connect error or disconnect/reset before headers. reset reason: remote refused stream reset", "UR", "upstream_reset_before_response_started{remote_refused_stream_reset}"],
  ["upstream_protocol", "bad chunk", 502, "upstream connect error or disconnect/reset before headers. reset reason: protocol error", "UPE", "upstream_reset_before_response_started{protocol_error}"],
  ["response_timeout", "", 504, "upstream request timeout", "UT", "response_timeout"],
  ["per_try_timeout", "", 504, "upstream request timeout", "UT", "upstream_per_try_timeout"],
  ["rbac_denied", "ns[a]-policy[b c]-rule[0]", 403, "RBAC: access denied", "-", "rbac_access_denied_matched_policy[ns[a]-policy[b_c]-rule[0]]"],
  ["path_normalization", "/..", 400, "", "-", "path_normalization_failed"],
];

describe("toLocalReply", () => {
  it.each(rows)("%s %s", (code, reason, status, body, flag, details) => {
    expect(toLocalReply(new ProxyError(code, reason))).toMatchObject({ status, body, flag, details });
  });

  it("says when an attempt before failed too", () => {
    const reply = toLocalReply(new ProxyError("upstream_disconnect"), true);
    expect(reply.body).toBe("upstream connect error or disconnect/reset before headers. retried and the latest reset reason: connection termination");
  });

  it("names its code, and an overflow as Envoy does", () => {
    expect(toLocalReply(new ProxyError("overflow")).headers).toEqual([["x-outrider-error", "overflow"], ["x-envoy-overloaded", "true"]]);
  });

  it("a reason that looks like a replacement pattern is text", () => {
    expect(toLocalReply(new ProxyError("connect_failure", "$& and {}")).body).toContain("reason: $& and {}");
  });

  it("only a body has a content type", () => {
    expect(localReplyHead(toLocalReply(new ProxyError("route_not_found"))).headers.has("content-type")).toBe(false);
    const head = localReplyHead(toLocalReply(new ProxyError("rbac_denied", "none")));
    expect(head.headers.get("content-type")).toBe("text/plain");
    expect(head).toMatchObject({ status: 403, reason: "Forbidden", contentLength: 19 });
    // A direct response may hold any text.
    expect(localReplyHead({ status: 200, headers: [], body: "grüß 世", flag: "-", details: "direct_response" }).contentLength).toBe(10);
  });
});
