import { describe, expect, it } from "vitest";
import { AccessLog } from "../../../src/telemetry/access-log.ts";
import { StreamInfo, TcpInfo } from "../../../src/message/stream-info.ts";
import { readLogLine } from "../../../src/explain/replay-line.ts";

/* Lines of the access log as it writes them, read back as requests. */

const clock = { monotonicMs: () => 0, wallMs: () => 0 };
const TLS = { peer: { spiffeId: "spiffe://cluster.local/ns/a/sa/b", hash: "", subject: "", dnsNames: [], expiresAtMs: 0 }, ownSpiffeId: "", serverName: "outbound_.80_._.x", alpn: null };
const connection = (tls: typeof TLS | null = null) => ({ remote: { address: "10.0.0.1", port: 4000 }, local: { address: "fd00::1", port: 80 }, isCaptured: true, tls });

function lineOf(write: (log: AccessLog) => void): string {
  let line = "";
  write(new AccessLog({ write: (text) => (line = text) }, clock, true));
  return line;
}
function http(direction: "inbound" | "outbound", facts: Partial<StreamInfo>, tls: typeof TLS | null = null) {
  const info = Object.assign(new StreamInfo(direction, connection(tls), 0), { method: "GET", authority: "x:80", path: "/p?q=1", status: 200, attempts: 1, ...facts });
  return readLogLine(lineOf((log) => log.done(info, 0)));
}

describe("a line of the access log", () => {
  it("gives the request and what became of it", () => {
    expect(http("outbound", { clusterName: "outbound|80||x", routeName: "r", userAgent: "curl", requestId: "id", forwardedFor: "1.2.3.4", upstreamPrincipal: "spiffe://cluster.local/ns/c/sa/d" })).toEqual({
      request: {
        direction: "outbound", from: null, to: "[fd00::1]:80", method: "GET", url: "http://x:80/p?q=1", sourceIp: "10.0.0.1", tls: false, sni: null, protocol: "http", jwt: null,
        headers: [["user-agent", "curl"], ["x-request-id", "id"], ["x-forwarded-for", "1.2.3.4"]],
      },
      outcome: { verdict: "route", cluster: "outbound|80||x", routeName: "r", status: 200, details: "via_upstream", hadNoEndpoint: false },
      startTime: "1970-01-01T00:00:00.000Z", requestId: "id",
    });
  });

  it("knows the caller of inbound requests", () => {
    expect(http("inbound", { clusterName: "inbound|80||" }, TLS)).toMatchObject({ request: { from: "spiffe://cluster.local/ns/a/sa/b", tls: true, sni: "outbound_.80_._.x" } });
    expect(http("inbound", { clusterName: "inbound|80||" })).toMatchObject({ request: { from: null, tls: false } });
  });

  it.each<[Partial<StreamInfo>, string]>([
    [{ details: "rbac_access_denied_matched_policy[none]", status: 403, clusterName: "inbound|80||" }, "deny"],
    [{ details: "direct_response", status: 418 }, "reply"],
    [{ details: "route_not_found", status: 404, flags: "NR" }, "reply"],
    [{ details: "no_healthy_upstream", status: 503, flags: "UH", clusterName: "c" }, "route"],
    [{ details: "upstream_reset_before_response_started{connection_termination}", status: 503, flags: "UC", clusterName: "c" }, "route"],
  ])("%j was a %s", (facts, verdict) => {
    expect(http("outbound", facts)).toMatchObject({ outcome: { verdict, hadNoEndpoint: facts.flags === "UH" } });
  });

  it.each([
    [{ details: "fault_filter_abort", clusterName: "c" }, "a fault was injected by chance"],
    [{ details: "local_rate_limited", clusterName: "c" }, "it was beyond a rate limit"],
    [{ details: "downstream_remote_disconnect", status: 0, flags: "DC" }, "it ended before it was decided"],
    [{ method: "", path: "", authority: "", details: "http1.codec_error", status: 400 }, "the request was malformed"],
  ])("%j says that %s", (facts, reason) => expect(http("outbound", facts)).toBe(reason));

  it("gives connections", () => {
    const info = Object.assign(new TcpInfo("inbound", connection(TLS), 0), { clusterName: "inbound|80||" });
    expect(readLogLine(lineOf((log) => log.closed(info, 0)))).toMatchObject({
      request: { protocol: "tcp", direction: "inbound", to: "[fd00::1]:80", url: null, from: "spiffe://cluster.local/ns/a/sa/b" }, outcome: { verdict: "route", cluster: "inbound|80||" },
    });
  });

  it.each([
    ["{", "it is not JSON"], ["1", "it is not a line of an access log"], ["null", "it is not a line of an access log"], ["[]", "it is not a line of an access log"],
    ['{"level":"info","msg":"ready"}', "it is not a line of an access log"],
    ['{"response_code":200,"downstream_local_address":"10.0.0.1:80"}', "it does not say the direction"],
    ['{"response_code":200,"downstream_local_address":null,"direction":"inbound"}', "it does not say where the request was going"],
    ['{"__proto__":{"response_code":1},"direction":"inbound"}', "it is not a line of an access log"],
  ])("%s is none", (text, reason) => expect(readLogLine(text)).toBe(reason));
});
