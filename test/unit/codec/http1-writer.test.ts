import { describe, expect, test } from "vitest";
import { writeInformationalHead, writeLastChunk, writeRequestHead, writeResponseHead } from "../../../src/codec/http1-writer.ts";
import { RequestHead, ResponseHead } from "../../../src/message/head.ts";
import { HeaderList } from "../../../src/message/header-list.ts";
import { parseRequests } from "./http1-recording.ts";

const request = (contentLength = 0, ...fields: [string, string][]) => new RequestHead("POST", "a.test", "/x?y", HeaderList.of(...fields), contentLength);

describe("request heads", () => {
  test("Host comes first as it was spelt, framing last", () => {
    const head = request(5, ["x-B", "c"], ["X-b", "d"]);
    head.hostName = "hOST";
    expect(writeRequestHead(head)).toBe("POST /x?y HTTP/1.1\r\nhOST: a.test\r\nx-B: c\r\nX-b: d\r\nContent-Length: 5\r\n\r\n");
  });

  test("an unknown length is chunked", () => expect(writeRequestHead(request(-1))).toContain("\r\nTransfer-Encoding: chunked\r\n\r\n"));

  test("an empty POST says so, an empty GET does not", () => {
    const get = request();
    get.method = "GET";
    expect(writeRequestHead(request())).toContain("Content-Length: 0\r\n");
    expect(writeRequestHead(get)).not.toContain("Content-Length");
  });

  test("an expectation and an upgrade are written anew", () => {
    const head = request(1);
    head.expectsContinue = true;
    expect(writeRequestHead(head)).toContain("Expect: 100-continue\r\n");
    const upgrade = request();
    upgrade.upgrade = "websocket";
    expect(writeRequestHead(upgrade)).toMatch(/\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n$/);
  });

  test("an HTTP/1.0 request goes on as HTTP/1.1", () => {
    const head = request();
    head.version = "HTTP/1.0";
    expect(writeRequestHead(head)).toMatch(/^POST \/x\?y HTTP\/1\.1\r\n/);
  });

  test("what was parsed is written as the same message", () => {
    const text = "POST /x HTTP/1.1\r\nHost: a.test\r\nx-A: b\r\nContent-Length: 3\r\n\r\n";
    expect(writeRequestHead(parseRequests(`${text}abc`).messages[0]?.head as RequestHead)).toBe(text);
  });

  // U+010A is cut to LF when written as latin1: the trick of CVE-2018-12116.
  test.each(["a\r\nX-Evil: 1", "a\nb", "a\0b", "a\x7f", "a\u010aX-Evil: 1"])("CVE-2023-27493 a value %j is not written", (value) => {
    expect(() => writeRequestHead(request(0, ["X-A", value]))).toThrow("internal");
    const head = request();
    head.path = `/${value}`;
    expect(() => writeRequestHead(head)).toThrow("internal");
  });
});

describe("response heads", () => {
  const response = new ResponseHead(200, "Fine", HeaderList.of(["X-A", "b"]), 3);

  test("by length, chunked, or neither", () => {
    expect(writeResponseHead(response, 3, false, "none")).toBe("HTTP/1.1 200 Fine\r\nX-A: b\r\nContent-Length: 3\r\n\r\n");
    expect(writeResponseHead(response, -1, true, "close")).toBe("HTTP/1.1 200 Fine\r\nX-A: b\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
    expect(writeResponseHead(response, -1, false, "keep-alive")).toBe("HTTP/1.1 200 Fine\r\nX-A: b\r\nConnection: keep-alive\r\n\r\n");
  });

  test("informational and 101", () => {
    expect(writeInformationalHead(new ResponseHead(103, "Early Hints", new HeaderList(), -1), null)).toBe("HTTP/1.1 103 Early Hints\r\n\r\n");
    expect(writeInformationalHead(new ResponseHead(101, "Switching Protocols", new HeaderList(), -1), "websocket")).toBe(
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  });

  test("the last chunk carries the trailers", () => {
    expect(writeLastChunk(null)).toBe("0\r\n\r\n");
    expect(writeLastChunk(HeaderList.of(["X-Sum", "1"]))).toBe("0\r\nX-Sum: 1\r\n\r\n");
  });
});
