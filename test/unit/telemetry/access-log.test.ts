import { describe, expect, test } from "vitest";
import { AuthorizationNote } from "../../../src/message/authorization-note.ts";
import { TcpInfo } from "../../../src/message/stream-info.ts";
import { AccessLog } from "../../../src/telemetry/access-log.ts";
import { FakeClock, PEER_ID, connection, streamInfo } from "./fixtures.ts";

const KEYS = [
  "start_time", "method", "path", "protocol", "response_code", "response_flags", "response_code_details", "connection_termination_details",
  "upstream_transport_failure_reason", "bytes_received", "bytes_sent", "duration", "upstream_service_time", "x_forwarded_for", "user_agent",
  "request_id", "authority", "upstream_host", "upstream_cluster", "upstream_local_address", "downstream_local_address",
  "downstream_remote_address", "requested_server_name", "route_name", "direction", "peer_principal", "attempts", "authz",
];

function setUp(isEnabled = true) {
  const clock = new FakeClock();
  const lines: string[] = [];
  return { clock, lines, log: new AccessLog({ write: (line) => lines.push(line) }, clock, isEnabled) };
}

describe("the access log", () => {
  test("has Istio's keys in order, then ours, with typed values", () => {
    const { clock, lines, log } = setUp();
    clock.nowMs = 1500;
    log.done(streamInfo("inbound", {
      requestId: "id-1", userAgent: "curl/8", forwardedFor: "10.1.1.1", bytesReceived: 5, bytesSent: 10, upstreamHost: "127.0.0.1:9080",
      upstreamLocalAddress: { address: "127.0.0.6", port: 5000 }, routeName: "default", attempts: 1, upstreamServiceMs: 3.4,
    }), 1012.4);
    const line = JSON.parse(lines[0] as string) as Record<string, unknown>;
    expect(Object.keys(line)).toEqual(KEYS);
    expect(line).toEqual({
      start_time: "2026-01-01T00:00:01.000Z", method: "GET", path: "/reviews/1", protocol: "HTTP/1.1", response_code: 200, response_flags: "-",
      response_code_details: "via_upstream", connection_termination_details: null, upstream_transport_failure_reason: null, bytes_received: 5,
      bytes_sent: 10, duration: 12, upstream_service_time: 3, x_forwarded_for: "10.1.1.1", user_agent: "curl/8", request_id: "id-1",
      authority: "reviews:9080", upstream_host: "127.0.0.1:9080", upstream_cluster: "inbound|9080||", upstream_local_address: "127.0.0.6:5000",
      downstream_local_address: "10.0.0.7:9080", downstream_remote_address: "10.0.0.3:40000", requested_server_name: "outbound_.9080_._.reviews",
      route_name: "default", direction: "inbound", peer_principal: PEER_ID, attempts: 1, authz: null,
    });
  });

  test("what is missing is null", () => {
    const { lines, log } = setUp();
    log.done(streamInfo("outbound", { clusterName: null, service: null }), 1012);
    expect(JSON.parse(lines[0] as string)).toMatchObject({
      upstream_service_time: null, user_agent: null, request_id: null, upstream_host: null, upstream_cluster: null, requested_server_name: null, route_name: null, peer_principal: null,
    });
  });

  test("a peer cannot forge a line or drive a terminal (hostile B31)", () => {
    const { lines, log } = setUp();
    const userAgent = 'x\n{"level":"error"}\u001b[2J\u009b';
    log.done(streamInfo("inbound", { userAgent, path: `/${"y".repeat(100_000)}` }), 1012);
    expect(lines).toHaveLength(1);
    // eslint-disable-next-line no-control-regex
    expect(lines[0]).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
    expect((JSON.parse(lines[0] as string) as { user_agent: string }).user_agent).toBe(userAgent);
    expect((lines[0] as string).length).toBeLessThan(4096);
  });

  test("nor can a server name (CVE-2024-45808, hostile B31)", () => {
    const { lines, log } = setUp();
    const passthroughServerName = '\u001b[2Ja.test"}\n{"level":"error"\u009b';
    log.closed(new TcpInfo("outbound", { ...connection(), tls: null, passthroughServerName }, 1000), 1012);
    // eslint-disable-next-line no-control-regex
    expect(lines[0]).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
    expect(JSON.parse(lines[0] as string)).toMatchObject({ requested_server_name: passthroughServerName });
  });

  test("a denial has its policy, rule and id, and what policies that only look on said", () => {
    const { lines, log } = setUp();
    const info = streamInfo("inbound", {});
    info.authorization = Object.assign(new AuthorizationNote(), { policy: "shop/no-admin", rule: 0, recordId: "k3v90xq2m4ab", dryRun: "shop/planned" });
    log.done(info, 1012);
    expect(JSON.parse(lines[0] as string)).toMatchObject({ authz: { policy: "shop/no-admin", rule: 0, id: "k3v90xq2m4ab", audit: null, dry_run: "shop/planned" } });
  });

  test("an opaque connection is logged once, when it closes, with IPv6 addresses in brackets", () => {
    const { lines, log } = setUp();
    const facts = { ...connection(), remote: { address: "fd00::1", port: 7 } };
    const info = Object.assign(new TcpInfo("outbound", facts, 1000), { details: "rbac_denied", bytesSent: 7, upstreamPrincipal: PEER_ID });
    log.opened(info);
    log.progressed(info);
    log.closed(info, 1100);
    expect(lines).toHaveLength(1);
    const line = JSON.parse(lines[0] as string) as Record<string, unknown>;
    expect(Object.keys(line)).toEqual(KEYS);
    expect(line).toMatchObject({ method: null, response_code: 0, connection_termination_details: "rbac_denied", bytes_sent: 7, duration: 100, downstream_remote_address: "[fd00::1]:7", peer_principal: PEER_ID });
  });

  test("names the server of TLS that was passed through", () => {
    const { lines, log } = setUp();
    log.closed(new TcpInfo("outbound", { ...connection(), tls: null, passthroughServerName: "api.test" }, 1000), 1100);
    expect(JSON.parse(lines[0] as string)).toMatchObject({ requested_server_name: "api.test" });
  });

  test("is silent unless the configuration asks for it, and follows it", () => {
    const { lines, log } = setUp(false);
    log.done(streamInfo("inbound"), 1012);
    log.closed(new TcpInfo("inbound", connection(), 0), 1);
    expect(lines).toEqual([]);
    log.isEnabled = true;
    log.done(streamInfo("inbound"), 1012);
    expect(lines).toHaveLength(1);
  });
});
