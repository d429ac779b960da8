import { createHash } from "node:crypto";
import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { FrameFlag, FrameType } from "../../../src/codec/http2-frame.ts";
import type { Http2ServerOptions } from "../../../src/http/http2-server.ts";
import { ResponseHead } from "../../../src/message/head.ts";
import { HeaderList } from "../../../src/message/header-list.ts";
import { ProxyError } from "../../../src/message/proxy-error.ts";
import { ManualTime } from "../../integration/manual-time.ts";
import { literalBlock } from "../codec/http2-blocks.ts";
import { rawFrame, uint32 } from "../codec/http2-session-harness.ts";
import { respond, type Seen } from "./http1-server-harness.ts";
import { collect, Http2ServerHarness } from "./http2-server-harness.ts";

let harness: Http2ServerHarness;
afterEach(() => harness.close());

async function serve(options: Partial<Http2ServerOptions> = {}): Promise<Http2ServerHarness> {
  harness = await new Http2ServerHarness(options).listen();
  return harness;
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const text = (...frames: Buffer[]) => Buffer.concat(frames).toString("latin1");
const SETTINGS = text(rawFrame(FrameType.settings, 0, 0));
const GREETING = PREFACE + SETTINGS + text(rawFrame(FrameType.settings, FrameFlag.ack, 0));
const GET: [string, string][] = [[":method", "GET"], [":scheme", "http"], [":path", "/"], [":authority", "a.test"]];
const get = (streamId: number, flags: number = FrameFlag.endStream | FrameFlag.endHeaders) => text(rawFrame(FrameType.headers, flags, streamId, literalBlock(...GET)));
const sha = (data: Buffer | string) => createHash("sha256").update(data as string, "latin1").digest("hex");

/** Types of the frames in what a raw client has read. */
function frames(received: string): { type: number; streamId: number; payload: Buffer }[] {
  const bytes = Buffer.from(received, "latin1");
  const found = [];
  for (let at = 0; at + 9 <= bytes.length;) {
    const length = bytes.readUIntBE(at, 3);
    found.push({ type: bytes[at + 3] as number, streamId: bytes.readUInt32BE(at + 5), payload: bytes.subarray(at + 9, at + 9 + length) });
    at += 9 + length;
  }
  return found;
}
const goAways = (received: string) => frames(received).filter(({ type }) => type === FrameType.goAway).map(({ payload }) => payload.readUInt32BE(4));

describe("against the client of node:http2", () => {
  test("serves a hundred streams at once", async () => {
    const { handler } = await serve();
    handler.onRequest = (seen) => setImmediate(() => seen.answer(seen.head.path));
    const session = harness.session();
    const answers = await Promise.all(Array.from({ length: 100 }, (_, index) => collect(session.request({ ":path": `/${index}` }))));
    expect(answers.map(({ body }) => body.toString())).toEqual(answers.map((_, index) => `/${index}`));
    expect(harness.servers[0]?.activeStreams).toBe(0);
  });

  test("any sequence of requests with bodies, trailers and resets", async () => {
    interface Plan { readonly up: number; readonly down: number; readonly trailers: boolean; readonly end: "whole" | "client" | "server" }
    const plans = fc.array(fc.record<Plan>({
      up: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 400_000 })),
      down: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 400_000 })),
      trailers: fc.boolean(),
      end: fc.constantFrom("whole", "whole", "whole", "client", "server"),
    }), { minLength: 1, maxLength: 10 });
    const { handler } = await serve();
    const body = (bytes: number, seed: number) => Buffer.alloc(bytes, `${seed}-${"x".repeat(seed % 13)}`);
    const answer = (seen: Seen) => {
      const plan = JSON.parse(String(seen.head.headers.get("x-plan"))) as Plan;
      seen.stream.respond(new ResponseHead(200, "", HeaderList.of(["x-sum", sha(seen.body.slice(0, 100_000))], ["x-bytes", String(seen.bytes)]), plan.trailers ? -1 : plan.down), false);
      const bytes = body(plan.down, plan.down % 97);
      let at = 0;
      const run = () => {
        while (at < bytes.length) {
          const piece = bytes.subarray(at, at + 30_000);
          at += piece.length;
          if (plan.end === "server" && at * 2 > bytes.length) {
            seen.stream.reset(new ProxyError("upstream_disconnect"));
            return;
          }
          if (!seen.stream.write(piece)) return;
        }
        seen.stream.end(plan.trailers ? HeaderList.of(["x-t", "1"]) : null);
      };
      drains.set(seen, run);
      run();
    };
    const drains = new Map<Seen, () => void>();
    handler.onDrain = (seen) => drains.get(seen)?.();
    handler.onRequest = (seen) => {
      if (seen.endsAtHead) answer(seen);
    };
    handler.onEnd = answer;
    await fc.assert(fc.asyncProperty(plans, fc.integer({ min: 2_000, max: 200_000 }), async (list, window) => {
      const session = harness.session({ settings: { initialWindowSize: window } });
      await Promise.all(list.map(async (plan) => {
        const stream = session.request({ ":method": "POST", ":path": "/", "x-plan": JSON.stringify(plan) }, { endStream: plan.up === 0 });
        const collected = collect(stream);
        if (plan.end === "client") stream.once("data", () => stream.close(8));
        if (plan.up > 0) stream.end(body(plan.up, 1));
        const got = await collected;
        if (plan.end !== "whole") return;
        expect(got.code).toBe(0);
        expect(got.headers["x-bytes"]).toBe(String(plan.up));
        expect(got.headers["x-sum"]).toBe(sha(body(plan.up, 1).subarray(0, 100_000)));
        expect(sha(got.body)).toBe(sha(body(plan.down, plan.down % 97)));
        expect(got.trailers?.["x-t"]).toBe(plan.trailers ? "1" : undefined);
      }));
      session.close();
      while (harness.servers.some((server) => server.activeStreams > 0)) await turn();
    }), { numRuns: 25 });
    expect(handler.malformedErrors).toEqual([]);
  }, 30_000);

  test("C07 C08 a client that does not read holds up its own stream, and little memory", async () => {
    const { handler } = await serve();
    let written = 0;
    const write = (seen: Seen) => {
      if (seen.head.path !== "/big") return;
      while (written < 64 << 20 && seen.stream.write(Buffer.alloc(64 << 10))) written += 64 << 10;
    };
    handler.onRequest = (seen) => {
      if (seen.head.path !== "/big") {
        seen.answer("small");
        return;
      }
      seen.stream.respond(new ResponseHead(200, "", new HeaderList(), -1), false);
      write(seen);
    };
    handler.onDrain = write;
    const session = harness.session();
    const big = session.request({ ":path": "/big" });
    big.on("error", () => undefined);
    await new Promise((resolve) => big.once("response", resolve));
    const small = await collect(session.request({ ":path": "/small" }));
    expect(small.body.toString()).toBe("small");
    expect(written).toBeLessThan(1 << 20);
    session.destroy();
    await handler.until(() => handler.isClosed);
    expect(handler.seen[0]?.error?.code).toBe("downstream_disconnect");
    expect(harness.servers[0]?.activeStreams).toBe(0);
  });

  test("extended CONNECT is a tunnel, and an answer that is none is refused (CVE-2024-23326)", async () => {
    const { handler } = await serve();
    handler.onRequest = (seen) => {
      expect(seen.head.upgrade).toBe("websocket");
      seen.stream.respond(new ResponseHead(seen.head.path === "/ws" ? 101 : 200, "", new HeaderList(), -1), false);
    };
    handler.onData = (seen, chunk) => seen.stream.write(chunk);
    handler.onEnd = (seen) => seen.stream.end(null);
    const session = harness.session();
    await new Promise((resolve) => session.once("remoteSettings", resolve));
    const connectHeaders = { ":method": "CONNECT", ":protocol": "websocket", ":scheme": "http", ":authority": "a.test" };
    const stream = session.request({ ...connectHeaders, ":path": "/ws" });
    const collected = collect(stream);
    // Before there is an answer, and after it.
    stream.write("early ");
    await new Promise((resolve) => stream.once("response", resolve));
    stream.end("late");
    const got = await collected;
    expect([got.headers[":status"], got.body.toString(), got.code]).toEqual([200, "early late", 0]);
    const refused = await collect(session.request({ ...connectHeaders, ":path": "/http" }));
    expect([refused.headers[":status"], refused.body.length]).toEqual([502, 0]);
  });

  test("a graceful drain: GOAWAY, the stream under way is finished, and the connection closes", async () => {
    const { handler } = await serve();
    const session = harness.session();
    const collected = collect(session.request({ ":path": "/" }));
    await handler.until(() => handler.seen.length === 1);
    const goAway = new Promise((resolve) => session.once("goaway", resolve));
    harness.servers[0]?.drain();
    await goAway;
    handler.seen[0]?.answer("last");
    expect((await collected).body.toString()).toBe("last");
    await handler.until(() => handler.isClosed);
    expect(handler.malformedErrors).toEqual([]);
  });

  test("one that is finished serves no stream that comes later, and closes with the last under way", async () => {
    const { handler } = await serve();
    const session = harness.session();
    const collected = collect(session.request({ ":path": "/" }));
    await handler.until(() => handler.seen.length === 1);
    const lastServed = new Promise((resolve) => session.once("goaway", (_code, last) => resolve(last)));
    harness.servers[0]?.finish();
    expect(await lastServed).toBe(1);
    handler.seen[0]?.answer("last");
    expect((await collected).body.toString()).toBe("last");
    await handler.until(() => handler.isClosed);
  });

  test("one that is destroyed tells why to whoever it serves", async () => {
    const { handler } = await serve();
    const collected = collect(harness.session().request({ ":path": "/" }));
    await handler.until(() => handler.seen.length === 1);
    harness.servers[0]?.destroy(new ProxyError("no_longer_accepted", "because"));
    expect((await collected).headers[":status"]).toBeUndefined();
    expect(handler.seen[0]?.error).toMatchObject({ code: "no_longer_accepted", reason: "because" });
  });
});

describe("the owner of a connection", () => {
  test("C18 preface and requests may be in the first bytes, or come octet by octet", async () => {
    const { handler } = await serve();
    handler.onRequest = (seen) => seen.answer("hi");
    const client = harness.raw();
    for (const octet of GREETING + get(1)) {
      client.send(octet);
      await turn();
    }
    await client.until(() => client.received.includes("hi"));
  });

  test("C18 HTTP/1 to an HTTP/2 server is told GOAWAY and closed", async () => {
    const { handler } = await serve();
    const client = harness.raw();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    expect(goAways(await client.untilEnd())).toEqual([1]);
    expect(handler.malformedErrors).toHaveLength(1);
    expect(handler.seen).toHaveLength(0);
  });

  test("C01 rapid reset ends the connection, and nothing is left of it", async () => {
    const { handler } = await serve();
    const client = harness.raw();
    client.send(GREETING);
    for (let id = 1; id < 2000; id += 2) client.send(get(id) + text(rawFrame(FrameType.resetStream, 0, id, uint32(8))));
    expect(goAways(await client.untilEnd())).toEqual([11]);
    client.socket.destroy();
    await handler.until(() => handler.isClosed);
    expect(handler.seen.length).toBeLessThanOrEqual(101);
    expect(handler.seen.every((seen) => seen.error !== null)).toBe(true);
    expect(harness.timers.count).toBe(0);
  });

  test("a head that is too large, a method nobody knows: refused, and the connection goes on", async () => {
    const { handler } = await serve();
    handler.onRequest = (seen) => seen.answer("ok");
    const session = harness.session({ maxSendHeaderBlockLength: 1 << 20 });
    const large = await collect(session.request({ ":path": "/", "x-large": "x".repeat(61 * 1024) }));
    expect(large.code).not.toBe(0);
    const connected = await collect(session.request({ ":method": "CONNECT", ":authority": "a.test:80" }));
    expect(connected.headers[":status"]).toBe(405);
    expect((await collect(session.request({ ":path": "/" }))).body.toString()).toBe("ok");
    expect(handler.malformedErrors.map((error) => error.code)).toEqual(["http2_headers_too_large", "method_not_allowed"]);
  });

  test("F02 a response that fails is reset with INTERNAL_ERROR, one cut by us with what it deserves", async () => {
    const { handler } = await serve();
    handler.onRequest = (seen) => {
      seen.stream.respond(new ResponseHead(200, "", new HeaderList(), -1), false);
      seen.stream.write(Buffer.from("half"));
      seen.stream.reset(new ProxyError("upstream_disconnect"));
    };
    expect((await collect(harness.session().request({ ":path": "/" }))).code).toBe(2);
  });

  test("a defect of the handler costs its connection, and is told", async () => {
    const { handler } = await serve();
    handler.onRequest = () => {
      throw new Error("defect");
    };
    const session = harness.session();
    expect((await collect(session.request({ ":path": "/" }))).headers[":status"]).toBeUndefined();
    await handler.until(() => handler.isClosed);
    expect(handler.malformedErrors.map((error) => error.code)).toEqual(["internal"]);
  });

  test("aborts at any point leave no stream, no timer and no byte", async () => {
    const { handler } = await serve();
    handler.onRequest = (seen) => {
      seen.stream.respond(new ResponseHead(200, "", new HeaderList(), -1), false);
      seen.stream.pause();
      for (let index = 0; index < 8; index++) seen.stream.write(Buffer.alloc(32 << 10));
    };
    let count = 0;
    for (let round = 0; round < 30; round++) {
      const client = harness.raw();
      const all = GREETING + get(1, FrameFlag.endHeaders) + text(rawFrame(FrameType.data, 0, 1, "x".repeat(5000))) + get(3) + get(5, FrameFlag.endHeaders);
      client.send(all.slice(0, Math.floor((all.length * (round + 1)) / 30)));
      count++;
      await handler.until(() => harness.servers.length === count);
      for (let wait = 0; wait < round % 5; wait++) await turn();
      client.socket.resetAndDestroy();
    }
    while (harness.sockets.some((socket) => !socket.closed)) await turn();
    await turn();
    expect(harness.servers.reduce((sum, server) => sum + server.activeStreams, 0)).toBe(0);
    expect(handler.seen.filter((seen) => seen.error === null)).toEqual([]);
    expect(harness.timers.count).toBe(0);
  });
});

describe("time", () => {
  let time: ManualTime;
  const serveTimed = async (options: Partial<Http2ServerOptions> = {}) => {
    time = new ManualTime();
    return serve({ clock: time, timers: time.timers, ...options });
  };

  test("no preface within 10 s", async () => {
    const { handler } = await serveTimed();
    const client = harness.raw();
    await handler.until(() => harness.servers.length === 1);
    time.pass(9_000);
    expect(client.hasEnded).toBe(false);
    time.pass(2_000);
    expect(goAways(await client.untilEnd())).toEqual([4]);
  });

  test("our settings are not acknowledged within 10 s", async () => {
    const { handler } = await serveTimed();
    handler.onRequest = (seen) => seen.answer("hi");
    const client = harness.raw();
    client.send(PREFACE + SETTINGS + get(1));
    await client.until(() => client.received.includes("hi"));
    time.pass(11_000);
    expect(goAways(await client.untilEnd())).toEqual([4]);
  });

  test("A58 a header block that trickles is given up after 10 s, though octets come", async () => {
    await serveTimed();
    const client = harness.raw();
    client.send(GREETING + get(1, FrameFlag.endStream));
    const block = text(rawFrame(FrameType.continuation, 0, 1, "x".repeat(100)));
    await turn();
    for (let second = 0; second < 14 && !client.hasEnded; second++) {
      client.send(block.slice(second, second + 1));
      for (let wait = 0; wait < 5; wait++) await turn();
      time.pass(1_000);
    }
    expect(goAways(await client.untilEnd())).toEqual([11]);
  });

  test("an idle connection is drained after its time, one with a stream is not", async () => {
    const { handler } = await serveTimed({ idleTimeoutMs: 60_000, keepAlive: { intervalMs: 0, timeoutMs: 0, isPatient: false } });
    const client = harness.raw();
    client.send(GREETING + get(1));
    await handler.until(() => handler.seen.length === 1);
    time.pass(300_000);
    await turn();
    expect(client.hasEnded).toBe(false);
    respond((handler.seen[0] as Seen).stream, "hi");
    await client.until(() => client.received.includes("hi"));
    time.pass(61_000);
    time.pass(6_000);
    expect(goAways(await client.untilEnd())).toEqual([0, 0]);
  });

  test("F07 a client that answers no PING while it waits for us is gone", async () => {
    const { handler } = await serveTimed();
    const client = harness.raw();
    client.send(GREETING + get(1));
    await handler.until(() => handler.seen.length === 1);
    time.pass(16_000);
    await client.until(() => frames(client.received).some(({ type }) => type === FrameType.ping));
    client.send(text(rawFrame(FrameType.ping, FrameFlag.ack, 0, "outrider")));
    for (let wait = 0; wait < 10; wait++) await turn();
    time.pass(14_000);
    expect(handler.isClosed).toBe(false);
    time.pass(10_000);
    await handler.until(() => handler.isClosed);
    expect(handler.seen[0]?.error?.code).toBe("downstream_disconnect");
    expect(time.timers.count).toBe(0);
  });

  test("a drain waits no longer than its grace for a peer that does not answer", async () => {
    const { handler } = await serveTimed();
    const client = harness.raw();
    client.send(GREETING);
    await handler.until(() => harness.servers.length === 1);
    harness.servers[0]?.drain();
    await client.until(() => goAways(client.received).length === 1);
    time.pass(6_000);
    expect(goAways(await client.untilEnd())).toEqual([0, 0]);
  });
});
