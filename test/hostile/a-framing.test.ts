import type { Socket } from "node:net";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { eventually, statusOf } from "../integration/proxy-under-test.ts";
import { HostileProxy, SIDES } from "./hostile-proxy.ts";

const POST = "POST / HTTP/1.1\r\nHost: a.test\r\n";
const CHUNKED = `${POST}Transfer-Encoding: chunked\r\n\r\n`;
const SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n";

/** Row and trick, status, bytes: refused before anything is dialled. */
const REFUSED: readonly (readonly [string, number, string])[] = [
  ["A01 CL.TE", 400, `${POST}Content-Length: 13\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`],
  ["A02 TE.CL", 400, `${POST}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n12\r\nGPOST / HTTP/1.1\r\n\r\n0\r\n\r\n`],
  ["A03 empty element before chunked", 400, `${POST}Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`],
  ["A03 empty element behind chunked", 400, `${POST}Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n`],
  ["A04 gzip, chunked", 501, `${POST}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`],
  ["A05 chunked, gzip", 400, `${POST}Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n`],
  ["A06 chunked twice in one field (CVE-2020-8287)", 400, `${POST}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n`],
  ["A06 chunked in two fields (CVE-2020-8287)", 400, `${POST}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
  ["A07 xchunked (CVE-2022-32213)", 501, `${POST}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`],
  ["A07 quoted chunked (CVE-2022-32213)", 400, `${POST}Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n`],
  ["A07 identity", 501, `${POST}Transfer-Encoding: identity\r\n\r\n0\r\n\r\n`],
  ["A08 vertical tab before chunked", 400, `${POST}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n`],
  ["A08 no-break space before chunked", 400, `${POST}Transfer-Encoding: \xa0chunked\r\n\r\n0\r\n\r\n`],
  ["A09 space before the colon (CVE-2021-22959)", 400, `${POST}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n`],
  ["A10 space before the name (CVE-2022-35256)", 400, `${POST} Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
  ["A10 folded over two lines (CVE-2022-32215)", 400, `${POST}Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n`],
  ["A11 chunked in HTTP/1.0", 400, "POST / HTTP/1.0\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
  ["A12 Content-Length twice, the same", 400, `${POST}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello`],
  ["A12 Content-Length as a list", 400, `${POST}Content-Length: 5, 5\r\n\r\nhello`],
  ["A13 Content-Length twice, not the same", 400, `${POST}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!`],
  ...["+5", "-5", "0x5", "0_5", "1 2", "", "18446744073709551621"].map(
    (value) => [`A14 Content-Length ${JSON.stringify(value)} (CVE-2018-7159)`, 400, `${POST}Content-Length: ${value}\r\n\r\nhello`] as const),
  ["A16 CR in the name of Content-Length (CVE-2023-30589)", 400, `${POST}Content\rLength: 5\r\n\r\nhello`],
  ["A17 space before Content-Length (CVE-2024-27982)", 400, `${POST} Content-Length: 5\r\n\r\nhello`],
  ["A24 line without colon", 400, `${POST}nonsense\r\n\r\n`],
  ["A24 field without name", 400, `${POST}: x\r\n\r\n`],
  ["A25 NUL in a value (CVE-2019-9900)", 400, `${POST}X-A: a\0b\r\n\r\n`],
  ["A25 bare CR in a value (CVE-2023-30589)", 400, `${POST}X-A: a\rX-B: b\r\n\r\n`],
  ["A25 bare LF in a value", 400, `${POST}X-A: a\nX-B: b\r\n\r\n`],
  ["A26 LF alone as line end", 400, "GET / HTTP/1.1\nHost: a.test\n\n"],
  ["A27 CR and a byte instead of the empty line (CVE-2025-23167)", 400, "GET / HTTP/1.1\r\nHost: a.test\r\n\rGET /smug HTTP/1.1\r\nHost: a.test\r\n\r\n"],
  ["A28 folded field", 400, `${POST}X-A: a\r\n b\r\n\r\n`],
  ["A28 field folded with a tab", 400, `${POST}X-A: a\r\n\tb\r\n\r\n`],
  ["A30 Content-Length hidden behind 2100 fields (CVE-2026-58044)", 431, `${POST}${"a:b\r\n".repeat(2100)}Content-Length: 42\r\n\r\n${SMUGGLED}`],
  ["A31 101 fields", 431, `GET / HTTP/1.1\r\nHost: a.test\r\n${"a:b\r\n".repeat(100)}\r\n`],
  ["A31 head of 61 KiB", 431, `GET / HTTP/1.1\r\nHost: a.test\r\n${`a: ${"x".repeat(6242)}\r\n`.repeat(10)}\r\n`],
  ["A31 one field of 70 KiB", 431, `GET / HTTP/1.1\r\nHost: a.test\r\na: ${"x".repeat(70 * 1024)}\r\n\r\n`],
];

/** Refused in the body, when the request is on its way: 400, and the backend must see that it was cut. */
const REFUSED_IN_BODY: readonly (readonly [row: string, bytes: string, status?: number])[] = [
  ...["-1", "0x5", "+5", "5 ", "", "F".repeat(17)].map((size) => [`A18 chunk size ${JSON.stringify(size)}`, `${CHUNKED}${size}\r\nhello\r\n0\r\n\r\n${SMUGGLED}`] as const),
  ["A19 LF in a chunk extension", `${CHUNKED}5;\nhello\r\n0\r\n\r\n`],
  ["A19 LF behind a chunk size", `${CHUNKED}5\nhello\r\n0\r\n\r\n`],
  ["A20 chunk longer than its size", `${CHUNKED}5\r\nhelloXX0\r\n\r\n${SMUGGLED}`],
  ["A21 chunk extension of 1 KiB (CVE-2024-22019)", `${CHUNKED}5;${"a".repeat(1024)}\r\nhello\r\n0\r\n\r\n`],
  ["A21 many chunk extensions (CVE-2024-22019)", `${CHUNKED}${`1;${"a".repeat(200)}\r\nx\r\n`.repeat(40)}0\r\n\r\n`],
  ["A23 Content-Length in trailers", `${CHUNKED}5\r\nhello\r\n0\r\nContent-Length: 6\r\n\r\n${SMUGGLED}`],
  ["A23 Host in trailers", `${CHUNKED}5\r\nhello\r\n0\r\nHost: b.test\r\n\r\n${SMUGGLED}`],
  ["A23 trailers of 9 KiB", `${CHUNKED}5\r\nhello\r\n0\r\nx: ${"y".repeat(9 * 1024)}\r\n\r\n`, 431],
  ["A26 LF alone in chunk lines (CVE-2022-32214)", `${CHUNKED}5\nhello\n0\n\n`],
  ["A26 LF alone behind chunk data", `${CHUNKED}5\r\nhello\n0\r\n\r\n`],
  ["A26 LF alone behind the last chunk", `${CHUNKED}5\r\nhello\r\n0\n\n`],
];

let hostile: HostileProxy;
beforeAll(async () => {
  hostile = await HostileProxy.start();
});
afterAll(() => hostile.stop());

describe.each(SIDES)("framing and syntax, %s", (side) => {
  it.each(REFUSED)("%s", async (_row, status, bytes) => {
    await hostile.expectRefused(side, status, bytes);
  });

  it.each(REFUSED_IN_BODY.map(([row, bytes, status]) => ({ row, bytes, status })))("$row: answered, upstream aborted", async ({ bytes, status }) => {
    const reached = await refusedInBody(side, bytes, status ?? 400);
    expect(reached).not.toContain("smuggled");
    expect(reached).not.toContain("\r\n0\r\n\r\n");
  });

  it("A27 CR and a byte before the request (CVE-2025-23167)", async () => {
    const bytes = "\r\n\rGET /smug HTTP/1.1\r\nHost: a.test\r\n\r\n";
    if (side === "inbound") await hostile.expectRefused(side, 400, bytes);
    else await hostile.expectNotHttp(bytes);
  });

  it("A21 a chunk extension without end is refused after its first 300 bytes (CVE-2024-22019)", async () => {
    const { backend } = hostile;
    backend.forget();
    const socket = hostile.connect(side);
    const answer = exchangeLater(socket);
    // 5 MB would follow, but there is nothing to wait for.
    socket.write(`${CHUNKED}5;${"a".repeat(300)}`, "latin1");
    expect(statusOf(await answer)).toBe(400);
    await hostile.sentinel(side);
    expect(backend.received).not.toContain("\r\n0\r\n\r\n");
  });

  /** Sends a request whose body is malformed once its head has reached the backend; gives what the backend got. */
  async function refusedInBody(on: typeof side, bytes: string, status: number): Promise<string> {
    const { backend } = hostile;
    backend.cutConnections();
    await eventually(() => backend.openCount === 0, "no connection open");
    backend.forget();
    const headEnd = bytes.indexOf("\r\n\r\n") + 4;
    const socket = hostile.connect(on);
    const answer = exchangeLater(socket);
    socket.write(bytes.slice(0, headEnd), "latin1");
    await eventually(() => backend.received.includes("\r\n\r\n"), "the head reached the backend");
    socket.write(bytes.slice(headEnd), "latin1");
    const text = await answer;
    expect(statusOf(text)).toBe(status);
    expect(text.match(/HTTP\/1\.1 \d{3} /g)).toHaveLength(1);
    expect(backend.connections).toHaveLength(1);
    await eventually(() => backend.connections[0]?.isGone ?? false, "the upstream connection closed");
    const reached = backend.received;
    await hostile.sentinel(on);
    return reached;
  }
});

function exchangeLater(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    let received = "";
    socket.on("error", () => undefined);
    socket.on("data", (chunk: Buffer) => {
      received += chunk.toString("latin1");
    });
    socket.on("end", () => socket.destroy());
    socket.on("close", () => resolve(received));
  });
}
