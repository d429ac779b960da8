import { METHODS } from "node:http";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { RequestHead } from "../../src/message/head.ts";
import { type Recorded, RequestRecorder } from "../unit/codec/http1-recording.ts";
import { type NodeReading, readWithNode } from "./http1-node-reader.ts";

/*
 * The same bytes for our parser and for Node's (llhttp). We may refuse what Node takes. We may never read another
 * message than Node, nor take one that Node refuses. Argued exceptions:
 * - methods of the IANA registry that llhttp does not know (VERSION-CONTROL, ORDERPATCH, ...) are not generated.
 */

const method = fc.constantFrom("GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "PATCH", "PURGE", "get", "GE T", "", "FOOBAR", "TRACE");
const target = fc.constantFrom("/", "/a?b=c", "/%00", "/a b", "/a#b", "*", "http://b.test/x", "http://b.test", "http://b.test?x", "HTTP://B.test:80/",
  "https://b.test/", "http://u@b.test/", "http://[::1]/", "http:///", "//b.test/x", "/\t", "/\x80", "/\"<>\\^`{|}", "a", "?x", "@e/", "");
const version = fc.constantFrom("HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "http/1.1", "HTTP/1.1 ", "HTTP/01.1", "");
const lineEnd = fc.oneof({ weight: 30, arbitrary: fc.constant("\r\n") }, { weight: 1, arbitrary: fc.constantFrom("\n", "\r", "\r\r\n", "\r\n ", "", "\n\r\n") });
const name = fc.constantFrom("X-A", "x_a", "Content-Length", "content-length", "Transfer-Encoding", "Connection", "Host", "Expect", "Upgrade", "TE", "Trailer",
  "Keep-Alive", "Content_Length", "__proto__", "X A", "X-\xe4", "", " X", "X\t", "!#$%&'*+-.^_`|~09");
const separator = fc.oneof({ weight: 20, arbitrary: fc.constant(": ") }, { weight: 1, arbitrary: fc.constantFrom(":", " :", ":\t", "::", "", ": \r\n ") });
const value = fc.oneof(
  fc.constantFrom("", "x", "5", "0", "05", "5, 5", "+5", "5 ", "0x5", "chunked", "Chunked", "chunked, chunked", "gzip, chunked", "chunked, gzip", ",chunked",
    "identity", "\x0bchunked", "close", "keep-alive", "close, x-a", "upgrade", "content-length", "websocket", "h2c", "100-continue", "trailers", "a.test",
    "b.test:80", "a b", "\xe9", "a\0b", "a\x7f", "  x  ", "\tx\t"),
  fc.string({ unit: "binary-ascii", maxLength: 12 }),
);
const field = fc.tuple(name, separator, value, lineEnd).map((parts) => parts.join(""));
const goodField = fc.constantFrom("X-B: c\r\n", "Accept: */*\r\n", "X-Empty:\r\n", "Cookie: a=b; c=d\r\n", "Connection: keep-alive\r\n");
const chunk = fc.tuple(fc.constantFrom("5", "05", "0005", "A", "1", "5;a", "5;a=b", "5;a=\"b\"", "5; a", "5 ", "-1", "", "0x5", "g", "ffffffffffffffff1"), lineEnd,
  fc.constantFrom("hello", "helloworld", "h", "hell", "hello!"), lineEnd).map((parts) => parts.join(""));
const goodChunk = fc.string({ unit: "binary-ascii", minLength: 1, maxLength: 30 }).map((text) => `${text.length.toString(16)}\r\n${text}\r\n`);
const trailer = fc.constantFrom("", "X-T: 1\r\n", "Content-Length: 5\r\n", "nonsense\r\n", "a\n: b\r\n");
const chunkedBody = fc.tuple(fc.array(fc.oneof({ weight: 3, arbitrary: goodChunk }, { weight: 1, arbitrary: chunk }), { maxLength: 4 }), fc.constantFrom("0", "00", "0;x", ""), lineEnd, trailer, lineEnd)
  .map(([chunks, ...end]) => chunks.join("") + end.join(""));
const framed = fc.oneof(
  fc.string({ unit: "binary-ascii", maxLength: 40 }).map((body) => `Content-Length: ${body.length}\r\n\r\n${body}`),
  chunkedBody.map((body) => `Transfer-Encoding: chunked\r\n\r\n${body}`),
  fc.constant("\r\n"),
);
const wildRequest = fc.tuple(method, fc.constantFrom(" ", " ", " ", "  ", "\t"), target, version, lineEnd, fc.array(field, { maxLength: 4 }), framed)
  .map(([verb, space, uri, protocol, end, fields, rest]) => `${verb}${space}${uri} ${protocol}${end}Host: a.test\r\n${fields.join("")}${rest}`);
const tameRequest = fc.tuple(fc.constantFrom("GET", "POST", "PUT"), fc.constantFrom("/", "/x?y"), fc.array(fc.oneof({ weight: 4, arbitrary: goodField }, { weight: 1, arbitrary: field }), { maxLength: 4 }), framed)
  .map(([verb, uri, fields, rest]) => `${verb} ${uri} HTTP/1.1\r\nHost: a.test\r\n${fields.join("")}${rest}`);
const mutation = fc.tuple(fc.nat(400), fc.constantFrom("\r", "\n", "\r\n", " ", "\t", "\0", ":", ",", ";", "\x0b", "\x7f", "\xff", "0", "a"), fc.constantFrom("insert", "replace", "delete", "none", "none"));
const stream = fc.tuple(fc.array(fc.oneof({ weight: 2, arbitrary: tameRequest }, { weight: 1, arbitrary: wildRequest }), { minLength: 1, maxLength: 3 }), mutation)
  .map(([requests, [at, text, kind]]) => {
    const whole = requests.join("");
    const place = at % (whole.length + 1);
    if (kind === "insert") return whole.slice(0, place) + text + whole.slice(place);
    if (kind === "replace") return whole.slice(0, place) + text + whole.slice(place + text.length);
    return kind === "delete" ? whole.slice(0, place) + whole.slice(place + 1) : whole;
  });

/** Our reading, up to a message that ends the connection: what comes behind it is not read by our server either. */
function readWithOurs(pieces: readonly Buffer[]): Recorded<RequestHead>[] {
  const recorder = new RequestRecorder();
  for (const piece of pieces) recorder.push(Buffer.from(piece));
  const messages = recorder.messages.filter(({ isComplete }) => isComplete);
  const last = messages.findIndex(({ head, keepsAlive }) => !keepsAlive || head.upgrade !== null);
  return last < 0 ? messages : messages.slice(0, last + 1);
}

const HOP_BY_HOP = new Set(["host", "content-length", "transfer-encoding", "connection", "keep-alive", "proxy-connection", "upgrade", "http2-settings", "te", "expect"]);

/** The fields Node read, as far as we pass them on. */
function passedOn(headers: NodeReading["requests"][number]["headers"]): [string, string][] {
  const nominated = new Set(headers.filter(([key]) => key.toLowerCase() === "connection").flatMap(([, options]) => options.toLowerCase().split(",").map((option) => option.trim())));
  return headers.filter(([key]) => !HOP_BY_HOP.has(key.toLowerCase()) && !nominated.has(key.toLowerCase())).map(([key, text]) => [key, text]);
}

/**
 * Node reads no further on a connection once a request asked for an upgrade, also where nobody listens for it. We ignore
 * what we do not know and go on, as RFC 9110 section 7.8 lets a server do.
 */
function asksForUpgrade({ headers }: NodeReading["requests"][number]): boolean {
  const has = (name: string, token: string): boolean => headers.some(([key, value]) => key.toLowerCase() === name && value.toLowerCase().includes(token));
  return has("upgrade", "") && has("connection", "upgrade");
}

function expectSame(all: Recorded<RequestHead>[], theirs: NodeReading, text: string): void {
  const note = JSON.stringify(text);
  const stop = theirs.requests.findIndex(asksForUpgrade);
  const ours = stop < 0 ? all : all.slice(0, stop + 1);
  expect(ours.length, `taken by us, refused by Node (${theirs.error}): ${note}`).toBeLessThanOrEqual(theirs.requests.length);
  ours.forEach(({ head, body }, index) => {
    const other = theirs.requests[index];
    if (other === undefined) return;
    expect([head.method, `HTTP/${other.version}`, body], note).toEqual([other.method, head.version, other.body]);
    expect(head.headers.toPairs().filter(([key]) => key.toLowerCase() !== "te"), note).toEqual(passedOn(other.headers));
    if (head.path === other.target) return;
    // An absolute target, taken apart.
    const url = new URL(other.target);
    expect(head.authority.toLowerCase().replace(/:80$/, ""), note).toBe(url.host);
    expect(other.target.endsWith(head.path) || ["/", "*"].includes(head.path) || other.target.endsWith(head.path.slice(1)), note).toBe(true);
  });
}

function cut(text: string, cuts: readonly number[]): Buffer[] {
  const bounds = [0, ...cuts.map((at) => at % (text.length + 1)).toSorted((a, b) => a - b), text.length];
  return bounds.slice(1).map((end, index) => Buffer.from(text.slice(bounds[index], end), "latin1")).filter(({ length }) => length > 0);
}

test("we read what Node reads, or nothing", async () => {
  let taken = 0;
  await fc.assert(fc.asyncProperty(stream, fc.array(fc.nat(1000), { maxLength: 3 }), async (text, cuts) => {
    const pieces = cut(text, cuts);
    const ours = readWithOurs(pieces);
    taken += ours.length;
    if (ours.some(({ head }) => !METHODS.includes(head.method))) return;
    expectSame(ours, await readWithNode(pieces), text);
  }), { numRuns: 1_000_000, interruptAfterTimeLimit: 10_000, markInterruptAsFailure: false });
  // The generators must not have drifted into bytes that nobody takes.
  expect(taken).toBeGreaterThan(100);
});
