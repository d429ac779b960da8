import { describe, expect, test } from "vitest";
import { DEFAULT_HTTP2_LIMITS } from "../../../src/codec/http2-limits.ts";
import { type Http2RequestRules, toRequestHead } from "../../../src/codec/http2-request-head.ts";
import type { RequestHead } from "../../../src/message/head.ts";
import type { ProxyError } from "../../../src/message/proxy-error.ts";
import { literalBlock } from "./http2-blocks.ts";
import { BlockDecoder } from "./http2-recording.ts";

type Field = readonly [string, string];

const RULES: Http2RequestRules = { maxTargetBytes: 8192, allowsConnect: false, allowsExtendedConnect: false, restoresSpelling: false };
const PSEUDO: Field[] = [[":method", "POST"], [":scheme", "https"], [":path", "/a?b"], [":authority", "a.test"]];

function parse(fields: readonly Field[], options: Partial<Http2RequestRules> & { ends?: boolean } = {}): RequestHead {
  return toRequestHead(new BlockDecoder().decode(literalBlock(...fields)), options.ends ?? false, { ...RULES, ...options });
}

/** Code and reason of the refusal. */
function refusal(fields: readonly Field[], options: Partial<Http2RequestRules> & { ends?: boolean } = {}): string {
  try {
    parse(fields, options);
  } catch (error) {
    const { code, reason } = error as ProxyError;
    return reason === "" ? code : `${code}: ${reason}`;
  }
  return "taken";
}

/** The pseudo-headers with one of them changed, or left out. */
function pseudo(name: string, value: string | null): Field[] {
  return PSEUDO.flatMap(([key, usual]): Field[] => (key !== name ? [[key, usual]] : value === null ? [] : [[key, value]]));
}

test("a request", () => {
  const head = parse([...PSEUDO, ["accept", "*/*"], ["x-empty", ""], ["te", "trailers"], ["x-obs", "\xe4"], ["x-a", "1"], ["x-a", "2"]]);
  expect(head).toMatchObject({ method: "POST", scheme: "https", authority: "a.test", path: "/a?b", version: "HTTP/2", contentLength: -1, upgrade: null });
  expect(head.headers.toPairs()).toEqual([["accept", "*/*"], ["x-empty", ""], ["te", "trailers"], ["x-obs", "\xe4"], ["x-a", "1"], ["x-a", "2"]]);
  expect(head.headers.unvetted).toBeNull();
});

test("the length of its body", () => {
  expect(parse(PSEUDO, { ends: true }).contentLength).toBe(0);
  expect(parse([...PSEUDO, ["content-length", "0005"]]).contentLength).toBe(5);
  expect(parse([...PSEUDO, ["content-length", "0"]], { ends: true }).contentLength).toBe(0);
});

test("Host stands for a missing :authority, and is dropped beside an equal one", () => {
  expect(parse([...pseudo(":authority", null), ["host", "b.test:80"]]).authority).toBe("b.test:80");
  const both = parse([...PSEUDO, ["host", "A.TEST"]]);
  expect([both.authority, both.headers.length]).toEqual(["a.test", 0]);
});

test("crumbs of a cookie become one field where the first stood", () => {
  const head = parse([...PSEUDO, ["x-a", "1"], ["cookie", "a=b"], ["x-b", "2"], ["cookie", "c=d"], ["cookie", ""], ["cookie", "e=f"]]);
  expect(head.headers.toPairs()).toEqual([["x-a", "1"], ["cookie", "a=b; c=d; e=f"], ["x-b", "2"]]);
});

test("what is told as never-indexed stays that (RFC 7541 section 6.2.3)", () => {
  const block = Buffer.concat([literalBlock(...PSEUDO), Buffer.from("1003782d61013110 03782d610132".replaceAll(" ", ""), "hex")]);
  expect(toRequestHead(new BlockDecoder().decode(block), false, RULES).headers.sensitive).toEqual(["x-a"]);
});

test("Expect", () => {
  expect(parse([...PSEUDO, ["expect", "100-Continue"]]).expectsContinue).toBe(true);
  expect(parse([...PSEUDO, ["expect", "100-continue"]], { ends: true }).expectsContinue).toBe(false);
  expect(refusal([...PSEUDO, ["expect", "200-ok"]])).toBe("expectation_failed");
});

test("names of objects' own are fields like others (CVE-2026-21710)", () => {
  const fields: Field[] = [["__proto__", "x"], ["constructor", "y"], ["hasownproperty", "z"]];
  expect(parse([...PSEUDO, ...fields]).headers.toPairs()).toEqual(fields);
});

describe("malformed, so its stream is reset (C09, C10, B26)", () => {
  const cases: [string, Field[], string][] = [
    ["upper case in a name", [...PSEUDO, ["X-A", "1"]], "invalid field name"],
    ["an empty name (CVE-2019-9516)", [...PSEUDO, ["", "1"]], "invalid field name"],
    ["a space in a name", [...PSEUDO, ["x a", "1"]], "invalid field name"],
    ["a colon in a name", [...PSEUDO, ["x:a", "1"]], "invalid field name"],
    ["a line end in a name", [...PSEUDO, ["x\r\ny", "1"]], "invalid field name"],
    ["a byte above ASCII in a name", [...PSEUDO, ["x\xe4", "1"]], "invalid field name"],
    ["a line end in a value", [...PSEUDO, ["x", "a\r\nTransfer-Encoding: chunked"]], "invalid field value"],
    ["a bare LF in a value", [...PSEUDO, ["x", "a\nb"]], "invalid field value"],
    ["a bare CR in a value", [...PSEUDO, ["x", "a\rb"]], "invalid field value"],
    ["NUL in a value (CVE-2019-9900)", [...PSEUDO, ["x", "a\0"]], "invalid field value"],
    ["DEL in a value", [...PSEUDO, ["x", "a\x7f"]], "invalid field value"],
    ["a space before a value", [...PSEUDO, ["x", " a"]], "invalid field value"],
    ["a space behind a value (CVE-2019-18802)", [...PSEUDO, ["x", "a "]], "invalid field value"],
    ["a tab behind a value", [...PSEUDO, ["x", "a\t"]], "invalid field value"],
    ["a line end in a pseudo-header", pseudo(":path", "/\r\nx: y"), "invalid field value"],
    ["connection", [...PSEUDO, ["connection", "close"]], "connection-specific field connection"],
    ["keep-alive", [...PSEUDO, ["keep-alive", "timeout=5"]], "connection-specific field keep-alive"],
    ["proxy-connection", [...PSEUDO, ["proxy-connection", "x"]], "connection-specific field proxy-connection"],
    ["transfer-encoding", [...PSEUDO, ["transfer-encoding", "chunked"]], "connection-specific field transfer-encoding"],
    ["upgrade", [...PSEUDO, ["upgrade", "websocket"]], "connection-specific field upgrade"],
    ["te: gzip", [...PSEUDO, ["te", "gzip"]], "TE other than trailers"],
    ["te: trailers, gzip", [...PSEUDO, ["te", "trailers, gzip"]], "TE other than trailers"],
    ["a pseudo-header behind a field", [...PSEUDO.slice(0, 3), ["x", "1"], [":authority", "a.test"]], "pseudo-header behind a field"],
    ["a pseudo-header behind Host", [...PSEUDO.slice(0, 3), ["host", "a.test"], [":authority", "a.test"]], "pseudo-header behind a field"],
    [":method twice", [...PSEUDO, [":method", "POST"]], ":method sent twice"],
    [":path twice", [...PSEUDO, [":path", "/"]], ":path sent twice"],
    [":scheme twice", [...PSEUDO, [":scheme", "https"]], ":scheme sent twice"],
    [":authority twice", [...PSEUDO, [":authority", "a.test"]], ":authority sent twice"],
    ["an unknown pseudo-header", [...PSEUDO, [":x", "1"]], "unknown pseudo-header"],
    [":status", [...PSEUDO, [":status", "200"]], ":status in a request"],
    ["no :method", pseudo(":method", null), ":method missing"],
    ["no :scheme", pseudo(":scheme", null), ":scheme missing or unknown"],
    [":scheme HTTPs (CVE-2023-35944)", pseudo(":scheme", "HTTPs"), ":scheme missing or unknown"],
    [":scheme ftp", pseudo(":scheme", "ftp"), ":scheme missing or unknown"],
    ["no :path", pseudo(":path", null), ":path missing"],
    ["an empty :path", pseudo(":path", ""), ":path missing"],
    [":path without a slash", pseudo(":path", "a"), "invalid :path"],
    [":path *", pseudo(":path", "*"), "invalid :path"],
    [":path with a fragment (CVE-2021-32779)", pseudo(":path", "/a#b"), "fragment in target"],
    [":path with a space", pseudo(":path", "/a b"), "invalid byte in target"],
    [":path above ASCII", pseudo(":path", "/\xe4"), "invalid byte in target"],
    [":path in absolute form", pseudo(":path", "http://b.test/"), "invalid :path"],
    ["no :authority", pseudo(":authority", null), ":authority missing"],
    ["an empty :authority", pseudo(":authority", ""), "invalid :authority"],
    [":authority with user information", pseudo(":authority", "user@a.test"), "invalid :authority"],
    [":authority with a path", pseudo(":authority", "a.test/x"), "invalid :authority"],
    ["Host other than :authority", [...PSEUDO, ["host", "b.test"]], "Host differs from :authority"],
    ["Host twice", [...PSEUDO, ["host", "a.test"], ["host", "a.test"]], "Host sent twice"],
    ["Content-Length twice", [...PSEUDO, ["content-length", "5"], ["content-length", "5"]], "Content-Length sent twice"],
    ["content-length: +5", [...PSEUDO, ["content-length", "+5"]], "invalid Content-Length"],
    ["an empty content-length", [...PSEUDO, ["content-length", ""]], "invalid Content-Length"],
    ["content-length: 5, 5", [...PSEUDO, ["content-length", "5, 5"]], "invalid Content-Length"],
    [":protocol without CONNECT", [...PSEUDO, [":protocol", "websocket"]], ":protocol not allowed"],
    ["a method in lower case", pseudo(":method", "get"), "invalid method"],
    ["a method with a space", pseudo(":method", "GE T"), "invalid method"],
    ["an empty method", pseudo(":method", ""), "invalid method"],
  ];
  for (const [name, fields, reason] of cases) test(name, () => expect(refusal(fields)).toBe(`codec_error: ${reason}`));

  test("content-length on a stream that ends at once", () => {
    expect(refusal([...PSEUDO, ["content-length", "5"]], { ends: true })).toBe("codec_error: Content-Length without a body");
  });

  test("a fault that stands in the table is found every time", () => {
    const blocks = new BlockDecoder();
    const block = (rest: string): Buffer => Buffer.concat([literalBlock(...PSEUDO), Buffer.from(rest, "hex")]);
    // x-a: "a\nb", inserted into the table by the first block and referred to by the second.
    for (const rest of ["4003782d6103610a62", "be"]) {
      expect(() => toRequestHead(blocks.decode(block(rest)), false, RULES)).toThrow("invalid field value");
    }
  });
});

describe("refused with an answer", () => {
  test("methods nobody knows, TRACE and CONNECT", () => {
    expect(refusal(pseudo(":method", "FOOBAR"))).toBe("method_unknown");
    expect(refusal(pseudo(":method", "TRACE"))).toBe("method_not_allowed: TRACE");
    expect(refusal([[":method", "CONNECT"], [":authority", "a.test:443"]])).toBe("method_not_allowed: CONNECT");
  });

  test("a target too long", () => {
    expect(refusal(pseudo(":path", `/${"a".repeat(8191)}`))).toBe("taken");
    expect(refusal(pseudo(":path", `/${"a".repeat(8192)}`))).toBe("uri_too_long");
  });

  test("too many fields (A31), and too much of them", () => {
    const many = (count: number): Field[] => Array.from({ length: count }, (_, index) => [`x-${index}`, "1"]);
    expect(parse([...PSEUDO, ...many(100)]).headers.length).toBe(100);
    expect(refusal([...PSEUDO, ...many(101)])).toBe("headers_too_large");
    expect(refusal([...PSEUDO, ["x-a", "a".repeat(60_000)]])).toBe("taken");
    expect(refusal([...PSEUDO, ["x-a", "a".repeat(61_440)]])).toBe("headers_too_large");
  });

  test("crumbs of a cookie: 180 of them, not 1000, each counted by its size (C06, CVE-2026-47774)", () => {
    const crumbs = (count: number, value: string): Field[] => Array.from({ length: count }, () => ["cookie", value]);
    expect(refusal([...PSEUDO, ...crumbs(180, "a=b")])).toBe("taken");
    expect(refusal([...PSEUDO, ...crumbs(1000, "a=b")])).toBe("headers_too_large");
    expect(refusal([...PSEUDO, ...crumbs(20, "a".repeat(4000))])).toBe("headers_too_large");
  });

  test("a bomb of references to one large entry keeps no more than the limit, and the tables stay in step", () => {
    const blocks = new BlockDecoder();
    const entry = Buffer.concat([Buffer.from("400178", "hex"), literalBlock(["", "v".repeat(3000)]).subarray(2)]);
    const bomb = Buffer.concat([literalBlock(...PSEUDO), entry, Buffer.alloc(60_000, 0xbe), Buffer.from("4001790131", "hex")]);
    const fields = blocks.decode(bomb);
    expect(fields.isTooLarge).toBe(true);
    expect(fields.headers.length).toBeLessThanOrEqual(DEFAULT_HTTP2_LIMITS.maxHeaderBytes / 3000);
    expect(blocks.decode(Buffer.concat([literalBlock(...PSEUDO), Buffer.of(0xbe)])).headers.toPairs()).toEqual([["y", "1"]]);
  });
});

describe("CONNECT", () => {
  const connect: Field[] = [[":method", "CONNECT"], [":authority", "a.test:443"]];
  const websocket: Field[] = [[":method", "CONNECT"], [":protocol", "websocket"], [":scheme", "https"], [":path", "/chat"], [":authority", "a.test"], ["sec-websocket-version", "13"]];

  test("plain, where it is allowed", () => {
    expect(parse(connect, { allowsConnect: true })).toMatchObject({ method: "CONNECT", authority: "a.test:443", path: "", contentLength: -1, upgrade: null });
  });

  test("plain with :path or :scheme (C11)", () => {
    expect(refusal([...connect, [":path", "/"]], { allowsConnect: true })).toBe("codec_error: CONNECT with :scheme or :path");
    expect(refusal([...connect, [":scheme", "https"]])).toBe("codec_error: CONNECT with :scheme or :path");
    expect(refusal([[":method", "CONNECT"]])).toBe("codec_error: :authority missing");
  });

  test("extended, which is an upgrade (RFC 8441)", () => {
    const head = parse(websocket, { allowsExtendedConnect: true });
    expect(head).toMatchObject({ method: "GET", path: "/chat", upgrade: "websocket", contentLength: 0, scheme: "https" });
  });

  test("extended, but not offered, without :path, of another protocol, or over at once (C11)", () => {
    expect(refusal(websocket)).toBe("codec_error: :protocol not allowed");
    expect(refusal(websocket.filter(([name]) => name !== ":path"), { allowsExtendedConnect: true })).toBe("codec_error: :path missing");
    expect(refusal(websocket.map(([name, value]) => [name, name === ":protocol" ? "connect-udp" : value]), { allowsExtendedConnect: true })).toBe("method_unknown: unknown :protocol");
    expect(refusal(websocket, { allowsExtendedConnect: true, ends: true })).toBe("codec_error: upgrade with a body");
  });
});

test("the private field of another peer is dropped unread", () => {
  const head = parse([...PSEUDO, ["x-a", "1"], ["x-outrider-spelling", "X-A"]]);
  expect([head.version, head.headers.toPairs()]).toEqual(["HTTP/2", [["x-a", "1"]]]);
});
