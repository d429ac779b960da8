import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { HostileProxy, SIDES } from "./hostile-proxy.ts";

const get = (target: string, rest = "Host: a.test\r\n"): string => `GET ${target} HTTP/1.1\r\n${rest}\r\n`;
const host = (value: string): string => get("/", `Host: ${value}\r\n`);
const connection = (value: string, more = ""): string => `POST / HTTP/1.1\r\nHost: a.test\r\nConnection: ${value}\r\n${more}\r\n`;

const REFUSED: readonly (readonly [string, number, string])[] = [
  ["A33 no Host (CVE-2019-18838)", 400, get("/", "")],
  ["A34 Host twice, the same", 400, get("/", "Host: a.test\r\nHost: a.test\r\n")],
  ["A34 Host twice, not the same", 400, get("/", "Host: a.test\r\nhost: b.test\r\n")],
  ["A35 empty Host", 400, host("")],
  ...["a.test b.test", "a.test/x?y#z", "user@a.test", "a.test:99999", "[::1", "a".repeat(300)].map(
    (value) => [`A36 Host ${JSON.stringify(value.slice(0, 30))}`, 400, host(value)] as const),
  ["A38 https target on a plaintext listener", 400, get("https://b.test/")],
  ["A39 target @evil.test/", 400, get("@evil.test/")],
  ["A39 target admin", 400, get("admin")],
  ["A40 HTTP/2.0", 505, "GET / HTTP/2.0\r\nHost: a.test\r\n\r\n"],
  ["A40 HTTP/1.2", 505, "GET / HTTP/1.2\r\nHost: a.test\r\n\r\n"],
  ["A43 method in lower case", 400, "get / HTTP/1.1\r\nHost: a.test\r\n\r\n"],
  ["A43 unknown method", 501, "FOOBAR / HTTP/1.1\r\nHost: a.test\r\n\r\n"],
  ["A43 TRACE", 405, "TRACE / HTTP/1.1\r\nHost: a.test\r\n\r\n"],
  ["A44 CONNECT", 405, "CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test:443\r\n\r\n"],
  ["A46 Connection nominates Content-Length", 400, connection("Content-Length", "Content-Length: 5\r\n")],
  ["A46 Connection nominates Transfer-Encoding", 400, connection("Transfer-Encoding", "Transfer-Encoding: chunked\r\n")],
  ["A46 Connection nominates Host", 400, connection("Host")],
  ["A46 Connection nominates X-Forwarded-For", 400, connection("X-Forwarded-For", "X-Forwarded-For: 1.1.1.1\r\n")],
  ["A47 upgrade with a body (CVE-2026-58055)", 400,
    "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\nhello"],
  ["A52 expectation that only begins right", 417, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nExpect: y 100-continue\r\n\r\n"],
  ["A52 list of expectations", 417, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nExpect: 100-continue, x\r\n\r\n"],
  ["fragment in the target (CVE-2021-32779)", 400, get("/user/profile#section1")],
  ["target of 9 KiB (CVE-2019-14993)", 414, get(`/${"a".repeat(9 * 1024)}`)],
];

/** Request lines that the outbound side does not take for HTTP at all. */
const REFUSED_OR_NOT_HTTP: readonly (readonly [string, number, string])[] = [
  ["A40 HTTP/01.1", 505, "GET / HTTP/01.1\r\nHost: a.test\r\n\r\n"],
  ["A41 HTTP/0.9", 400, "GET /\r\n\r\n"],
];

let hostile: HostileProxy;
beforeAll(async () => {
  hostile = await HostileProxy.start();
});
afterAll(() => hostile.stop());

describe.each(SIDES)("request line, Host and Connection, %s", (side) => {
  it.each(REFUSED)("%s", async (_row, status, bytes) => {
    await hostile.expectRefused(side, status, bytes);
  });

  it.each(REFUSED_OR_NOT_HTTP)("%s", async (_row, status, bytes) => {
    if (side === "inbound") await hostile.expectRefused(side, status, bytes);
    else await hostile.expectNotHttp(bytes);
  });

  it("A42 the preface of HTTP/2 begins HTTP/2, and what follows it in HTTP/1 is no request", async () => {
    const { backend } = hostile;
    backend.forget();
    const answer = await hostile.ask(side, `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${get("/smuggled")}`);
    // Our SETTINGS (type 4 on stream 0), then GOAWAY (type 7): the "frame" GET is four megabytes long.
    expect([answer.charCodeAt(3), answer.includes("HTTP/1.1"), answer.includes("\x07\0\0\0\0\0")]).toEqual([4, false, true]);
    await hostile.sentinel(side);
    expect(backend.received).toMatch(/^GET \/sentinel /);
  });

  it("A43 method of 1 MB: refused long before it ends", async () => {
    const { backend } = hostile;
    backend.forget();
    const answer = await hostile.ask(side, `${"A".repeat(1_000_000)} / HTTP/1.1\r\nHost: a.test\r\n\r\n`);
    // The rest of the method may still be on its way when the connection closes: a reset may overtake the answer.
    expect(answer === "" || answer.startsWith("HTTP/1.1 400 ")).toBe(true);
    await hostile.sentinel(side);
    expect(backend.received).toMatch(/^GET \/sentinel /);
  });
});
