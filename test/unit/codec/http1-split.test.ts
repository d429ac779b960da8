import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RequestRecorder, ResponseRecorder } from "./http1-recording.ts";

/** What is sent may reach us in any pieces: the same bytes must mean the same whatever the cuts. */
const REQUESTS: readonly string[] = [
  "GET / HTTP/1.1\r\nHost: a.test\r\nX-A:  b \r\n\r\nPOST /2 HTTP/1.1\r\nhost: b.test\r\nContent-Length: 5\r\n\r\nhelloGET /3 HTTP/1.1\r\nHost: c.test\r\n\r\n",
  "\r\nPOST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5;a=\"b\\\"c\"\r\nhello\r\n00a\r\n0123456789\r\n0\r\nX-Sum: 1\r\nCookie: x\r\n\r\nGET /2 HTTP/1.0\r\n\r\n",
  "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n",
  "GET / HTTP/1.1\r\nHost: a.test\r\n\rX: y\r\n\r\n",
  "GET / HTTP/1.1\r\nHost: a.test\r\nX: y\n\r\n\r\n",
  "GET http://b.test/x HTTP/1.1\r\nHost: a.test\r\nConnection: close, x-a\r\nX-A: 1\r\n\r\n",
  `GET /${"a".repeat(9000)} HTTP/1.1\r\nHost: a.test\r\n\r\n`,
];

const RESPONSES: readonly string[] = [
  "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1",
  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\nX: y\r\n\r\n",
  "HTTP/1.1 200 OK\r\n\r\nuntil the end",
  "HTTP/1.1 2OO OK\r\n\r\n",
];

function requestEvents(text: string, cuts: readonly number[]): unknown {
  const recorder = new RequestRecorder();
  for (const piece of pieces(text, cuts)) recorder.push(piece);
  return { error: recorder.error?.code, messages: recorder.messages.map(describeMessage) };
}

function responseEvents(text: string, cuts: readonly number[]): unknown {
  const recorder = new ResponseRecorder();
  for (const piece of pieces(text, cuts)) recorder.push(piece);
  return {
    error: recorder.error?.code, messages: recorder.messages.map(describeMessage), unsolicited: recorder.unsolicitedBytes,
    informational: recorder.informational.map(({ status }) => status),
  };
}

/** Bodies of messages that turned out malformed may differ by what had come before the error. */
function describeMessage(message: { isComplete: boolean; body: string; trailers: unknown; keepsAlive: boolean; head: object }): unknown {
  return { ...message, body: message.isComplete ? message.body : "" };
}

function pieces(text: string, cuts: readonly number[]): Buffer[] {
  const bounds = [0, ...[...cuts].toSorted((a, b) => a - b), text.length];
  return bounds.slice(1).map((end, index) => Buffer.from(text.slice(bounds[index], end), "latin1")).filter(({ length }) => length > 0);
}

describe("cut in two at every byte", () => {
  test.each(REQUESTS)("request %#", (text) => {
    const whole = requestEvents(text, []);
    const step = text.length > 1000 ? 97 : 1;
    for (let at = 1; at < text.length; at += step) expect(requestEvents(text, [at]), `cut at ${at}`).toEqual(whole);
  });

  test.each(RESPONSES)("response %#", (text) => {
    const whole = responseEvents(text, []);
    for (let at = 1; at < text.length; at++) expect(responseEvents(text, [at]), `cut at ${at}`).toEqual(whole);
  });
});

describe("cut anywhere", () => {
  test.each(REQUESTS)("request %#, one byte at a time and at random", (text) => {
    const whole = requestEvents(text, []);
    expect(requestEvents(text, Array.from({ length: text.length }, (_, index) => index))).toEqual(whole);
    fc.assert(fc.property(fc.array(fc.nat(text.length), { maxLength: 8 }), (cuts) => {
      expect(requestEvents(text, cuts)).toEqual(whole);
    }), { numRuns: 60 });
  });

  test.each(RESPONSES)("response %#, one byte at a time and at random", (text) => {
    const whole = responseEvents(text, []);
    expect(responseEvents(text, Array.from({ length: text.length }, (_, index) => index))).toEqual(whole);
    fc.assert(fc.property(fc.array(fc.nat(text.length), { maxLength: 8 }), (cuts) => {
      expect(responseEvents(text, cuts)).toEqual(whole);
    }), { numRuns: 60 });
  });
});

test("a chunked body is what it was made of, however it was chunked and cut", () => {
  const chunk = fc.oneof(fc.string({ unit: "binary-ascii", minLength: 1, maxLength: 40 }), fc.nat(9000).map((length) => "z".repeat(length + 1)));
  fc.assert(fc.property(fc.array(chunk, { maxLength: 12 }), fc.array(fc.nat(100_000), { maxLength: 6 }), (chunks, cuts) => {
    const body = chunks.map((piece) => `${piece.length.toString(16)}\r\n${piece}\r\n`).join("");
    const text = `POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n${body}0\r\n\r\n`;
    const recorder = new RequestRecorder();
    for (const piece of pieces(text, cuts.map((cut) => cut % text.length))) recorder.push(piece);
    expect(recorder.error).toBeNull();
    expect(recorder.messages[0]?.body).toBe(chunks.join(""));
    expect(recorder.messages[0]?.isComplete).toBe(true);
  }), { numRuns: 150 });
});
