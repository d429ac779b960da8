import { describe, expect, test } from "vitest";
import { parseResponse, ResponseRecorder } from "./http1-recording.ts";

const OK = "HTTP/1.1 200 OK\r\n";

describe("responses that are refused", () => {
  test.each<[string, string]>([
    ["A57 status 2OO", "HTTP/1.1 2OO OK\r\n\r\n"],
    ["A57 status of two digits", "HTTP/1.1 20 OK\r\n\r\n"],
    ["A57 status of four digits", "HTTP/1.1 2000 OK\r\n\r\n"],
    ["A57 status 099", "HTTP/1.1 099 X\r\n\r\n"],
    ["A57 HTTP/2.0", "HTTP/2.0 200 OK\r\n\r\n"],
    ["A57 HTTP/1.2", "HTTP/1.2 200 OK\r\n\r\n"],
    ["A57 no version", "200 OK\r\n\r\n"],
    ["A57 two spaces", "HTTP/1.1  200 OK\r\n\r\n"],
    ["A57 empty line before", "\r\nHTTP/1.1 200 OK\r\n\r\n"],
    ["A57 not HTTP", "SSH-2.0-OpenSSH_9.7\r\n\r\n"],
    ["A57 LF only", "HTTP/1.1 200 OK\nContent-Length: 0\n\n"],
    ["Content-Length with Transfer-Encoding", `${OK}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
    ["Content-Length twice (undici CVE-2026-1525)", `${OK}Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc`],
    ["Content-Length as a list", `${OK}Content-Length: 3, 3\r\n\r\nabc`],
    ["Content-Length -1", `${OK}Content-Length: -1\r\n\r\n`],
    ["gzip, chunked", `${OK}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`],
    ["Transfer-Encoding in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    ["space before colon", `${OK}Content-Length : 3\r\n\r\nabc`],
    ["folded field", `${OK}X-A: a\r\n b\r\n\r\n`],
    ["NUL in a value", `${OK}X-A: a\0\r\n\r\n`],
    ["Connection nominates Content-Length", `${OK}Connection: content-length\r\nContent-Length: 0\r\n\r\n`],
    ["head of 61 KiB", `${OK}${`a: ${"x".repeat(6200)}\r\n`.repeat(10)}\r\n`],
    ["101 fields", `${OK}${"a:b\r\n".repeat(101)}\r\n`],
    ["A50 101 nobody asked for", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"],
    ["A57 flood of 1xx", "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1000)],
  ])("%s", (_name, bytes) => {
    const { error, messages } = parseResponse(bytes);
    expect(error?.code).toBe("upstream_protocol");
    expect(error?.attributes.status).toBe(502);
    expect(messages).toEqual([]);
  });

  test("101 to a protocol that was not asked for", () => {
    expect(parseResponse("HTTP/1.1 101 X\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n", "GET", "websocket").error?.code).toBe("upstream_protocol");
  });

  test("a malformed chunk ends the body with an error and no end", () => {
    const { error, messages } = parseResponse(`${OK}Transfer-Encoding: chunked\r\n\r\n3\r\nabcX`);
    expect(error?.code).toBe("upstream_protocol");
    expect(messages[0]?.isComplete).toBe(false);
  });
});

describe("responses that are taken", () => {
  const one = (bytes: string, method = "GET") => {
    const recorder = parseResponse(bytes, method);
    expect(recorder.error).toBeNull();
    expect(recorder.messages).toHaveLength(1);
    const [message] = recorder.messages;
    if (message === undefined) throw new Error("no message");
    return { ...message, recorder };
  };

  test("by Content-Length", () => {
    const { head, body, isComplete, keepsAlive } = one(`${OK}X-A: b\r\nConnection: X-C\r\nX-C: d\r\nContent-Length: 3\r\n\r\nabc`);
    expect([head.status, head.reason, head.contentLength, body, isComplete, keepsAlive]).toEqual([200, "OK", 3, "abc", true, true]);
    expect(head.headers.toPairs()).toEqual([["X-A", "b"]]);
  });

  test("chunked, with trailers", () => {
    const { head, body, trailers, isComplete } = one(`${OK}Transfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\nSet-Cookie: x\r\n\r\n`);
    expect([head.contentLength, body, isComplete]).toEqual([-1, "abc", true]);
    expect(trailers).toEqual([["X-Sum", "1"]]);
  });

  test("A57 without framing it goes on until the connection ends, whatever keep-alive says", () => {
    const recorder = parseResponse(`${OK}Connection: keep-alive\r\n\r\nHTTP/1.1 200 OK\r\n\r\n`);
    expect(recorder.messages[0]?.body).toBe("HTTP/1.1 200 OK\r\n\r\n");
    expect(recorder.messages[0]?.isComplete).toBe(false);
    expect(recorder.parser.endOfConnection()).toBe(true);
    expect(recorder.messages[0]?.isComplete).toBe(true);
    expect(recorder.parser.keepsAlive).toBe(false);
  });

  test.each([["Content-Length: 9", "abc"], ["Transfer-Encoding: chunked", "3\r\nabc\r\n"]])("%s is not ended by the connection", (field, body) => {
    const recorder = parseResponse(`${OK}${field}\r\n\r\n${body}`);
    expect(recorder.parser.endOfConnection()).toBe(false);
    expect(recorder.messages[0]?.isComplete).toBe(false);
  });

  test.each<[string, string, number]>([["HEAD", `${OK}Content-Length: 9\r\n\r\n`, 9], ["GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 9],
    ["GET", "HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n", -1], ["HEAD", `${OK}Transfer-Encoding: chunked\r\n\r\n`, -1]])(
    "%s answered %j has no body", (method, bytes, length) => {
      const { head, isComplete, recorder } = one(bytes, method);
      expect([head.contentLength, isComplete, recorder.unsolicitedBytes]).toEqual([length, true, 0]);
    });

  test.each<[string, string]>([["GET", "HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\nabc"], ["GET", "HTTP/1.1 304 X\r\nContent-Length: 3\r\n\r\nabc"],
    ["GET", `${OK}Content-Length: 0\r\n\r\nabc`], ["HEAD", `${OK}Content-Length: 3\r\n\r\nabc`]])(
    "A57 bytes behind a response without body are nobody's: %s %j", (method, bytes) => {
      expect(one(bytes, method).recorder.unsolicitedBytes).toBe(3);
    });

  test("A57 a second response in one segment is nobody's", () => {
    const { recorder } = one(`${OK}Content-Length: 1\r\n\r\na${OK}Content-Length: 1\r\n\r\nb`);
    expect(recorder.unsolicitedBytes).toBe(`${OK}Content-Length: 1\r\n\r\nb`.length);
  });

  test("up to eight 1xx are told apart from the response", () => {
    const recorder = parseResponse(`${"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n".repeat(8)}${OK}Content-Length: 0\r\n\r\n`);
    expect(recorder.error).toBeNull();
    expect(recorder.informational.map(({ status }) => status)).toEqual(Array.from({ length: 8 }, () => 100));
  });

  test("A50 a 200 with Upgrade is an ordinary response (CVE-2024-23326)", () => {
    const recorder = parseResponse(`${OK}Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nhiXX`, "GET", "websocket");
    expect(recorder.messages[0]?.body).toBe("hi");
    expect(recorder.unsolicitedBytes).toBe(2);
  });

  test("101 that was asked for: all that follows is the tunnel's", () => {
    const recorder = parseResponse("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n\x81\x00", "GET", "websocket");
    recorder.push(Buffer.from("more"));
    expect(recorder.messages[0]?.head.status).toBe(101);
    expect(recorder.messages[0]?.body).toBe("\x81\x00more");
    expect(recorder.parser.keepsAlive).toBe(false);
  });

  test("Keep-Alive tells how long", () => {
    expect(one(`${OK}Keep-Alive: max=100, timeout=5\r\nContent-Length: 0\r\n\r\n`).recorder.parser.keepAliveSeconds).toBe(5);
    expect(one(`${OK}Keep-Alive: timeout=-1\r\nContent-Length: 0\r\n\r\n`).recorder.parser.keepAliveSeconds).toBe(-1);
    expect(one(`${OK}Content-Length: 0\r\n\r\n`).recorder.parser.keepAliveSeconds).toBe(-1);
  });

  test("HTTP/1.0 closes unless it says keep-alive", () => {
    expect(one("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n").keepsAlive).toBe(false);
    expect(one("HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n").keepsAlive).toBe(true);
  });

  test.each(["HTTP/1.1 200\r\n", "HTTP/1.1 200 \r\n"])("%j has no reason", (line) => expect(one(`${line}Content-Length: 0\r\n\r\n`).head.reason).toBe(""));

  test("nothing is taken while nothing was asked for", () => {
    const recorder = new ResponseRecorder();
    recorder.push(Buffer.from(`${OK}Content-Length: 0\r\n\r\n`));
    recorder.push(Buffer.from(`${OK}Content-Length: 0\r\n\r\n`));
    expect(recorder.messages).toHaveLength(1);
    expect(recorder.unsolicitedBytes).toBeGreaterThan(0);
  });
});
