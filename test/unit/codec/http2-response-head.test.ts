import { describe, expect, test } from "vitest";
import { toResponseHead } from "../../../src/codec/http2-response-head.ts";
import { toTrailers } from "../../../src/codec/http2-trailers.ts";
import type { ResponseHead } from "../../../src/message/head.ts";
import { literalBlock } from "./http2-blocks.ts";
import { BlockDecoder } from "./http2-recording.ts";

type Field = readonly [string, string];

function parse(fields: readonly Field[], ends = false, method = "GET", upgrade: string | null = null): ResponseHead {
  return toResponseHead(new BlockDecoder().decode(literalBlock(...fields)), ends, { method, upgrade }, false);
}

test("a response", () => {
  const head = parse([[":status", "200"], ["server", "x"], ["set-cookie", "a=b"], ["set-cookie", "c=d"]]);
  expect(head).toMatchObject({ status: 200, reason: "OK", version: "HTTP/2", contentLength: -1 });
  expect(head.headers.toPairs()).toEqual([["server", "x"], ["set-cookie", "a=b"], ["set-cookie", "c=d"]]);
});

test("the length of its body", () => {
  const length: Field = ["content-length", "5"];
  expect(parse([[":status", "200"], length]).contentLength).toBe(5);
  expect(parse([[":status", "200"]], true).contentLength).toBe(0);
  expect(parse([[":status", "200"], length], true, "HEAD").contentLength).toBe(5);
  expect(parse([[":status", "304"], length], true).contentLength).toBe(5);
  expect(parse([[":status", "204"], length], true).contentLength).toBe(-1);
  expect(parse([[":status", "103"], length]).contentLength).toBe(-1);
  expect(() => parse([[":status", "200"], length], true)).toThrow("Content-Length without a body");
});

test("a success that answers an upgrade or CONNECT opens a tunnel; a failure does not", () => {
  expect(parse([[":status", "200"]], false, "GET", "websocket")).toMatchObject({ status: 101, contentLength: -1 });
  expect(parse([[":status", "200"], ["content-length", "0"]], false, "CONNECT")).toMatchObject({ status: 200, contentLength: -1 });
  expect(parse([[":status", "403"]], true, "GET", "websocket")).toMatchObject({ status: 403, contentLength: 0 });
});

describe("malformed", () => {
  const cases: [string, Field[], boolean][] = [
    [":status missing", [["server", "x"]], false],
    [":status sent twice", [[":status", "200"], [":status", "200"]], false],
    ["pseudo-header of a request in a response", [[":status", "200"], [":path", "/"]], false],
    ["pseudo-header behind a field", [["server", "x"], [":status", "200"]], false],
    ["informational response that ends the stream", [[":status", "103"]], true],
    ["connection-specific field", [[":status", "200"], ["connection", "close"]], false],
    ["invalid field name", [[":status", "200"], ["Server", "x"]], false],
    ...["101", "20", "2000", "099", "2e1", " 20", "20x", "+20", "0x1", ""].map((status): [string, Field[], boolean] => [status.startsWith(" ") ? "invalid field value" : "invalid :status", [[":status", status]], false]),
  ];
  for (const [reason, fields, ends] of cases) test(`${reason}: ${JSON.stringify(fields)}`, () => expect(() => parse(fields, ends)).toThrow(reason));
});

describe("trailers", () => {
  const read = (fields: readonly Field[], ends = true): [string, string][] | undefined =>
    toTrailers(new BlockDecoder().decode(literalBlock(...fields)), ends, 8192, false)?.toPairs();

  test("are taken but for what may not come behind a message (A23)", () => {
    expect(read([["grpc-status", "0"], ["authorization", "x"], ["x-forwarded-for", "1.2.3.4"], ["x-envoy-a", "b"], ["cookie", "a=b"], ["te", "trailers"]])).toEqual([["grpc-status", "0"]]);
    expect(read([])).toBeUndefined();
  });

  test("are refused when they do not end the stream, have pseudo-headers, frame the message, or are too long", () => {
    expect(() => read([["a", "b"]], false)).toThrow("do not end the stream");
    expect(() => read([[":status", "200"]])).toThrow("pseudo-header in trailers");
    expect(() => read([["content-length", "5"]])).toThrow("framing field");
    expect(() => read([["host", "a"]])).toThrow("framing field");
    expect(() => read([["a", "b".repeat(8192)]])).toThrow("too long");
    expect(() => read([["A", "b"]])).toThrow("invalid field name");
  });
});
