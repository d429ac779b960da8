import { afterEach, describe, expect, test } from "vitest";
import type { Http1ServerLimits } from "../../../src/http/http1-server-limits.ts";
import { ResponseHead } from "../../../src/message/head.ts";
import { HeaderList } from "../../../src/message/header-list.ts";
import { ProxyError } from "../../../src/message/proxy-error.ts";
import { type RawClient, respond, ServerHarness } from "./http1-server-harness.ts";

const GET = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
const POST = "POST / HTTP/1.1\r\nHost: a.test\r\n";

let harness: ServerHarness;
afterEach(() => harness.close());

async function serve(limits: Partial<Http1ServerLimits> = {}, firstBytes: string | null = null): Promise<RawClient> {
  harness = new ServerHarness(limits);
  harness.handler.onRequest = (seen) => {
    if (seen.endsAtHead) seen.answer(seen.head.path);
  };
  harness.handler.onEnd = (seen) => seen.answer(seen.body);
  return harness.listen(firstBytes);
}

const count = (text: string, part: string) => text.split(part).length - 1;

describe("one connection", () => {
  test("serves requests one after the other", async () => {
    const client = await serve();
    client.send(GET);
    await client.until(() => client.received.endsWith("\r\n\r\n/"));
    client.send(`${POST}Content-Length: 2\r\n\r\nhi`);
    await client.until(() => client.received.endsWith("hi"));
    expect(client.received).not.toContain("Connection");
    expect(harness.handler.seen).toHaveLength(2);
  });

  test("bytes read before it took over come first", async () => {
    const client = await serve({}, "GET /first HTTP/1.1\r\nHo");
    client.send("st: a.test\r\n\r\n");
    await client.until(() => client.received.endsWith("/first"));
  });

  test("answers pipelined requests in order, however the answers come", async () => {
    const client = await serve();
    const waiting: (() => void)[] = [];
    harness.handler.onRequest = (seen) => waiting.push(() => seen.answer(seen.head.path));
    client.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n");
    for (let served = 1; served <= 3; served++) {
      await harness.handler.until(() => waiting.length === served);
      waiting[served - 1]?.();
    }
    await client.until(() => client.received.endsWith("/3"));
    expect(client.received.replaceAll("HTTP/1.1", "").match(/\/\d/g)).toEqual(["/1", "/2", "/3"]);
  });

  test("thousands of pipelined requests answered at once do not nest", async () => {
    const client = await serve();
    const requests = 4000;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(requests));
    await client.until(() => count(client.received, "HTTP/1.1 200") === requests);
    expect(harness.handler.malformedErrors).toEqual([]);
  });

  test("A55 nothing is answered behind Connection: close", async () => {
    const client = await serve();
    client.send("GET /1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    expect(count(await client.untilEnd(), "HTTP/1.1 200")).toBe(1);
    expect(client.received).toContain("Connection: close\r\n");
    expect(harness.handler.seen).toHaveLength(1);
  });

  test("pipelined bytes beyond 64 KiB stop the reading", async () => {
    const client = await serve();
    harness.handler.onRequest = () => undefined;
    client.send(GET + "x".repeat(1 << 20));
    await harness.handler.until(() => harness.handler.seen.length === 1);
    await new Promise<void>((resolve) => setImmediate(resolve));
    while (harness.sockets[0]?.isPaused() !== true) await new Promise<void>((resolve) => setImmediate(resolve));
    expect(harness.sockets[0]?.bytesRead).toBeLessThan(512 * 1024);
  });

  test("head and body leave in one write", async () => {
    const client = await serve();
    client.send(GET);
    await client.until(() => client.received.endsWith("/"));
    let writes = 0;
    const socket = harness.sockets[0];
    if (socket === undefined) throw new Error("no socket");
    const write = socket.write.bind(socket) as (...args: unknown[]) => boolean;
    socket.write = ((...args: unknown[]) => {
      writes++;
      return write(...args);
    }) as typeof socket.write;
    client.send("GET /again HTTP/1.1\r\nHost: a.test\r\n\r\n");
    await client.until(() => client.received.endsWith("/again"));
    expect(writes).toBe(1);
  });
});

describe("framing of responses", () => {
  const answer = async (request: string, head: ResponseHead, pieces: string[] | null): Promise<RawClient> => {
    const client = await serve();
    harness.handler.onRequest = ({ stream }) => {
      stream.respond(head, pieces === null);
      for (const piece of pieces ?? []) stream.write(Buffer.from(piece));
      if (pieces !== null) stream.end(null);
    };
    client.send(request);
    return client;
  };
  const head = (status: number, length: number) => new ResponseHead(status, "X", new HeaderList(), length);

  test("unknown length is chunked, trailers included", async () => {
    const client = await serve();
    harness.handler.onRequest = ({ stream }) => {
      stream.respond(head(200, -1), false);
      stream.write(Buffer.from("abc"));
      stream.end(HeaderList.of(["X-Sum", "1"]));
    };
    client.send(GET);
    await client.until(() => client.received.endsWith("3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"));
  });

  test("unknown length to HTTP/1.0 ends with the connection, even with keep-alive", async () => {
    const client = await answer("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", head(200, -1), ["abc"]);
    expect(await client.untilEnd()).toBe("HTTP/1.1 200 X\r\nConnection: close\r\n\r\nabc");
  });

  test("HTTP/1.0 keep-alive is granted when the length is known", async () => {
    const client = await answer("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", head(200, 3), ["abc"]);
    await client.until(() => client.received === "HTTP/1.1 200 X\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\nabc");
  });

  test.each<[string, string, ResponseHead, string[] | null, string]>([
    ["HEAD keeps the length", "HEAD", head(200, 3), ["abc"], "HTTP/1.1 200 X\r\nContent-Length: 3\r\n\r\n"],
    ["204 has none", "GET", head(204, 0), null, "HTTP/1.1 204 X\r\n\r\n"],
    ["304 keeps the length", "GET", head(304, 9), null, "HTTP/1.1 304 X\r\nContent-Length: 9\r\n\r\n"],
    ["an end without a length is an empty body", "GET", head(200, -1), null, "HTTP/1.1 200 X\r\nContent-Length: 0\r\n\r\n"],
  ])("%s", async (_name, method, response, pieces, expected) => {
    const client = await answer(`${method} / HTTP/1.1\r\nHost: a\r\n\r\n`, response, pieces);
    await client.until(() => client.received.length >= expected.length);
    client.send(`${method} / HTTP/1.1\r\nHost: a\r\n\r\n`);
    await client.until(() => client.received.length >= 2 * expected.length);
    expect(client.received).toBe(expected.repeat(2));
  });

  test.each<[string, number, string[] | null]>([["shorter", 5, ["abc"]], ["longer", 2, ["abc"]], ["absent", 5, null]])(
    "F01 a body %s than announced cuts the connection", async (_name, length, pieces) => {
      const client = await answer(GET, head(200, length), pieces);
      await client.until(() => client.isClosed);
      expect(client.error?.code).toBe("ECONNRESET");
    });

  test("a head with an unwritable value cuts the connection and throws nothing", async () => {
    const client = await answer(GET, new ResponseHead(200, "X", HeaderList.of(["X-A", "a\r\nX-B: c"]), 0), null);
    await client.until(() => client.isClosed);
    expect(client.received).toBe("");
  });

  test("informational responses are relayed, but not to HTTP/1.0", async () => {
    const client = await serve();
    harness.handler.onRequest = (seen) => {
      seen.stream.informational(new ResponseHead(103, "Early Hints", new HeaderList(), -1));
      seen.answer("x");
    };
    client.send(GET);
    await client.until(() => client.received.endsWith("\r\n\r\nx"));
    expect(client.received).toMatch(/^HTTP\/1\.1 103 Early Hints\r\n\r\nHTTP\/1\.1 200/);
    const old = harness.connect();
    old.send("GET / HTTP/1.0\r\n\r\n");
    expect(await old.untilEnd()).toMatch(/^HTTP\/1\.1 200/);
  });

  test("reset after the head: the peer can tell", async () => {
    const client = await serve();
    harness.handler.onRequest = ({ stream }) => {
      stream.respond(head(200, -1), false);
      stream.write(Buffer.from("abc"));
      setImmediate(() => stream.reset(new ProxyError("upstream_disconnect")));
    };
    client.send("GET / HTTP/1.0\r\n\r\n");
    await client.until(() => client.isClosed);
    expect(client.error?.code).toBe("ECONNRESET");
    expect(harness.handler.seen[0]?.error).toBeNull();
  });
});

describe("malformed input", () => {
  test("is answered, the handler told, and the connection closed", async () => {
    const client = await serve();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    expect(await client.untilEnd()).toBe(
      "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\nx-outrider-error: codec_error\r\nContent-Length: 11\r\nConnection: close\r\n\r\nBad Request");
    expect(harness.handler.malformedErrors.map(({ code }) => code)).toEqual(["codec_error"]);
    expect(harness.handler.seen).toEqual([]);
    client.socket.end();
    await harness.handler.until(() => harness.handler.isClosed);
  });

  test("A18/A20 in a body: 400, and the receiver is reset", async () => {
    const client = await serve();
    client.send(`${POST}Transfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n`);
    expect(await client.untilEnd()).toMatch(/^HTTP\/1\.1 400 /);
    expect(harness.handler.seen[0]?.error?.code).toBe("codec_error");
    expect(harness.handler.seen[0]?.hasEnded).toBe(false);
    expect(harness.handler.malformedErrors).toEqual([]);
  });

  test("in a body whose response has begun: cut", async () => {
    const client = await serve();
    harness.handler.onRequest = ({ stream }) => stream.respond(new ResponseHead(200, "OK", new HeaderList(), -1), false);
    client.send(`${POST}Transfer-Encoding: chunked\r\n\r\n`);
    await client.until(() => client.received !== "");
    client.send("nonsense\r\n");
    await client.until(() => client.isClosed);
    expect(client.error?.code).toBe("ECONNRESET");
  });

  test("A56 ten thousand bad requests get one answer", async () => {
    const client = await serve();
    client.send("GET /\r\n\r\n".repeat(10_000));
    expect(count(await client.untilEnd(), "HTTP/1.1")).toBe(1);
    await harness.handler.until(() => harness.handler.isClosed);
  });

  test("a handler that throws costs its connection only", async () => {
    const client = await serve();
    harness.handler.onRequest = () => {
      throw new Error("a defect");
    };
    client.send(GET);
    await client.until(() => client.isClosed);
    expect(harness.handler.malformedErrors[0]?.code).toBe("internal");
  });
});

describe("bodies", () => {
  test("A53 an answer before the body's end is sent whole, then the connection closes", async () => {
    const client = await serve();
    harness.handler.onRequest = (seen) => seen.answer("early");
    client.send(`${POST}Content-Length: 100000\r\n\r\nabc`);
    expect(await client.untilEnd()).toMatch(/early$/);
    client.send("x".repeat(1000));
    client.socket.end();
    await harness.handler.until(() => harness.handler.isClosed);
    expect(harness.handler.seen[0]?.error).toBeNull();
  });

  test("A52/A53 an expectation answered with a final status closes; with 100 it goes on", async () => {
    const client = await serve();
    harness.handler.onRequest = (seen) => {
      if (seen.head.path === "/no") seen.answer("no", 403);
      else seen.stream.informational(new ResponseHead(100, "Continue", new HeaderList(), -1));
    };
    client.send("POST /yes HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    await client.until(() => client.received.includes("100 Continue\r\n\r\n"));
    client.send("hi");
    await client.until(() => client.received.endsWith("hi"));
    client.send("POST /no HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    expect(await client.untilEnd()).toMatch(/HTTP\/1\.1 403 .*Connection: close\r\n\r\nno$/s);
  });

  test("pause stops the reading, resume goes on", async () => {
    const client = await serve();
    const size = 8 << 20;
    let isFirst = true;
    harness.handler.onData = (seen) => {
      if (isFirst) seen.stream.pause();
      isFirst = false;
    };
    client.send(`${POST}Content-Length: ${size}\r\n\r\n`);
    client.socket.write(Buffer.alloc(size, "x"));
    await harness.handler.until(() => !isFirst);
    const [seen] = harness.handler.seen;
    if (seen === undefined) throw new Error("no request");
    while (harness.sockets[0]?.isPaused() !== true) await new Promise<void>((resolve) => setImmediate(resolve));
    const paused = seen.bytes;
    expect(paused).toBeLessThan(512 * 1024);
    for (let turn = 0; turn < 20; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
    expect(seen.bytes).toBe(paused);
    harness.handler.onEnd = () => seen.answer("done");
    seen.stream.resume();
    await client.until(() => client.received.endsWith("done"));
    expect(seen.bytes).toBe(size);
  });

  test("A59 a client that does not read makes write say false, and drain follows", async () => {
    const client = await serve();
    client.socket.pause();
    const chunk = Buffer.alloc(32 * 1024, "x");
    const total = 600;
    let written = 0;
    let most = 0;
    harness.handler.onRequest = ({ stream }) => stream.respond(new ResponseHead(200, "OK", new HeaderList(), total * chunk.length), false);
    const pump = () => {
      const stream = harness.handler.seen[0]?.stream;
      while (written < total) {
        written++;
        const isWritable = stream?.write(chunk);
        most = Math.max(most, harness.sockets[0]?.writableLength ?? 0);
        if (isWritable === false) return;
      }
      stream?.end(null);
    };
    harness.handler.onDrain = pump;
    client.send(GET);
    await harness.handler.until(() => harness.handler.seen.length === 1);
    pump();
    expect(written).toBeLessThan(total);
    client.socket.resume();
    await client.until(() => client.receivedBytes > total * chunk.length);
    expect(harness.handler.seen[0]?.drains).toBeGreaterThan(0);
    expect(most).toBeLessThanOrEqual(256 * 1024);
  });

  test("A59 a body that trickles is given up with 408", async () => {
    const client = await serve({ bodyRate: { graceMs: 1_100, minBytesPerSecond: 256 } });
    client.send(`${POST}Content-Length: 100\r\n\r\nx`);
    expect(await client.untilEnd()).toMatch(/^HTTP\/1\.1 408 /);
    expect(harness.handler.seen[0]?.error?.code).toBe("body_rate");
  });
});

describe("time", () => {
  test("A58 a head that does not end in time is answered 408", async () => {
    const client = await serve({ headTimeoutMs: 30 });
    client.send("GET / HTTP/1.1\r\nHost");
    expect(await client.untilEnd()).toMatch(/^HTTP\/1\.1 408 /);
    expect(harness.handler.malformedErrors.map(({ code }) => code)).toEqual(["header_timeout"]);
  });

  test("A58 single bytes do not move the deadline", async () => {
    const client = await serve({ headTimeoutMs: 100 });
    client.send("G");
    const trickle = setInterval(() => client.send("x"), 10);
    expect(await client.untilEnd()).toMatch(/^HTTP\/1\.1 408 /);
    clearInterval(trickle);
  });

  test("an idle connection is closed without a word", async () => {
    const client = await serve({ idleTimeoutMs: 30 });
    client.send(GET);
    expect(await client.untilEnd()).toMatch(/^HTTP\/1\.1 200 .*\/$/s);
  });
});

describe("ends", () => {
  test("a peer that has sent its FIN gets all its answers", async () => {
    const client = await serve();
    harness.handler.onRequest = (seen) => setImmediate(() => seen.answer(seen.head.path));
    client.socket.end("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    expect(count(await client.untilEnd(), "HTTP/1.1 200")).toBe(2);
    await harness.handler.until(() => harness.handler.isClosed);
    expect(harness.handler.seen.map(({ error }) => error)).toEqual([null, null]);
  });

  test("a peer that is gone resets the stream", async () => {
    const client = await serve();
    harness.handler.onRequest = () => client.socket.resetAndDestroy();
    client.send(GET);
    await harness.handler.until(() => harness.handler.isClosed);
    expect(harness.handler.seen[0]?.error?.code).toBe("downstream_disconnect");
  });

  test("a body cut short by FIN resets the stream", async () => {
    const client = await serve();
    client.socket.end(`${POST}Content-Length: 10\r\n\r\nabc`);
    await harness.handler.until(() => harness.handler.isClosed);
    expect(harness.handler.seen[0]?.error?.code).toBe("downstream_disconnect");
  });

  test("drain closes a connection with its next response, and one that stays idle after a while", async () => {
    const client = await serve({ drainIdleTimeoutMs: 300 });
    harness.handler.onRequest = () => undefined;
    client.send(GET);
    await harness.handler.until(() => harness.handler.seen.length === 1);
    const idle = harness.connect();
    const asking = harness.connect();
    while (harness.servers.length < 3) await new Promise<void>((resolve) => setImmediate(resolve));
    for (const server of harness.servers) server.drain();
    // Its request was on its way when the connection began to drain.
    asking.send(GET);
    await harness.handler.until(() => harness.handler.seen.length === 2);
    harness.handler.seen[1]?.answer("next");
    expect(await asking.untilEnd()).toMatch(/Connection: close\r\n\r\nnext$/);
    harness.handler.seen[0]?.answer("last");
    expect(await client.untilEnd()).toMatch(/Connection: close\r\n\r\nlast$/);
    expect(await idle.untilEnd()).toBe("");
  });

  test("one that is finished answers what it has, leaves what waits behind it, and closes at once when it is idle", async () => {
    const client = await serve();
    harness.handler.onRequest = () => undefined;
    client.send(GET + GET);
    await harness.handler.until(() => harness.handler.seen.length === 1);
    const idle = harness.connect();
    const begun = harness.connect();
    begun.send("GET / HT");
    while (harness.servers.length < 3) await new Promise<void>((resolve) => setImmediate(resolve));
    for (const server of harness.servers) server.finish(new ProxyError("no_longer_accepted"));
    expect([await idle.untilEnd(), await begun.untilEnd()]).toEqual(["", ""]);
    harness.handler.seen[0]?.answer("last");
    expect(await client.untilEnd()).toMatch(/Connection: close\r\n\r\nlast$/);
    expect(harness.handler.seen.length).toBe(1);
  });

  test("one that is destroyed tells why to whoever it serves", async () => {
    const client = await serve();
    harness.handler.onRequest = () => undefined;
    client.send(GET);
    await harness.handler.until(() => harness.handler.seen.length === 1);
    harness.servers[0]?.destroy(new ProxyError("no_longer_accepted", "because"));
    await client.until(() => client.isClosed);
    expect([client.received, client.error?.code]).toEqual(["", "ECONNRESET"]);
    expect(harness.handler.seen[0]?.error).toMatchObject({ code: "no_longer_accepted", reason: "because" });
  });

  test("a stream that is over does nothing to the next one", async () => {
    const client = await serve();
    harness.handler.onRequest = () => undefined;
    client.send(GET + GET);
    await harness.handler.until(() => harness.handler.seen.length === 1);
    const [first] = harness.handler.seen;
    first?.answer("1");
    await harness.handler.until(() => harness.handler.seen.length === 2);
    first?.stream.write(Buffer.from("stale"));
    first?.stream.end(null);
    first?.stream.reset(new ProxyError("internal"));
    if (first !== undefined) respond(first.stream, "stale");
    harness.handler.seen[1]?.answer("2");
    await client.until(() => client.received.endsWith("\r\n\r\n2"));
    expect(client.received).not.toContain("stale");
  });
});

const UPGRADE = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

describe("tunnels", () => {
  test("A51 bytes behind an upgrade wait for the 101 and belong to the tunnel, which closes half by half", async () => {
    const client = await serve();
    harness.handler.onRequest = () => undefined;
    harness.handler.onEnd = () => undefined;
    client.send(`${UPGRADE}early`);
    await harness.handler.until(() => harness.handler.seen.length === 1);
    const [seen] = harness.handler.seen;
    if (seen === undefined) throw new Error("no request");
    client.send(" bird");
    for (let turn = 0; turn < 10; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
    expect(seen.body).toBe("");
    expect(seen.endsAtHead).toBe(false);
    seen.stream.respond(new ResponseHead(101, "Switching Protocols", new HeaderList(), -1), false);
    await harness.handler.until(() => seen.body === "early bird");
    seen.stream.write(Buffer.from("down"));
    await client.until(() => client.received.endsWith("\r\nUpgrade: websocket\r\n\r\ndown"));
    client.socket.end();
    await harness.handler.until(() => seen.hasEnded);
    seen.stream.write(Buffer.from(" still"));
    await client.until(() => client.received.endsWith("down still"));
    seen.stream.end(null);
    await client.untilEnd();
    await harness.handler.until(() => harness.handler.isClosed);
    expect(seen.error).toBeNull();
  });

  test("A51 an upgrade answered otherwise closes; what came behind it is never parsed", async () => {
    const client = await serve();
    harness.handler.onRequest = (seen) => setImmediate(() => seen.answer("no", 403));
    client.send(`${UPGRADE}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n`);
    expect(await client.untilEnd()).toMatch(/^HTTP\/1\.1 403 .*Connection: close\r\n\r\nno$/s);
    expect(harness.handler.seen).toHaveLength(1);
  });

  test("101 within the call of the handler", async () => {
    const client = await serve();
    harness.handler.onRequest = ({ stream }) => stream.respond(new ResponseHead(101, "Switching Protocols", new HeaderList(), -1), false);
    client.send(`${UPGRADE}now`);
    await harness.handler.until(() => harness.handler.seen[0]?.body === "now");
  });

  test("101 without an upgrade cuts the connection", async () => {
    const client = await serve();
    harness.handler.onRequest = ({ stream }) => stream.respond(new ResponseHead(101, "X", new HeaderList(), -1), false);
    client.send(GET);
    await client.until(() => client.isClosed);
    expect(client.received).toBe("");
  });
});
