import { describe, expect, it } from "vitest";
import type { Clock } from "../../../src/core/clock.ts";
import { sanitizeRequest, sanitizeResponse } from "../../../src/http/request-hygiene.ts";
import type { ConnectionFacts } from "../../../src/message/connection-facts.ts";
import { RequestHead, ResponseHead } from "../../../src/message/head.ts";
import { HeaderList } from "../../../src/message/header-list.ts";
import { StreamInfo } from "../../../src/message/stream-info.ts";
import type { Direction } from "../../../src/message/stream-info.ts";

const PLAIN: ConnectionFacts = { remote: { address: "10.0.0.9", port: 1 }, local: { address: "10.0.0.1", port: 80 }, isCaptured: true, tls: null };
const MUTUAL: ConnectionFacts = { ...PLAIN, tls: { peer: null, ownSpiffeId: "spiffe://td/ns/a/sa/b", serverName: null, alpn: null } };
const clock: Clock = { monotonicMs: () => 0, wallMs: () => Date.UTC(2024, 1, 29, 12, 30, 5, 999) };

function request(direction: Direction, headers: [string, string][], connection = PLAIN) {
  const head = new RequestHead("GET", "a.test", "/", HeaderList.of(...headers));
  const info = new StreamInfo(direction, connection, 0);
  sanitizeRequest(head, connection, info);
  return { head, info, keys: head.headers.keys };
}
function response(direction: Direction, headers: [string, string][], upstreamServiceMs = -1) {
  const head = new ResponseHead(200, "OK", HeaderList.of(...headers), 0);
  const info = new StreamInfo(direction, PLAIN, 0);
  info.upstreamServiceMs = upstreamServiceMs;
  sanitizeResponse(head, info, direction, clock);
  return head.headers;
}
const FORGED = ["X-Envoy-Retry-On", "x-envoy-max-retries", "x-envoy-upstream-rq-timeout-ms", "x-envoy-internal", "x-istio-attributes", "X-Outrider-Anything"];
const FORGED_BY_PEERS = ["x-envoy-original-path", "x-envoy-decorator-operation", "x-envoy-attempt-count", "x-istio-origin-network", "x-envoy-brand-new"];

describe("sanitizeRequest", () => {
  it.each(["inbound", "outbound"] as const)("%s: takes internal fields out (B16, CVE-2020-8843, CVE-2024-45806)", (direction) => {
    const { keys } = request(direction, [["a", "1"], ...FORGED.flatMap<[string, string]>((name) => [[name, "x"], [name, "y"]]), ["b", "2"]]);
    expect(keys).toEqual(["a", "b", "x-forwarded-proto", "x-request-id"]);
  });

  it("inbound: takes out whatever a peer could forge, but not what a gateway tells applications (CVE-2023-27487)", () => {
    const { keys } = request("inbound", [...FORGED_BY_PEERS.map<[string, string]>((name) => [name, "x"]), ["X-Envoy-External-Address", "1.2.3.4"], ["x-forwarded-client-cert", "By=1"]]);
    expect(keys).toEqual(["x-envoy-external-address", "x-forwarded-client-cert", "x-forwarded-proto", "x-request-id"]);
  });

  it("inbound: believes a mesh peer which attempt this is, and nobody else (spec/07 7.1 item 10)", () => {
    const peer = { spiffeId: "spiffe://td/ns/a/sa/c" } as NonNullable<NonNullable<ConnectionFacts["tls"]>["peer"]>;
    const proven: ConnectionFacts = { ...MUTUAL, tls: { ...MUTUAL.tls as NonNullable<ConnectionFacts["tls"]>, peer } };
    const attempt = (value: string, connection: ConnectionFacts): string | undefined => request("inbound", [["x-envoy-attempt-count", value]], connection).head.headers.get("x-envoy-attempt-count");
    expect([attempt("2", proven), attempt("2", MUTUAL), attempt("2", PLAIN), attempt("2;x", proven), attempt("", proven)]).toEqual(["2", undefined, undefined, undefined, undefined]);
    expect(request("inbound", [["x-envoy-expected-rq-timeout-ms", "1"]], proven).keys).not.toContain("x-envoy-expected-rq-timeout-ms");
  });

  it("outbound: takes out the client certificate an application claims, and leaves our own metadata", () => {
    const { keys } = request("outbound", [["X-Forwarded-Client-Cert", "By=1"], ["x-envoy-peer-metadata", "m"], ["x-envoy-attempt-count", "1"]]);
    expect(keys).toEqual(["x-envoy-peer-metadata", "x-envoy-attempt-count", "x-forwarded-proto", "x-request-id"]);
  });

  it("says how the request came, unless that was said before", () => {
    expect(request("inbound", []).head.headers.get("x-forwarded-proto")).toBe("http");
    expect(request("inbound", [], MUTUAL).head.headers.get("x-forwarded-proto")).toBe("https");
    const told = request("inbound", [["x-forwarded-proto", "HTTPS"]]);
    expect(told.head.headers.all("x-forwarded-proto")).toEqual(["HTTPS"]);
    expect(told.head.scheme).toBe("https");
    expect(request("inbound", [["x-forwarded-proto", "ftp"]]).head.scheme).toBe("http");
  });

  it("gives each request an id of its own, keeps one that came, and cuts a long one", () => {
    const first = request("outbound", []);
    expect(first.info.requestId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(first.head.headers.get("x-request-id")).toBe(first.info.requestId);
    expect(request("outbound", []).info.requestId).not.toBe(first.info.requestId);
    expect(request("inbound", [["X-Request-Id", "mine"]]).info.requestId).toBe("mine");
    const long = request("inbound", [["x-request-id", "a".repeat(60_000)]]);
    expect(long.head.headers.get("x-request-id")).toBe("a".repeat(128));
    expect(long.info.requestId).toBe("a".repeat(128));
    const empty = request("inbound", [["x-request-id", ""]]);
    expect(empty.head.headers.all("x-request-id")).toEqual([empty.info.requestId]);
    expect(empty.info.requestId).toHaveLength(36);
  });

  it("notes user agent and X-Forwarded-For, and leaves them as they came", () => {
    const { head, info } = request("inbound", [["X-Forwarded-For", "1.1.1.1"], ["User-Agent", "curl"], ["x-forwarded-for", "2.2.2.2, 3.3.3.3"]]);
    expect(info.userAgent).toBe("curl");
    expect(info.forwardedFor).toBe("1.1.1.1,2.2.2.2, 3.3.3.3");
    expect(head.headers.toPairs().slice(0, 3)).toEqual([["X-Forwarded-For", "1.1.1.1"], ["User-Agent", "curl"], ["x-forwarded-for", "2.2.2.2, 3.3.3.3"]]);
  });

  it("is not confused by names of built-in properties (A29)", () => {
    expect(request("inbound", [["__proto__", "x"], ["constructor", "y"], ["x-", "z"], ["x", "w"]]).keys.slice(0, 4)).toEqual(["__proto__", "constructor", "x-", "x"]);
  });
});

describe("sanitizeResponse", () => {
  it("names itself as server, whatever the application said", () => {
    expect(response("inbound", [["Server", "nginx"]]).toPairs()[0]).toEqual(["Server", "istio-envoy"]);
    expect(response("outbound", [["server", "istio-envoy"], ["server", "again"]]).all("server")).toEqual(["envoy"]);
    expect(response("outbound", []).get("server")).toBe("envoy");
  });

  it("states the upstream's time over what the other sidecar stated, and none without an upstream", () => {
    expect(response("outbound", [["x-envoy-upstream-service-time", "1"]], 12.4).all("x-envoy-upstream-service-time")).toEqual(["12"]);
    expect(response("inbound", [], 0).get("x-envoy-upstream-service-time")).toBe("0");
    expect(response("inbound", []).has("x-envoy-upstream-service-time")).toBe(false);
  });

  it("adds a missing date", () => {
    expect(response("inbound", []).get("date")).toBe("Thu, 29 Feb 2024 12:30:05 GMT");
    expect(response("inbound", [["Date", "theirs"]]).all("date")).toEqual(["theirs"]);
  });

  it("keeps a tracing hint away from the application", () => {
    expect(response("outbound", [["x-envoy-decorator-operation", "x"]]).has("x-envoy-decorator-operation")).toBe(false);
  });
});
