import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { RawBackend } from "../hostile/raw-backend.ts";
import { eventually, exchange, type ProxyUnderTest } from "./proxy-under-test.ts";
import { asAnswered, asSent, openTransparentWay, type TransparentWay } from "./transparent-way.ts";

/*
 * Over the hop HTTP/1 messages travel as streams of HTTP/2, which has no place for the case of names, the reason phrase and
 * the version. Neither side may see that: what an application gets and what its client gets is the same as without the hop.
 */

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

const REQUESTS: readonly (readonly [string, string])[] = [
  ["names in every case", "GET / HTTP/1.1\r\nhost: reviews\r\nX-Upper-CASE: 1\r\nx-lower: 2\r\nX-miXed: 3\r\n\r\n"],
  ["an order nobody else would choose", "GET / HTTP/1.1\r\nZ: 1\r\nHOST: reviews\r\nA: 2\r\nM: 3\r\naccept: */*\r\n\r\n"],
  ["a name spelled three ways", "GET / HTTP/1.1\r\nHost: reviews\r\nX-A: 1\r\nx-a: 2\r\nX-a: 3\r\nX-B: 4\r\nx-A: 5\r\n\r\n"],
  ["empty values, commas, quotes, tabs, octets beyond ASCII", "GET / HTTP/1.1\r\nHost: reviews\r\nX-Empty:\r\nX-List: a, b,,c\r\nX-Quoted: \"a\\\"b\"\r\nX-Tab: a\tb\r\nX-Latin: \xe4\xff\r\n\r\n"],
  ["names at the edge of what is a token", "GET / HTTP/1.1\r\nHost: reviews\r\n!#$%&'*+-.^_`|~0: 1\r\n__proto__: 2\r\n0: 3\r\n\r\n"],
  ["a hundred fields", `GET / HTTP/1.1\r\nHost: reviews\r\n${Array.from({ length: 90 }, (_, index) => `X-Field-${index}: ${"v".repeat(index)}\r\n`).join("")}\r\n`],
  ["fields of 50 KB", `GET / HTTP/1.1\r\nHost: reviews\r\n${Array.from({ length: 5 }, (_, index) => `X-Large-${index}: ${"v".repeat(10_000)}\r\n`).join("")}\r\n`],
  ["HTTP/1.0", "GET / HTTP/1.0\r\nHost: reviews\r\nX-A: 1\r\n\r\n"],
  ["HTTP/1.0 that stays", "GET / HTTP/1.0\r\nHost: reviews\r\nConnection: keep-alive\r\nX-A: 1\r\n\r\n"],
  ["a host with its port, in capitals", "GET / HTTP/1.1\r\nHost: REVIEWS:9080\r\n\r\n"],
  ["a long target of any characters", `GET /a/b?c=%0d%0a&d='"{}|^\`[]&${"x".repeat(4_000)} HTTP/1.1\r\nHost: reviews\r\n\r\n`],
  ["OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: reviews\r\n\r\n"],
  ["an absolute target", "GET http://reviews/a?b HTTP/1.1\r\nHost: reviews\r\n\r\n"],
  ["a method that is seldom seen", "PROPFIND / HTTP/1.1\r\nHost: reviews\r\n\r\n"],
  ["a body with its length", "POST / HTTP/1.1\r\nHost: reviews\r\nContent-LENGTH: 5\r\nX-A: 1\r\n\r\nhello"],
  ["an empty body", "POST / HTTP/1.1\r\nHost: reviews\r\nContent-Length: 0\r\n\r\n"],
  ["a body in chunks with trailers", "PUT / HTTP/1.1\r\nHost: reviews\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-SUM: 1\r\nx-sum2: 2\r\n\r\n"],
  ["te: trailers", "GET / HTTP/1.1\r\nHost: reviews\r\nTE: trailers, deflate\r\nConnection: TE, close\r\n\r\n"],
  ["what is for one hop", "GET / HTTP/1.1\r\nHost: reviews\r\nConnection: X-Gone, close\r\nX-Gone: 1\r\nKeep-Alive: 1\r\nUpgrade: h2c\r\nX-A: 1\r\n\r\n"],
  ["several Cookie lines", "GET / HTTP/1.1\r\nHost: reviews\r\nCookie: a=b\r\nX-A: 1\r\ncookie: c=d\r\nCOOKIE: e=f\r\n\r\n"],
  ["one Cookie and an Authorization", "GET / HTTP/1.1\r\nHost: reviews\r\nCOOKIE: a=b; c=d\r\nAUTHORIZATION: Basic eA==\r\n\r\n"],
];

const RESPONSES: readonly (readonly [string, string])[] = [
  ["names in every case", "HTTP/1.1 200 OK\r\nX-Upper-CASE: 1\r\nx-lower: 2\r\nX-miXed: 3\r\ncontent-LENGTH: 2\r\n\r\nok"],
  ["its own Server and Date", "HTTP/1.1 200 OK\r\nSERVER: app\r\nDATE: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 2\r\n\r\nok"],
  ["Set-Cookie several times", "HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nX-A: 1\r\nset-cookie: c=d\r\nSET-COOKIE: e=f\r\nContent-Length: 2\r\n\r\nok"],
  ["a reason of its own", "HTTP/1.1 200 Quite; fine, \xe4\tindeed\r\nContent-Length: 2\r\n\r\nok"],
  ["an empty reason", "HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok"],
  ["a status nobody knows", "HTTP/1.1 799 Odd\r\nContent-Length: 2\r\n\r\nok"],
  ["a status nobody knows without a reason", "HTTP/1.1 598 \r\nContent-Length: 2\r\n\r\nok"],
  ["HTTP/1.0", "HTTP/1.0 200 OK\r\nX-A: 1\r\nContent-Length: 2\r\n\r\nok"],
  ["204", "HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n"],
  ["304 with a length", "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 55\r\n\r\n"],
  ["205", "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n"],
  ["500 with a body", "HTTP/1.1 500 Broken\r\nContent-Length: 2\r\n\r\nok"],
  ["chunks and trailers", "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-SUM: 1\r\nx-sum: 2\r\n\r\n"],
  ["103 before it", "HTTP/1.1 103 Early Hints\r\nLINK: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"],
  ["102 before it", "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"],
  ["what is for one hop", "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Gone\r\nX-Gone: 1\r\nKeep-Alive: timeout=5\r\nContent-Length: 2\r\n\r\nok"],
  ["426 with Upgrade", "HTTP/1.1 426 Upgrade Required\r\nUpgrade: TLS/1.2\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nok"],
];

describe("HTTP/1 with the hop and without it", () => {
  let backend: RawBackend;
  let hop: TransparentWay;
  let plain: TransparentWay;
  beforeAll(async () => {
    backend = await RawBackend.listen();
    hop = await openTransparentWay("two proxies, with the hop", backend.port);
    plain = await openTransparentWay("two proxies, without the hop", backend.port);
  });
  beforeEach(() => backend.forget());
  afterAll(() => {
    hop.stop();
    plain.stop();
    backend.close();
  });

  /** What the application got and what its client got, what differs from one request to the next taken out. */
  async function seen(through: TransparentWay, request: string, response: string): Promise<{ request: string; response: string }> {
    backend.cutConnections();
    backend.forget();
    backend.connections = [];
    backend.answer = (connection) => connection.socket.end(response, "latin1");
    const withClose = request.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    const answer = await exchange(through.connect(), request.includes("Connection:") ? request : withClose, (received) => request.includes("keep-alive") && received.endsWith("ok"));
    return { request: asSent(backend.received), response: asAnswered(answer) };
  }

  it.each(REQUESTS)("a request with %s", async (_what, request) => {
    const [over, without] = [await seen(hop, request, OK), await seen(plain, request, OK)];
    expect(over).toEqual(without);
    expect(over.request).toMatch(/ HTTP\/1\.1\r\n/);
    expect(over.response).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  });

  it.each(RESPONSES)("a response with %s", async (_what, response) => {
    const request = "GET / HTTP/1.1\r\nHost: reviews\r\n\r\n";
    const [over, without] = [await seen(hop, request, response), await seen(plain, request, response)];
    expect(over).toEqual(without);
    expect(over.response).toMatch(/^HTTP\/1\.1 /);
  });

  it.each(RESPONSES)("to a client of HTTP/1.0, a response with %s", async (_what, response) => {
    const request = "GET / HTTP/1.0\r\nHost: reviews\r\n\r\n";
    expect(await seen(hop, request, response)).toEqual(await seen(plain, request, response));
  });

  it.each(RESPONSES)("to HEAD, a response with %s", async (_what, response) => {
    const request = "HEAD / HTTP/1.1\r\nHost: reviews\r\n\r\n";
    const head = response.slice(0, response.lastIndexOf("\r\n\r\n") + 4);
    if (response.includes("X-SUM")) return;
    expect(await seen(hop, request, head)).toEqual(await seen(plain, request, head));
  });

  it("the hop was taken in one case and not in the other", async () => {
    const multiplexed = /upstream_cx_http2_total\{[^}]*reviews[^}]*\} [1-9]/;
    for (const through of [hop, plain]) await seen(through, "GET / HTTP/1.1\r\nHost: reviews\r\n\r\n", OK);
    await eventually(async () => multiplexed.test(await (hop.proxies[0] as ProxyUnderTest).metrics()), "streams over the hop were counted");
    expect(await (plain.proxies[0] as ProxyUnderTest).metrics()).not.toMatch(multiplexed);
  });
});
