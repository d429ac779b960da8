import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { eventually, statusOf } from "../integration/proxy-under-test.ts";
import { HostileProxy, SIDES } from "./hostile-proxy.ts";
import type { RawConnection } from "./raw-backend.ts";

const GET = "GET /victim HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const EVIL = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL";

/** What an upstream says instead of an answer: the client gets 502, and whoever comes next a connection of its own. */
const NO_ANSWER: readonly (readonly [string, string])[] = [
  ["bad status line", "HTTP/1.1 2OO OK\r\nContent-Length: 0\r\n\r\n"],
  ["status of four digits", "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"],
  ["another protocol's version", "ICY 200 OK\r\n\r\n"],
  ["HTTP/2.0", "HTTP/2.0 200 OK\r\n\r\n"],
  ["lines that end in LF", "HTTP/1.1 200 OK\nContent-Length: 0\n\n"],
  ["Content-Length and Transfer-Encoding", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
  ["two Content-Length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"],
  ["Transfer-Encoding: gzip, chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"],
  ["a folded field", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n"],
  ["NUL in a field", "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n"],
  ["101 fields", `HTTP/1.1 200 OK\r\n${"a:b\r\n".repeat(101)}\r\n`],
  ["a head of 70 KiB", `HTTP/1.1 200 OK\r\nX: ${"x".repeat(70_000)}\r\nContent-Length: 0\r\n\r\n`],
  ["a flood of 103", `${"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1000)}${OK}`],
];

let hostile: HostileProxy;
beforeAll(async () => {
  hostile = await HostileProxy.start();
});
beforeEach(() => hostile.backend.forget());
afterAll(() => hostile.stop());

describe.each(SIDES)("A57 upstreams that misbehave, %s", (side) => {
  const ask = (): Promise<string> => hostile.ask(side, GET);

  /** The next client is answered by the backend as if nothing had been, and never on a connection that lied. */
  async function expectInnocentNext(liar: RawConnection): Promise<void> {
    await eventually(() => liar.isGone, "the connection was given up");
    const before = liar.received;
    hostile.backend.answer = (connection) => connection.socket.write(OK);
    const answer = await ask();
    expect(answer).not.toContain("EVIL");
    expect(statusOf(answer)).toBe(200);
    expect(liar.received).toBe(before);
  }

  /** Each connection's first answer is `bytes`. */
  function answerWith(bytes: string): { liar: RawConnection | null } {
    const told: { liar: RawConnection | null } = { liar: null };
    hostile.backend.answer = (connection) => {
      told.liar ??= connection;
      connection.socket.write(bytes, "latin1");
    };
    return told;
  }

  it.each(NO_ANSWER)("%s: 502", async (_what, bytes) => {
    const told = answerWith(bytes);
    const answer = await ask();
    expect(statusOf(answer.replace(/^(HTTP\/1\.1 103 [^\r]*\r\n[^H]*)+/, ""))).toBe(502);
    expect(answer.match(/HTTP\/1\.1 103 /g)?.length ?? 0).toBeLessThanOrEqual(8);
    expect(hostile.backend.received.match(/GET \/victim/g)).toHaveLength(1);
    await expectInnocentNext(told.liar as RawConnection);
  });

  it("two responses in one segment: the second is nobody's (CVE-2026-48931)", async () => {
    const told = answerWith(`${OK}${EVIL}`);
    const answer = await ask();
    expect(answer.endsWith("ok")).toBe(true);
    expect(answer).not.toContain("EVIL");
    await expectInnocentNext(told.liar as RawConnection);
  });

  it("a late response on an idle connection is nobody's (CVE-2026-48931)", async () => {
    const told = answerWith(OK);
    expect(statusOf(await ask())).toBe(200);
    const liar = told.liar as RawConnection;
    expect(liar.isGone).toBe(false);
    liar.socket.write(EVIL);
    await expectInnocentNext(liar);
  });

  it("a second response that comes just as the next request is sent is not its answer, unless it was asked for", async () => {
    // The proxy may have the bytes in hand before or after it sends: either way a stolen answer needs a connection that
    // was idle when they came, and such a connection is given up.
    const { backend } = hostile;
    for (let round = 0; round < 30; round++) {
      backend.forget();
      backend.answer = (connection) => {
        connection.socket.write(OK);
        connection.socket.write(EVIL);
      };
      expect((await ask()).endsWith("ok")).toBe(true);
      backend.answer = (connection) => connection.socket.write(OK);
      const answer = await ask();
      expect(answer).not.toContain("EVIL");
    }
  });

  it("no length and no end: the body is what comes until the close, and the connection is not used again", async () => {
    const { backend } = hostile;
    let used: RawConnection | null = null;
    backend.answer = (connection) => {
      used ??= connection;
      connection.socket.end("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\nuntil the end");
    };
    const answer = await ask();
    expect(statusOf(answer)).toBe(200);
    expect(answer).toContain("until the end");
    expect(answer).toContain("\r\n0\r\n\r\n");
    await expectInnocentNext(used as unknown as RawConnection);
  });

  it("fewer bytes than announced: cut, so that the client can tell", async () => {
    const { backend } = hostile;
    backend.answer = (connection) => connection.socket.end("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort");
    const answer = await ask();
    expect(statusOf(answer)).toBe(200);
    expect(answer.endsWith("short")).toBe(true);
    await eventually(() => hostile.proxy.activeCount() === 0, "the stream ended");
    expect(hostile.proxy.accessLog.at(-1)).toMatchObject({ response_code_details: "upstream_reset_after_response_started{connection_termination}" });
  });

  it("a chunked body that ends early never ends well", async () => {
    const { backend } = hostile;
    backend.answer = (connection) => connection.socket.end("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    expect(await ask()).not.toContain("\r\n0\r\n\r\n");
  });

  it("a malformed chunk in a response never ends well", async () => {
    const told = answerWith("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n");
    expect(await ask()).not.toContain("\r\n0\r\n\r\n");
    await expectInnocentNext(told.liar as RawConnection);
  });

  it("more bytes than announced: the rest is nobody's", async () => {
    const told = answerWith(`HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok${EVIL}`);
    expect((await ask()).endsWith("ok")).toBe(true);
    await expectInnocentNext(told.liar as RawConnection);
  });

  it.each(["204 No Content", "304 Not Modified"])("%s with a body: the body is nobody's", async (status) => {
    const told = answerWith(`HTTP/1.1 ${status}\r\nContent-Length: 4\r\n\r\nEVIL`);
    const answer = await ask();
    expect(answer).not.toContain("EVIL");
    expect(answer.endsWith("\r\n\r\n")).toBe(true);
    await expectInnocentNext(told.liar as RawConnection);
  });

  it("an answer to HEAD with a body: the body is nobody's", async () => {
    const told = answerWith("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL");
    const answer = await hostile.ask(side, GET.replace("GET", "HEAD"));
    expect(answer).toContain("Content-Length: 4");
    expect(answer.endsWith("\r\n\r\n")).toBe(true);
    await expectInnocentNext(told.liar as RawConnection);
  });

  it("bytes before any request: the connection is given up", async () => {
    const { backend } = hostile;
    backend.cutConnections();
    await eventually(() => backend.openCount === 0, "no connection open");
    backend.onConnection = (connection) => connection.socket.write(EVIL);
    const answer = await ask();
    // The greeting may come behind the request; it is then taken for its answer, which no proxy can tell.
    backend.onConnection = () => undefined;
    expect([200, 502, 503]).toContain(statusOf(answer));
    const next = await ask();
    expect(statusOf(next)).toBe(200);
    expect(next.endsWith("ok")).toBe(true);
  });
});
