import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeCheckRequest, type ShownRequest } from "../../../src/filter/ext-authz-grpc-request.ts";
import { decodeCheckResponse } from "../../../src/filter/ext-authz-grpc-response.ts";
import type { ConnectionFacts } from "../../../src/message/connection-facts.ts";
import { RequestHead } from "../../../src/message/head.ts";
import { HeaderList } from "../../../src/message/header-list.ts";
import { type CheckResponseMessage, decodeCheckRequest, encodeCheckResponse } from "./ext-authz-proto.ts";

const PLAIN: ConnectionFacts = { remote: { address: "10.0.0.9", port: 40000 }, local: { address: "10.0.0.7", port: 8080 }, isCaptured: true, tls: null };
const MUTUAL: ConnectionFacts = {
  ...PLAIN,
  tls: {
    peer: { spiffeId: "spiffe://cluster.local/ns/shop/sa/web", hash: "00", subject: "", dnsNames: [], expiresAtMs: 0 },
    ownSpiffeId: "spiffe://cluster.local/ns/shop/sa/api", serverName: "outbound_.80_._.api.shop.svc.cluster.local", alpn: "istio",
  },
};

function shown(head: RequestHead, more: Partial<ShownRequest> = {}): ShownRequest {
  return { head, id: "id-1", receivedAtMs: 1_700_000_000_123, isShown: null, body: null, asBytes: false, ...more };
}

const ask = (connection: ConnectionFacts, request: ShownRequest | null) => decodeCheckRequest(encodeCheckRequest(connection, request)).attributes;
const http = (head: RequestHead, more: Partial<ShownRequest> = {}) => ask(PLAIN, shown(head, more)).request?.http;
const get = (...fields: [string, string][]): RequestHead => new RequestHead("GET", "api.shop:8080", "/a/b?c=d", HeaderList.of(...fields));

describe("what an authorizer is asked", () => {
  test("who called whom, as they proved it", () => {
    expect(ask(MUTUAL, null)).toMatchObject({
      source: { address: { socket_address: { address: "10.0.0.9", port_value: 40000 } }, principal: "spiffe://cluster.local/ns/shop/sa/web" },
      destination: { address: { socket_address: { address: "10.0.0.7", port_value: 8080 } }, principal: "spiffe://cluster.local/ns/shop/sa/api" },
      tls_session: { sni: "outbound_.80_._.api.shop.svc.cluster.local" },
    });
  });

  test("of an opaque connection in plaintext nothing but addresses", () => {
    const attributes = ask(PLAIN, null);
    expect(attributes.source).toMatchObject({ address: { socket_address: { address: "10.0.0.9" } } });
    expect(attributes.source.principal ?? "").toBe("");
    expect(attributes.request).toBeUndefined();
    expect(attributes.tls_session).toBeUndefined();
  });

  test("the request as it would be sent on", () => {
    const head = get(["Accept", "text/html"], ["X-Tag", "1"], ["x-tag", "2"], ["Cookie", "a=1"], ["cookie", "b=2"], ["x-name", Buffer.from("Zoë").toString("latin1")]);
    expect(http(head)).toEqual({
      id: "id-1", method: "GET", path: "/a/b?c=d", host: "api.shop:8080", scheme: "http", protocol: "HTTP/1.1",
      headers: {
        ":authority": "api.shop:8080", ":method": "GET", ":path": "/a/b?c=d", ":scheme": "http",
        accept: "text/html", "x-tag": "1,2", cookie: "a=1; b=2", "x-name": "Zoë",
      },
    });
    expect(ask(PLAIN, shown(head)).request?.time).toEqual({ seconds: "1700000000", nanos: 123_000_000 });
  });

  test("values that are not UTF-8 are replaced, not passed on", () => {
    expect(http(get(["x-bytes", "a\u00ffb"]))?.headers["x-bytes"]).toBe("a\ufffdb");
  });

  test("how long the body is, and -1 where nobody has said", () => {
    const known = get();
    known.contentLength = 42;
    expect(http(known)).toMatchObject({ size: "42", headers: { "content-length": "42" } });
    known.contentLength = -1;
    expect(http(known)?.size).toBe("-1");
    expect(http(known)?.headers).not.toHaveProperty("content-length");
  });

  test("the body, as text or as bytes, and whether that is all of it", () => {
    const body = { bytes: Buffer.from("h\u00e9\u00ff", "latin1"), isWhole: false };
    expect(http(get(), { body })).toMatchObject({ body: "h\ufffd\ufffd", headers: { "x-envoy-auth-partial-body": "true" } });
    expect(http(get(), { body, asBytes: true })?.raw_body).toEqual(body.bytes);
    expect(http(get(), { body: { ...body, isWhole: true } })?.headers["x-envoy-auth-partial-body"]).toBe("false");
  });

  test("a client cannot say for us that it was shown whole", () => {
    expect(http(get(["x-envoy-auth-partial-body", "false"]))?.headers).not.toHaveProperty("x-envoy-auth-partial-body");
  });

  test("only the headers that are to be shown", () => {
    const headers = http(get(["authorization", "Bearer x"], ["accept", "*/*"]), { isShown: (key) => key === "authorization" })?.headers;
    expect(headers).toEqual({ authorization: "Bearer x" });
  });
});

const decode = (response: CheckResponseMessage) => decodeCheckResponse(encodeCheckResponse(response));

describe("what an authorizer answers", () => {
  test("status 0 allows, with or without anything else", () => {
    for (const response of [{}, { status: { code: 0 } }, { ok_response: {} }, { status: { code: 0 }, denied_response: { body: "no" } }]) {
      expect(decode(response)).toEqual({ kind: "allowed", requestHeaders: [], removedHeaders: [], responseHeaders: [], setParameters: [], removedParameters: [] });
    }
  });

  test("any other status denies, whatever form the rest has", () => {
    expect(decode({ status: { code: 7 } })).toEqual({ kind: "denied", status: null, headers: [], body: "" });
    expect(decode({ status: { code: -1 }, ok_response: { headers_to_remove: ["a"] } })).toMatchObject({ kind: "denied" });
    expect(decode({ status: { code: 16 }, denied_response: { status: { code: 401 }, headers: [{ header: { key: "WWW-Authenticate", value: "Bearer" } }], body: "no" } }))
      .toEqual({ kind: "denied", status: 401, headers: [{ name: "www-authenticate", value: "Bearer", how: "append" }], body: "no" });
    expect(decode({ status: { code: 13 }, error_response: { status: { code: 503 }, body: "down" } })).toMatchObject({ kind: "error", status: 503, body: "down" });
  });

  test("changes of a request and its response", () => {
    expect(decode({
      status: { code: 0 },
      ok_response: {
        headers: [{ header: { key: "X-User", value: "zo\u00eb" } }, { header: { key: "x-raw", raw_value: Buffer.from([0x61, 0xff]) } }],
        headers_to_remove: ["Authorization"], response_headers_to_add: [{ header: { key: "x-a", value: "1" } }],
        query_parameters_to_set: [{ key: "k", value: "v" }], query_parameters_to_remove: ["gone"],
      },
    })).toEqual({
      kind: "allowed",
      requestHeaders: [{ name: "x-user", value: Buffer.from("zo\u00eb").toString("latin1"), how: "set" }, { name: "x-raw", value: "a\u00ff", how: "set" }],
      removedHeaders: ["authorization"], responseHeaders: [{ name: "x-a", value: "1", how: "append" }],
      setParameters: [["k", "v"]], removedParameters: ["gone"],
    });
  });

  test.each([
    ["nothing, of a request", {}, "set", "append"],
    ["append", { append: { value: true } }, "append", "append"],
    ["no append", { append: { value: false } }, "set", "set"],
    ["an empty append", { append: {} as { value: boolean } }, "set", "set"],
    ["ADD_IF_ABSENT", { append_action: 1 }, "add-if-absent", "add-if-absent"],
    ["OVERWRITE_IF_EXISTS_OR_ADD", { append_action: 2 }, "set", "set"],
    ["OVERWRITE_IF_EXISTS", { append_action: 3 }, "set-if-present", "set-if-present"],
  ])("what is done with a header: %s", (_about, option, ofRequest, ofResponse) => {
    const header = { header: { key: "x", value: "v" }, ...option };
    expect(decode({ ok_response: { headers: [header], response_headers_to_add: [header] } }))
      .toMatchObject({ requestHeaders: [{ how: ofRequest }], responseHeaders: [{ how: ofResponse }] });
  });

  test.each([
    ["a line break in a value", "x", "a\r\nx-role: admin"],
    ["NUL in a value", "x", "a\0"],
    ["a line break in a name", "x\n", "a"],
    ["a space in a name", "x y", "a"],
    ["no name", "", "a"],
    ["two colons", "::path", "a"],
  ])("CVE-2023-27493: %s makes the whole answer none", (_about, key, value) => {
    const headers = [{ header: { key, value } }];
    expect(decode({ ok_response: { headers } })).toBeNull();
    expect(decode({ ok_response: { response_headers_to_add: headers } })).toBeNull();
    expect(decode({ status: { code: 7 }, denied_response: { headers } })).toBeNull();
  });

  test("append goes before append_action, and what is said twice is merged or none, never the weaker of two", () => {
    const header = { header: { key: "x", value: "v" }, append: { value: false }, append_action: 1 };
    expect(decode({ ok_response: { headers: [header], response_headers_to_add: [header] } })).toMatchObject({ requestHeaders: [{ how: "set" }], responseHeaders: [{ how: "set" }] });
    const both = (...responses: CheckResponseMessage[]) => decodeCheckResponse(Buffer.concat(responses.map(encodeCheckResponse)));
    expect(both({ status: { code: 7 } }, { status: { message: "or not" } })).toMatchObject({ kind: "denied" });
    expect(both({ status: { code: 0 } }, { status: { code: 7 } })).toMatchObject({ kind: "denied" });
    expect(both({ ok_response: {} }, { denied_response: {} })).toBeNull();
    expect(both({ status: { code: 7 }, denied_response: { body: "a" } }, { denied_response: { body: "b" } })).toBeNull();
  });

  test("an append action that nobody knows makes it none", () => {
    expect(decode({ ok_response: { headers: [{ header: { key: "x", value: "v" }, append_action: 4 }] } })).toBeNull();
  });

  test("more changes than anybody means make it none", () => {
    expect(decode({ ok_response: { headers_to_remove: Array.from({ length: 1000 }, (_, index) => `x-${index}`) } })).not.toBeNull();
    expect(decode({ ok_response: { headers_to_remove: Array.from({ length: 1001 }, (_, index) => `x-${index}`) } })).toBeNull();
  });

  test("bytes that are cut or changed are an answer or none, and never allow what was denied by losing its end", () => {
    const whole = encodeCheckResponse({ status: { code: 7, message: "no" }, denied_response: { status: { code: 401 }, body: "denied" } });
    for (let length = 1; length < whole.length; length++) expect(decodeCheckResponse(whole.subarray(0, length))?.kind).not.toBe("allowed");
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      expect(() => decodeCheckResponse(Buffer.from(bytes))).not.toThrow();
    }), { numRuns: 3000 });
  });
});
