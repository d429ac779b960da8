import { describe, expect, it } from "vitest";

import { sniff } from "../../../src/connection/sniff.ts";

const latin1 = (text: string): Buffer => Buffer.from(text, "latin1");

describe("sniff", () => {
  it.each([
    ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "http1"],
    ["GET / HTTP/1.0\n", "http1"],
    ["M-SEARCH * HTTP/1.1\r\n", "http1"],
    ["GET / HTTP/9.9\r\n", "http1"],
    ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "http2"],
    ["\x16\x03\x01", "tls"],
    ["\x00\x00\x00\x08\x04\xd2\x16\x2f", "other"],
    ["SSH-2.0-OpenSSH_9\r\n", "other"],
    ["EHLO example.com\r\n", "other"],
    ["*1\r\n$4\r\nPING\r\n", "other"],
    ["GET /\r\n", "other"],
    ["\r\nGET / HTTP/1.1\r\n", "other"],
    // Not the preface after all, but a request line: the codec refuses it with a status (A42).
    ["PRI * HTTP/2.0\r\n\r\nXX", "http1"],
    ["GET / HTTP/1.1 \r\n", "other"],
    [`${"A".repeat(33)} / HTTP/1.1\r\n`, "other"],
    ["", "incomplete"],
    ["GE", "incomplete"],
    ["GET /index", "incomplete"],
    ["PRI * HTTP/2.0\r\n", "incomplete"],
    ["GET /\x00", "other"],
  ])("%j is %s", (text, expected) => {
    expect(sniff(latin1(text))).toBe(expected);
  });

  it("says the same however the bytes are split, once it says anything", () => {
    for (const text of ["GET /a?b HTTP/1.1\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "SSH-2.0-x\r\n", "\x16\x03\x01\x02"]) {
      const whole = sniff(latin1(text));
      for (let length = 1; length < text.length; length++) {
        const part = sniff(latin1(text.slice(0, length)));
        expect([whole, "incomplete"]).toContain(part);
      }
    }
  });

  it("does not wait for ever for a line that never ends", () => {
    expect(sniff(latin1(`GET /${"a".repeat(70_000)}`))).toBe("other");
  });
});
