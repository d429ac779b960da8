import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Http1ServerLimits } from "../../../src/http/http1-server-limits.ts";
import { ResponseHead } from "../../../src/message/head.ts";
import { HeaderList } from "../../../src/message/header-list.ts";
import { ManualTime } from "../../integration/manual-time.ts";
import { type RawClient, type Seen, ServerHarness } from "./http1-server-harness.ts";

const GET = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
const PIECE = Buffer.alloc(64 * 1024, "x");

let time: ManualTime;
let harness: ServerHarness;
beforeEach(() => {
  time = new ManualTime();
});
afterEach(() => harness.close());

function serve(limits: Partial<Http1ServerLimits> = {}): Promise<RawClient> {
  harness = new ServerHarness(limits, time, time.timers);
  return harness.listen();
}

async function request(number: number): Promise<Seen> {
  await harness.handler.until(() => harness.handler.seen.length >= number);
  return harness.handler.seen[number - 1] as Seen;
}

/** Resolves when the server has seen the FIN of its only client. */
async function finArrived(): Promise<void> {
  while (harness.sockets[0]?.readableEnded !== true) await new Promise<void>((resolve) => setImmediate(resolve));
}

/*
 * Symptom: a client that closed its connection while the application thought kept the application busy until the
 * answer came, if it ever did. Cause: a FIN does not say whether its sender still reads, and for a client that is only
 * done sending it must not end the request. Fix: it gets five seconds for the response to begin.
 */
describe("a plaintext peer that has sent its FIN", () => {
  test("gets an answer that begins in time, however long it lasts then", async () => {
    const client = await serve();
    client.socket.end(GET);
    const seen = await request(1);
    await finArrived();
    time.pass(4_900);
    seen.stream.respond(new ResponseHead(200, "OK", new HeaderList(), 5), false);
    time.pass(60_000);
    seen.stream.write(Buffer.from("whole"));
    seen.stream.end(null);
    expect(await client.untilEnd()).toMatch(/\r\n\r\nwhole$/);
    expect(seen.error).toBeNull();
  });

  test("is given up when nothing has begun after 5 s", async () => {
    const client = await serve();
    client.socket.end(GET);
    const seen = await request(1);
    await finArrived();
    time.pass(4_900);
    expect(seen.error).toBeNull();
    time.pass(200);
    expect(seen.error?.code).toBe("downstream_disconnect");
    await client.until(() => client.isClosed);
    expect([client.received, client.error?.code]).toEqual(["", "ECONNRESET"]);
    await harness.handler.until(() => harness.handler.isClosed);
    expect(time.timers.count).toBe(0);
  });

  test("has the same time for each of the requests it had sent before", async () => {
    const client = await serve();
    client.socket.end(GET + GET + GET);
    for (let number = 1; number <= 2; number++) {
      const seen = await request(number);
      await finArrived();
      time.pass(4_000);
      seen.answer("ok");
    }
    const last = await request(3);
    await client.until(() => client.received.split("HTTP/1.1 200").length - 1 === 2);
    time.pass(5_100);
    expect(last.error?.code).toBe("downstream_disconnect");
    await client.until(() => client.isClosed);
  });

  test("is waited for when there is no limit, and one that has sent none has no limit", async () => {
    const client = await serve({ halfClosedMs: 0 });
    client.socket.end(GET);
    const seen = await request(1);
    await finArrived();
    const open = harness.connect();
    open.send(GET);
    const other = await request(2);
    time.pass(3_000_000);
    expect([seen.error, other.error]).toEqual([null, null]);
    seen.answer("late");
    expect(await client.untilEnd()).toMatch(/late$/);
  });
});

describe("a peer that stops reading its response (A59)", () => {
  /** Fills what lies between us and a client that does not read, as a response that never ends. */
  async function blocked(head = new ResponseHead(200, "OK", new HeaderList(), 1 << 30), text = GET): Promise<{ client: RawClient; seen: Seen }> {
    const client = await serve();
    client.socket.pause();
    client.send(text);
    const seen = await request(1);
    seen.stream.respond(head, false);
    const socket = harness.sockets[0];
    for (let stillTurns = 0; stillTurns < 50; ) {
      const isWritable = seen.stream.write(PIECE);
      while (!isWritable && (socket?.writableLength ?? 0) > 0 && stillTurns < 50) {
        await new Promise<void>((resolve) => setImmediate(resolve));
        stillTurns++;
      }
      if (socket?.writableLength === 0) stillTurns = 0;
    }
    return { client, seen };
  }

  test("is cut after five minutes in which it took nothing, and the stream hears why", async () => {
    const { client, seen } = await blocked();
    time.pass(299_000);
    expect(seen.error).toBeNull();
    time.pass(61_000);
    expect(seen.error).toMatchObject({ code: "response_stalled", attributes: { flag: "SI" } });
    client.socket.resume();
    await client.until(() => client.isClosed);
    // Never an end that could be taken for the end of the response.
    expect([client.hasEnded, client.error?.code]).toEqual([false, "ECONNRESET"]);
    await harness.handler.until(() => harness.handler.isClosed);
    expect(time.timers.count).toBe(0);
  });

  test("but takes a little every few minutes is served to the end", async () => {
    const { client, seen } = await blocked();
    const socket = harness.sockets[0];
    for (let round = 0; round < 5; round++) {
      time.pass(200_000);
      const drains = seen.drains;
      client.socket.resume();
      while (seen.drains === drains) await new Promise<void>((resolve) => setImmediate(resolve));
      client.socket.pause();
      while (seen.stream.write(PIECE)) await new Promise<void>((resolve) => setImmediate(resolve));
    }
    expect([seen.error, socket?.destroyed]).toEqual([null, false]);
  });

  test("is left alone in a tunnel, which may be silent for as long as it likes", async () => {
    const upgrade = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    const { seen } = await blocked(new ResponseHead(101, "Switching Protocols", new HeaderList(), -1), upgrade);
    time.pass(3_600_000);
    expect(seen.error).toBeNull();
  });

  test("is cut too when what waits is answers to several requests", async () => {
    const client = await serve();
    client.socket.pause();
    harness.handler.onRequest = (seen) => seen.answer("x".repeat(10_000));
    client.send(GET.repeat(5_000));
    let last = -1;
    for (let stillTurns = 0; stillTurns < 50; stillTurns++) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      if (harness.handler.seen.length !== last) stillTurns = 0;
      last = harness.handler.seen.length;
    }
    expect(last).toBeLessThan(5_000);
    time.pass(361_000);
    await harness.handler.until(() => harness.handler.isClosed);
    expect(harness.handler.seen.every(({ error }) => error === null)).toBe(true);
  });
});
