import { describe, expect, test } from "vitest";
import type { ConnectionFacts } from "../../../src/message/connection-facts.ts";
import { RequestHead, ResponseHead } from "../../../src/message/head.ts";
import { HeaderList } from "../../../src/message/header-list.ts";
import { HeaderTemplate, type TemplateContext } from "../../../src/message/header-template.ts";
import { StreamInfo } from "../../../src/message/stream-info.ts";

const CONNECTION: ConnectionFacts = {
  remote: { address: "10.0.0.7", port: 4711 }, local: { address: "2001:db8::1", port: 9080 }, isCaptured: true,
  tls: { peer: { spiffeId: "spiffe://cluster.local/ns/a/sa/b", hash: "ab12", subject: "", dnsNames: [], expiresAtMs: 0 }, ownSpiffeId: "spiffe://cluster.local/ns/c/sa/d", serverName: "reviews", alpn: null },
};

function context(response: ResponseHead | null = null): TemplateContext {
  const head = new RequestHead("GET", "reviews:9080", "/a?b", HeaderList.of(["X-User", "jane"], ["x-many", "1"], ["x-many", "2"]));
  const info = new StreamInfo("outbound", CONNECTION, 0);
  Object.assign(info, { routeName: "canary", clusterName: "outbound|9080||reviews", upstreamHost: "10.0.0.9:80" });
  return { head, info, connection: CONNECTION, response, wallMs: Date.UTC(2026, 0, 2, 3, 4, 5) };
}

describe("header values with variables", () => {
  test.each([
    ["plain", "plain"],
    ["100%%", "100%"],
    ["a-%REQ(x-user)%-b", "a-jane-b"],
    ["%REQ(X-MANY)%", "1,2"],
    ["%REQ(x-none?x-user)%", "jane"],
    ["%REQ(x-none)%", ""],
    ["%REQ(x-user):2%", "ja"],
    ["%REQ(:METHOD)% %REQ(:PATH)% %REQ(:AUTHORITY)%", "GET /a?b reviews:9080"],
    ["%DOWNSTREAM_REMOTE_ADDRESS%", "10.0.0.7:4711"],
    ["%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "10.0.0.7"],
    ["%DOWNSTREAM_LOCAL_ADDRESS%", "[2001:db8::1]:9080"],
    ["%DOWNSTREAM_LOCAL_PORT%", "9080"],
    ["%DOWNSTREAM_PEER_URI_SAN%", "spiffe://cluster.local/ns/a/sa/b"],
    ["%REQUESTED_SERVER_NAME%", "reviews"],
    ["%PROTOCOL%", "HTTP/1.1"],
    ["%ROUTE_NAME% %UPSTREAM_CLUSTER% %UPSTREAM_HOST%", "canary outbound|9080||reviews 10.0.0.9:80"],
    ["%START_TIME%", "2026-01-02T03:04:05.000Z"],
  ])("%s", (text, expected) => {
    expect(HeaderTemplate.parse(text).format(context())).toBe(expected);
  });

  test("of a response", () => {
    const response = new ResponseHead(204, "No Content", HeaderList.of(["x-a", "b"]), 0);
    expect(HeaderTemplate.parse("%RESPONSE_CODE% %RESP(X-A)% %RESP(x-none)%").format(context(response))).toBe("204 b ");
  });

  test.each([
    ["50%", 'has a "%" that begins no variable; a literal percent sign is written %%'],
    ["%lower%", 'has a "%" that begins no variable; a literal percent sign is written %%'],
    ["%REQ()%", "%REQ()% does not name a header; write %REQ(name)% or %REQ(name?other)%"],
    ["%REQ%", "%REQ()% does not name a header; write %REQ(name)% or %REQ(name?other)%"],
    ["%PROTOCOL(x)%", "%PROTOCOL% takes no argument here"],
  ])("%s is none", (text, message) => {
    expect(() => HeaderTemplate.parse(text)).toThrow(message);
  });

  test("what the host's environment holds stays there", () => {
    expect(() => HeaderTemplate.parse("%ENVIRONMENT(PATH)%")).toThrow("%ENVIRONMENT% is not a variable that is known here; there are DOWNSTREAM_REMOTE_ADDRESS,");
  });
});
