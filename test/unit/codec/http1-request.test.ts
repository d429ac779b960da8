import { describe, expect, test } from "vitest";
import { parseRequests } from "./http1-recording.ts";

const POST = "POST / HTTP/1.1\r\nHost: a.test\r\n";

/** What must be refused: row and trick, status, bytes. */
const REFUSED: [string, number, string][] = [
  ["A01 Content-Length before Transfer-Encoding", 400, `${POST}Content-Length: 13\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nSMUGGLED`],
  ["A02 Transfer-Encoding before Content-Length", 400, `${POST}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n12\r\nGPOST`],
  ["A03 empty element in Transfer-Encoding", 400, `${POST}Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n`],
  ["A03 empty element behind", 400, `${POST}Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n`],
  ["A03 empty Transfer-Encoding", 400, `${POST}Transfer-Encoding:\r\n\r\n0\r\n\r\n`],
  ["A04 gzip, chunked", 501, `${POST}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`],
  ["A05 chunked, gzip", 400, `${POST}Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n`],
  ["A06 chunked twice in one field (CVE-2020-8287)", 400, `${POST}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n`],
  ["A06 chunked in two fields (CVE-2020-8287)", 400, `${POST}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
  ["A06 two fields of other spelling", 400, `${POST}Transfer-Encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n`],
  ["A07 xchunked", 501, `${POST}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`],
  ["A07 quoted chunked", 400, `${POST}Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n`],
  ["A07 identity", 501, `${POST}Transfer-Encoding: identity\r\n\r\n0\r\n\r\n`],
  ["A07 chunked with parameter", 400, `${POST}Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n`],
  ["A08 vertical tab before chunked", 400, `${POST}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n`],
  ["A08 tab behind chunked", 400, `${POST}Transfer-Encoding: chunked\t\r\n\r\n0\r\n\r\n`],
  ["A14 tab before a length", 400, `${POST}Content-Length:\t5\r\n\r\nhello`],
  ["A08 no-break space before chunked", 400, `${POST}Transfer-Encoding: \xa0chunked\r\n\r\n0\r\n\r\n`],
  ["A09 space before colon (CVE-2021-22959)", 400, `${POST}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n`],
  ["A09 tab before colon", 400, `${POST}Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n`],
  ["A10 space before the name", 400, `${POST} Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
  ["A10 folded Transfer-Encoding (CVE-2022-32215)", 400, `${POST}Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n`],
  ["A11 Transfer-Encoding in HTTP/1.0", 400, "POST / HTTP/1.0\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
  ["A12 Content-Length twice, the same", 400, `${POST}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello`],
  ["A12 Content-Length as a list", 400, `${POST}Content-Length: 5, 5\r\n\r\nhello`],
  ["A13 Content-Length twice, not the same", 400, `${POST}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!`],
  ...["+5", "-5", "0x5", "0_5", "1 2", "", "18446744073709551621", "5.0", "5e0", "\xb2", "9007199254740993"].map(
    (value): [string, number, string] => [`A14 Content-Length ${JSON.stringify(value)}`, 400, `${POST}Content-Length: ${value}\r\n\r\nhello`]),
  ["A16 CR in a field name", 400, `${POST}Content\rLength: 5\r\n\r\nhello`],
  ["A17 space before Content-Length (CVE-2023-30589)", 400, `${POST} Content-Length: 5\r\n\r\nhello`],
  ["A24 line without colon", 400, `${POST}nonsense\r\n\r\n`],
  ["A24 empty field name", 400, `${POST}: x\r\n\r\n`],
  ["A24 non-token in field name", 400, `${POST}x(y): x\r\n\r\n`],
  ["A24 byte above ASCII in field name", 400, `${POST}x\xe4: x\r\n\r\n`],
  ["A25 NUL in a value (CVE-2019-9900)", 400, `${POST}X-A: a\0b\r\n\r\n`],
  ["A25 bare CR in a value", 400, `${POST}X-A: a\rX-B: b\r\n\r\n`],
  ["A25 bare LF in a value", 400, `${POST}X-A: a\nX-B: b\r\n\r\n`],
  ["A25 DEL in a value", 400, `${POST}X-A: a\x7fb\r\n\r\n`],
  ["A26 LF only", 400, "GET / HTTP/1.1\nHost: a.test\n\n"],
  ["A26 LF only at the end of the head", 400, "GET / HTTP/1.1\r\nHost: a.test\r\n\n"],
  ["A27 CR CR instead of the empty line", 400, "GET / HTTP/1.1\r\nHost: a.test\r\n\rGET /smug HTTP/1.1\r\nHost: a.test\r\n\r\n"],
  ["A28 folded field (obs-fold)", 400, `${POST}X-A: a\r\n b\r\n\r\n`],
  ["A28 folded field with a tab", 400, `${POST}X-A: a\r\n\tb\r\n\r\n`],
  ["A30 hidden Content-Length behind 2100 fields (CVE-2026-58044)", 431, `${POST}${"a:b\r\n".repeat(2100)}Content-Length: 42\r\n\r\n`],
  ["A31 101 fields", 431, `GET / HTTP/1.1\r\nHost: a.test\r\n${"a:b\r\n".repeat(100)}\r\n`],
  ["A31 head of 61 KiB", 431, `GET / HTTP/1.1\r\nHost: a.test\r\n${`a: ${"x".repeat(6200)}\r\n`.repeat(10)}\r\n`],
  ["A31 one field of 70 KiB", 431, `GET / HTTP/1.1\r\nHost: a.test\r\na: ${"x".repeat(70 * 1024)}\r\n\r\n`],
  ["A31 head of 70 KiB without end", 431, `GET / HTTP/1.1\r\nHost: a.test\r\na: ${"x".repeat(70 * 1024)}`],
  ["A33 no Host (CVE-2019-18838)", 400, "GET / HTTP/1.1\r\n\r\n"],
  ["A33 no Host beside an absolute target", 400, "GET http://b.test/ HTTP/1.1\r\n\r\n"],
  ["A34 two Host, the same", 400, "GET / HTTP/1.1\r\nHost: a.test\r\nHost: a.test\r\n\r\n"],
  ["A34 two Host, not the same", 400, "GET / HTTP/1.1\r\nHost: a.test\r\nhost: b.test\r\n\r\n"],
  ["A35 empty Host", 400, "GET / HTTP/1.1\r\nHost: \r\n\r\n"],
  ...["a.test b.test", "a.test/x?y#z", "user@a.test", "a.test:99999", "a.test:", "a.test:8x", "[::1", "[::1]x", "[fe80::1%25eth0]",
    "[:::]", "[1:2:3:4:5:6:7:8:9]", "[1.2.3.4]", "a".repeat(300), "a..test", ".test", "a,b", "%61.test", "a\xe9.test", ":80", "*", "http://a"].map(
    (value): [string, number, string] => [`A36 Host ${JSON.stringify(value.slice(0, 40))}`, 400, `GET / HTTP/1.1\r\nHost: ${value}\r\n\r\n`]),
  ["A37 user information in an absolute target", 400, "GET http://u@b.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n"],
  ["A37 empty authority in an absolute target", 400, "GET http:///x HTTP/1.1\r\nHost: a.test\r\n\r\n"],
  ["A38 https target on plaintext", 400, "GET https://b.test/ HTTP/1.1\r\nHost: b.test\r\n\r\n"],
  ["A39 target @evil.test/", 400, "GET @evil.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n"],
  ["A39 target admin", 400, "GET admin HTTP/1.1\r\nHost: a.test\r\n\r\n"],
  ["A39 target of another scheme", 400, "GET ftp://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n"],
  ["asterisk target but OPTIONS", 400, "GET * HTTP/1.1\r\nHost: a.test\r\n\r\n"],
  ["fragment in the target (CVE-2021-32779)", 400, "GET /user#section HTTP/1.1\r\nHost: a.test\r\n\r\n"],
  ["byte above ASCII in the target", 400, "GET /\xe4 HTTP/1.1\r\nHost: a.test\r\n\r\n"],
  ["space in the target", 400, "GET /a b HTTP/1.1\r\nHost: a.test\r\n\r\n"],
  ["tab in the request line", 400, "GET /\tHTTP/1.1\r\nHost: a.test\r\n\r\n"],
  ["two spaces in the request line", 400, "GET  / HTTP/1.1\r\nHost: a.test\r\n\r\n"],
  ["space behind the version", 400, "GET / HTTP/1.1 \r\nHost: a.test\r\n\r\n"],
  ["target of 9 KiB", 414, `GET /${"a".repeat(9 * 1024)} HTTP/1.1\r\nHost: a.test\r\n\r\n`],
  ["target of 70 KiB", 414, `GET /${"a".repeat(70 * 1024)} HTTP/1.1\r\nHost: a.test\r\n\r\n`],
  ["target of 70 KiB without end", 414, `GET /${"a".repeat(70 * 1024)}`],
  ["A40 HTTP/2.0", 505, "GET / HTTP/2.0\r\nHost: a.test\r\n\r\n"],
  ["A40 HTTP/1.2", 505, "GET / HTTP/1.2\r\nHost: a.test\r\n\r\n"],
  ["A40 HTTP/01.1", 505, "GET / HTTP/01.1\r\nHost: a.test\r\n\r\n"],
  ["A40 http/1.1", 400, "GET / http/1.1\r\nHost: a.test\r\n\r\n"],
  ["A40 HTTP/1.1x", 400, "GET / HTTP/1.1x\r\nHost: a.test\r\n\r\n"],
  ["A41 no version (HTTP/0.9)", 400, "GET /\r\n\r\n"],
  ["A42 HTTP/2 preface", 505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
  ["A43 get", 400, "get / HTTP/1.1\r\nHost: a.test\r\n\r\n"],
  ["A43 Get", 400, "Get / HTTP/1.1\r\nHost: a.test\r\n\r\n"],
  ["A43 FOOBAR", 501, "FOOBAR / HTTP/1.1\r\nHost: a.test\r\n\r\n"],
  ["A43 TRACE", 405, "TRACE / HTTP/1.1\r\nHost: a.test\r\n\r\n"],
  ["A43 method of 33 bytes", 400, `${"A".repeat(33)} / HTTP/1.1\r\nHost: a.test\r\n\r\n`],
  ["A43 method of 1 MB", 400, "A".repeat(1 << 20)],
  ["A43 method with a bracket", 400, "GE[T / HTTP/1.1\r\nHost: a.test\r\n\r\n"],
  ["A44 CONNECT", 405, "CONNECT evil:443 HTTP/1.1\r\nHost: evil:443\r\n\r\n"],
  ...["Content-Length", "Host", "X-Forwarded-For", "x-forwarded-host", "X-Forwarded-Proto", "Transfer-Encoding"].map(
    (value): [string, number, string] => [`A46 Connection nominates ${value}`, 400, `GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close, ${value}\r\n\r\n`]),
  ["A46 Connection with an invalid option", 400, "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: :path\r\n\r\n"],
  ["A46 Connection with ten options", 400, `GET / HTTP/1.1\r\nHost: a.test\r\nConnection: ${"abcdefghij".split("").join(", ")}\r\n\r\n`],
  ["A46 Connection nominates a TE of 256 bytes", 400, `GET / HTTP/1.1\r\nHost: a.test\r\nConnection: te\r\nTE: ${"a".repeat(256)}\r\n\r\n`],
  ["A47 upgrade with a body (CVE-2026-58055)", 400, "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\nhello"],
  ["A52 Expect: y 100-continue", 417, `${POST}Expect: y 100-continue\r\nContent-Length: 1\r\n\r\nx`],
  ["A52 Expect: 100-continue, x", 417, `${POST}Expect: 100-continue, x\r\nContent-Length: 1\r\n\r\nx`],
  ["A52 Expect twice", 417, `${POST}Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx`],
  ["two empty lines before the request", 400, "\r\n\r\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\n"],
  ["empty line of LF before the request", 400, "\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\n"],
];

describe("request heads that are refused", () => {
  test.each(REFUSED)("%s -> %i", (_name, status, bytes) => {
    const { error, messages } = parseRequests(bytes);
    expect(error?.attributes.status).toBe(status);
    expect(error?.attributes.source).toBe("downstream");
    // Nobody was told of a request: nothing can have been dialled.
    expect(messages).toEqual([]);
  });
});

const CHUNKED = `${POST}Transfer-Encoding: chunked\r\n\r\n`;

describe("request bodies that are refused", () => {
  test.each<[string, string]>([
    ...["-1", "0x5", "+5", "5 ", "", "FFFFFFFFFFFFFFFFF", "80000000", "00000000000000005", " 5", "5\t", "g"].map(
      (size): [string, string] => [`A18 chunk size ${JSON.stringify(size)}`, `${CHUNKED}${size}\r\nhello\r\n0\r\n\r\n`]),
    ["A19 LF ends a chunk extension", `${CHUNKED}5;\nhello\r\n0\r\n\r\n`],
    ["A19 LF ends a chunk size", `${CHUNKED}5\nhello\r\n0\r\n\r\n`],
    ["A20 chunk longer than its size", `${CHUNKED}5\r\nhelloXX0\r\n\r\n`],
    ["A20 CR and no LF behind a chunk", `${CHUNKED}5\r\nhello\rX0\r\n\r\n`],
    ["A21 extension of 257 bytes", `${CHUNKED}5;${"a".repeat(257)}\r\nhello\r\n0\r\n\r\n`],
    ["A21 extensions of 5 KiB in all (CVE-2024-22019)", `${CHUNKED}${`1;${"a".repeat(200)}\r\nx\r\n`.repeat(25)}0\r\n\r\n`],
    ["A21 extension without name", `${CHUNKED}5;;a\r\nhello\r\n0\r\n\r\n`],
    ["A21 control character in a quoted extension", `${CHUNKED}5;a="\x01"\r\nhello\r\n0\r\n\r\n`],
    ["A26 LF only chunk lines", `${CHUNKED}5\nhello\n0\n\n`],
    ["A26 LF only behind the last chunk", `${CHUNKED}0\r\n\n`],
    ["trailer line without colon", `${CHUNKED}0\r\nnonsense\r\n\r\n`],
    ["trailers of 9 KiB", `${CHUNKED}0\r\na: ${"x".repeat(9 * 1024)}\r\n\r\n`],
    ...["Content-Length: 5", "Host: evil", "Transfer-Encoding: chunked"].map((field): [string, string] => [`A23 trailer ${field}`, `${CHUNKED}0\r\n${field}\r\n\r\n`]),
    ["folded trailer", `${CHUNKED}0\r\na: b\r\n c\r\n\r\n`],
  ])("%s -> aborted", (_name, bytes) => {
    const { error, messages } = parseRequests(bytes);
    expect(error?.attributes.status).toBeGreaterThanOrEqual(400);
    expect(messages).toHaveLength(1);
    expect(messages[0]?.isComplete).toBe(false);
  });

  test("A21 a 5 MB chunk extension is given up long before its end (CVE-2024-22019)", () => {
    const recorder = parseRequests(`${CHUNKED}5;${"a".repeat(300)}`);
    expect(recorder.error).not.toBeNull();
  });
});

describe("requests that are taken", () => {
  const one = (bytes: string, options: { isTls?: boolean } = {}) => {
    const { messages, error } = parseRequests(bytes, options);
    expect(error).toBeNull();
    expect(messages).toHaveLength(1);
    const [message] = messages;
    if (message === undefined) throw new Error("no message");
    return message;
  };

  test("a head keeps the spelling and order of its fields, without what was read from it", () => {
    const { head } = one("POST /a?b=c HTTP/1.1\r\nuser-Agent: x\r\nHOST: a.test:80\r\nX-B:  y z \t\r\ncontent-length: 2\r\nx-b:\r\n\r\nhi");
    expect(head.headers.toPairs()).toEqual([["user-Agent", "x"], ["X-B", "y z"], ["x-b", ""]]);
    expect([head.method, head.authority, head.hostName, head.path, head.contentLength]).toEqual(["POST", "a.test:80", "HOST", "/a?b=c", 2]);
    expect([head.scheme, head.version, head.upgrade, head.expectsContinue]).toEqual(["http", "HTTP/1.1", null, false]);
  });

  test("A15 Content-Length 0005 is 5", () => expect(one(`${POST}Content-Length: 0005\r\n\r\nhello`).head.contentLength).toBe(5));

  test("A22 one-byte chunks reach the receiver together (CVE-2020-8659)", () => {
    const recorder = parseRequests(`${CHUNKED}${"1\r\nx\r\n".repeat(5000)}0\r\n\r\n`);
    expect(recorder.messages[0]?.body).toBe("x".repeat(5000));
    expect(recorder.dataEvents).toBe(1);
  });

  test("large chunks are not moved but passed on", () => {
    const recorder = parseRequests(`${CHUNKED}2000\r\n${"x".repeat(0x2000)}\r\n2000\r\n${"y".repeat(0x2000)}\r\n0\r\n\r\n`);
    expect(recorder.messages[0]?.body).toBe("x".repeat(0x2000) + "y".repeat(0x2000));
    expect(recorder.dataEvents).toBe(2);
  });

  test("A23 trailers that authenticate or vouch are dropped", () => {
    const { trailers } = one(`${CHUNKED}0\r\nAuthorization: x\r\nX-Outrider-Y: z\r\nX-Forwarded-For: 1\r\nX-Sum: 7\r\n\r\n`);
    expect(trailers).toEqual([["X-Sum", "7"]]);
  });

  test("chunk extensions are dropped", () => expect(one(`${CHUNKED}5;a;b=c;d="e\\"f"\r\nhello\r\n0;x\r\n\r\n`).body).toBe("hello"));

  test("A29 __proto__ and its kind are names like any other (CVE-2026-21710)", () => {
    const { head } = one("GET / HTTP/1.1\r\nHost: a.test\r\n__proto__: x\r\nconstructor: y\r\nhasOwnProperty: z\r\n\r\n");
    expect(head.headers.toPairs()).toEqual([["__proto__", "x"], ["constructor", "y"], ["hasOwnProperty", "z"]]);
    expect(head.headers.get("constructor")).toBe("y");
  });

  test("A32 an underscore is not a dash", () => {
    const { head } = one("POST / HTTP/1.1\r\nHost: a.test\r\nContent_Length: 3\r\nTransfer_Encoding: chunked\r\nX_Forwarded_For: 1\r\nX-Forwarded-For: 2\r\n\r\n");
    expect(head.contentLength).toBe(0);
    expect(head.headers.all("x-forwarded-for")).toEqual(["2"]);
    expect(head.headers.all("x_forwarded_for")).toEqual(["1"]);
  });

  test.each(["a.test", "a_b.test:8080", "10.0.0.1:80", "[::1]:8080", "[2001:db8::1]", "[::ffff:10.0.0.1]", "a.test.", "A.Test:0"])("Host %s", (host) => {
    expect(one(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`).head.authority).toBe(host);
  });

  test("A37 the authority of an absolute target overrules Host", () => {
    const { head } = one("GET http://b.test/adm?x HTTP/1.1\r\nHost: a.test\r\n\r\n");
    expect([head.authority, head.path, head.scheme]).toEqual(["b.test", "/adm?x", "http"]);
    expect(head.headers.length).toBe(0);
  });

  test.each([["GET HTTP://b.test HTTP/1.1", "/"], ["GET http://b.test?x=1 HTTP/1.1", "/?x=1"], ["OPTIONS http://b.test HTTP/1.1", "*"], ["OPTIONS * HTTP/1.1", "*"]])(
    "target of %s", (line, path) => expect(one(`${line}\r\nHost: b.test\r\n\r\n`).head.path).toBe(path));

  test("A38 an https target is right on TLS", () => {
    expect(one("GET https://b.test/ HTTP/1.1\r\nHost: b.test\r\n\r\n", { isTls: true }).head.scheme).toBe("https");
  });

  test.each(["PURGE", "PROPFIND", "M-SEARCH", "QUERY", "VERSION-CONTROL"])("method %s", (method) => {
    expect(one(`${method} / HTTP/1.1\r\nHost: a.test\r\n\r\n`).head.method).toBe(method);
  });

  test("A45 fields that Connection nominates are gone, and so are the hop-by-hop ones", () => {
    const { head, keepsAlive } = one(
      "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close, X-Auth\r\nX-Auth: s\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\nTE: gzip\r\nHTTP2-Settings: x\r\nX-B: c\r\nx-auth: t\r\n\r\n");
    expect(head.headers.toPairs()).toEqual([["X-B", "c"]]);
    expect(keepsAlive).toBe(false);
  });

  test("A45 several Connection fields count as one", () => {
    const { head, keepsAlive } = one("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: x-a\r\nX-A: 1\r\nConnection: ,close ,\r\n\r\n");
    expect(head.headers.length).toBe(0);
    expect(keepsAlive).toBe(false);
  });

  test("TE is reduced to trailers", () => {
    expect(one("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: TE\r\nte: gzip, trailers;q=1, Trailers\r\n\r\n").head.headers.toPairs()).toEqual([["te", "trailers"]]);
  });

  test("an upgrade to websocket is kept apart", () => {
    const { head } = one("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Key: x\r\n\r\n");
    expect(head.upgrade).toBe("websocket");
    expect(head.headers.toPairs()).toEqual([["Sec-WebSocket-Key", "x"]]);
  });

  test.each([
    ["A48 h2c", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAM"],
    ["A49 TLS/1.2", "Connection: Upgrade\r\nUpgrade: TLS/1.2"],
    ["a list", "Connection: Upgrade\r\nUpgrade: websocket, h2c"],
    ["websocket that Connection does not name", "Upgrade: websocket"],
  ])("%s is stripped and the request served", (_name, fields) => {
    const { head } = one(`GET / HTTP/1.1\r\nHost: a.test\r\n${fields}\r\n\r\n`);
    expect(head.upgrade).toBeNull();
    expect(head.headers.length).toBe(0);
  });

  test("Expect: 100-continue is taken out", () => {
    const { head } = one(`${POST}Expect: 100-Continue\r\nContent-Length: 1\r\n\r\nx`);
    expect(head.expectsContinue).toBe(true);
    expect(head.headers.length).toBe(0);
  });

  test.each(["GET", "DELETE", "HEAD"])("A54 %s with a body stays framed", (method) => {
    const message = one(`${method} / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello`);
    expect([message.head.contentLength, message.body]).toEqual([5, "hello"]);
  });

  test("HTTP/1.0 closes unless it asks otherwise, and need not have Host", () => {
    const message = one("GET / HTTP/1.0\r\n\r\n");
    expect([message.head.version, message.head.authority, message.keepsAlive]).toEqual(["HTTP/1.0", "192.0.2.1:80", false]);
    expect(one("GET / HTTP/1.0\r\nHost: a.test\r\nConnection: Keep-Alive\r\n\r\n").keepsAlive).toBe(true);
  });

  test("one empty line before a request is borne with", () => expect(one("\r\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\n").head.method).toBe("GET"));

  test("100 fields and Host beside a full head are not too many", () => {
    expect(one(`GET / HTTP/1.1\r\nHost: a.test\r\n${"a:b\r\n".repeat(99)}\r\n`).head.headers.length).toBe(99);
  });

  test("pipelined requests come one by one", () => {
    const { messages } = parseRequests(`${POST}Content-Length: 2\r\n\r\nhiGET /2 HTTP/1.1\r\nHost: a.test\r\n\r\n`);
    expect(messages.map(({ head, body }) => [head.path, body])).toEqual([["/", "hi"], ["/2", ""]]);
  });
});
