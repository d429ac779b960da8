import { afterEach, describe, expect, test } from "vitest";
import { Http2ErrorCode } from "../../../src/codec/http2-error-code.ts";
import { FrameFlag, FrameType } from "../../../src/codec/http2-frame.ts";
import { ResponseHead } from "../../../src/message/head.ts";
import { HeaderList } from "../../../src/message/header-list.ts";
import { ManualTime } from "../../integration/manual-time.ts";
import { literalBlock } from "../codec/http2-blocks.ts";
import { rawFrame, uint32 } from "../codec/http2-session-harness.ts";
import type { RawClient, Seen } from "./http1-server-harness.ts";
import { Http2ServerHarness } from "./http2-server-harness.ts";

const HOUR_MS = 3_600_000;
const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const text = (...frames: Buffer[]): string => Buffer.concat(frames).toString("latin1");
const greeting = (...settings: Buffer[]): string => PREFACE + text(rawFrame(FrameType.settings, 0, 0, Buffer.concat(settings)), rawFrame(FrameType.settings, FrameFlag.ack, 0));
const NO_WINDOW = Buffer.concat([Buffer.of(0, 4), uint32(0)]);
const post = (streamId: number, ...extra: [string, string][]): string => text(rawFrame(FrameType.headers, FrameFlag.endHeaders, streamId,
  literalBlock([":method", "POST"], [":scheme", "http"], [":path", "/"], [":authority", "a.test"], ...extra)));
const get = (streamId: number): string => text(rawFrame(FrameType.headers, FrameFlag.endHeaders | FrameFlag.endStream, streamId,
  literalBlock([":method", "GET"], [":scheme", "http"], [":path", "/"], [":authority", "a.test"])));
const data = (streamId: number, bytes: number, end = false): string => text(rawFrame(FrameType.data, end ? FrameFlag.endStream : 0, streamId, "x".repeat(bytes)));
const window = (streamId: number, bytes: number): string => text(rawFrame(FrameType.windowUpdate, 0, streamId, uint32(bytes)));

let time: ManualTime;
let harness: Http2ServerHarness;
afterEach(() => harness.close());

async function open(...settings: Buffer[]): Promise<RawClient> {
  time = new ManualTime();
  harness = await new Http2ServerHarness({ clock: time, timers: time.timers, idleTimeoutMs: 0, keepAlive: { intervalMs: 0, timeoutMs: 0, isPatient: false } }).listen();
  const client = harness.raw();
  client.send(greeting(...settings));
  return client;
}

async function request(number: number): Promise<Seen> {
  await harness.handler.until(() => harness.handler.seen.length >= number);
  return harness.handler.seen[number - 1] as Seen;
}

async function received(seen: Seen, bytes: number): Promise<void> {
  await harness.handler.until(() => seen.bytes >= bytes);
}

/** Payloads of the frames of one type that came for a stream. */
function payloads(client: RawClient, type: number, streamId: number): Buffer[] {
  const bytes = Buffer.from(client.received, "latin1");
  const found: Buffer[] = [];
  for (let at = 0; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3)) {
    if (bytes[at + 3] === type && bytes.readUInt32BE(at + 5) === streamId) found.push(bytes.subarray(at + 9, at + 9 + bytes.readUIntBE(at, 3)));
  }
  return found;
}

/** The code of RST_STREAM if one came for a stream. */
const resetOf = (client: RawClient, streamId: number): number | null => payloads(client, FrameType.resetStream, streamId)[0]?.readUInt32BE(0) ?? null;
const dataFrames = (client: RawClient, streamId: number): number => payloads(client, FrameType.data, streamId).length;

/** The connection goes on: a stream that is asked for now is served. */
async function expectServed(client: RawClient, streamId: number, number: number): Promise<void> {
  client.send(get(streamId));
  (await request(number)).answer("served");
  await client.until(() => client.received.includes("served"));
}

describe("A59 a request body that was announced and does not come", () => {
  test("is answered 408 and cut after 10 s, and the connection serves the next", async () => {
    const client = await open();
    client.send(post(1, ["content-length", "100000"]));
    const seen = await request(1);
    time.pass(9_900);
    expect(seen.error).toBeNull();
    time.pass(2_000);
    expect(seen.error?.code).toBe("body_rate");
    await client.until(() => resetOf(client, 1) !== null);
    expect(client.received).toContain("408");
    expect(resetOf(client, 1)).toBe(Http2ErrorCode.cancel);
    await expectServed(client, 3, 2);
  });

  test("that trickles is cut too, one at the least rate is not", async () => {
    const client = await open();
    client.send(post(1, ["content-length", "100000"]) + post(3, ["content-length", "100000"]));
    const [slow, steady] = [await request(1), await request(2)];
    for (let second = 1; second <= 60; second++) {
      client.send((slow.error === null ? data(1, 100) : "") + data(3, 300));
      await received(steady, 300 * second);
      time.pass(1_000);
    }
    expect(slow.error?.code).toBe("body_rate");
    expect(slow.bytes).toBeLessThan(100 * 30);
    expect(steady.error).toBeNull();
  });

  test("of a response that has begun is cut without another answer", async () => {
    const client = await open();
    client.send(post(1, ["content-length", "10"]));
    const seen = await request(1);
    seen.stream.respond(new ResponseHead(200, "OK", new HeaderList(), -1), false);
    time.pass(12_000);
    expect(seen.error?.code).toBe("body_rate");
    await client.until(() => resetOf(client, 1) !== null);
    expect(client.received).not.toContain("408");
  });

  test("costs nothing while it is us who do not take it", async () => {
    const client = await open();
    client.send(post(1, ["content-length", "100000"]));
    const seen = await request(1);
    seen.stream.pause();
    time.pass(HOUR_MS);
    expect(seen.error).toBeNull();
    seen.stream.resume();
    time.pass(9_000);
    expect(seen.error).toBeNull();
    time.pass(3_000);
    expect(seen.error?.code).toBe("body_rate");
  });

  test("is not due before 100 Continue", async () => {
    const client = await open();
    client.send(post(1, ["content-length", "10"], ["expect", "100-continue"]));
    const seen = await request(1);
    time.pass(HOUR_MS);
    expect(seen.error).toBeNull();
    seen.stream.informational(new ResponseHead(100, "Continue", new HeaderList(), 0));
    time.pass(13_000);
    expect(seen.error?.code).toBe("body_rate");
  });

  test("checks that come late, as on a machine that stood still, are not held against the peer", async () => {
    const client = await open();
    client.send(post(1, ["content-length", "100000"]));
    const seen = await request(1);
    time.pass(2_000);
    for (let count = 0; count < 3; count++) time.jump(60_000);
    expect(seen.error).toBeNull();
    client.socket.destroy();
  });
});

describe("streams that owe nothing", () => {
  test("a request body of unknown length may be silent for ever, a message now and then", async () => {
    const client = await open();
    client.send(post(1, ["content-type", "application/grpc"]));
    const seen = await request(1);
    for (let message = 1; message <= 3; message++) {
      client.send(data(1, 5));
      await received(seen, 5 * message);
      time.pass(HOUR_MS);
    }
    seen.stream.respond(new ResponseHead(200, "OK", new HeaderList(), -1), false);
    time.pass(HOUR_MS);
    expect(seen.error).toBeNull();
    expect(resetOf(client, 1)).toBeNull();
  });

  test("a little that waits for a stream that goes on is no debt: nor is a silent answer", async () => {
    const client = await open(NO_WINDOW);
    client.send(get(1));
    const seen = await request(1);
    seen.stream.respond(new ResponseHead(200, "OK", new HeaderList(), -1), false);
    seen.stream.write(Buffer.alloc(60_000));
    time.pass(HOUR_MS);
    expect(seen.error).toBeNull();
    expect(harness.servers[0]?.activeStreams).toBe(1);
  });
});

describe("A59 a response nobody reads", () => {
  const begin = async (client: RawClient, bytes: number): Promise<Seen> => {
    client.send(get(1));
    const seen = await request(1);
    seen.stream.respond(new ResponseHead(200, "OK", new HeaderList(), -1), false);
    expect(seen.stream.write(Buffer.alloc(bytes))).toBe(bytes <= 64 * 1024);
    return seen;
  };

  test("is cut after five minutes in which nothing of it was taken, and the connection serves the next", async () => {
    const client = await open(NO_WINDOW);
    const seen = await begin(client, 100_000);
    time.pass(299_000);
    expect(seen.error).toBeNull();
    time.pass(4_000);
    expect(seen.error?.code).toBe("response_stalled");
    await client.until(() => resetOf(client, 1) !== null);
    client.send(get(3) + window(3, 100));
    (await request(2)).answer("served");
    await client.until(() => client.received.includes("served"));
  });

  test("goes on for a reader that takes an octet every four minutes", async () => {
    const client = await open(NO_WINDOW);
    const seen = await begin(client, 100_000);
    for (let count = 0; count < 10; count++) {
      time.pass(240_000);
      client.send(window(1, 1));
      await client.until(() => dataFrames(client, 1) === count + 1);
    }
    expect(seen.error).toBeNull();
  });

  test("is cut however little of it waits, once it is complete", async () => {
    const client = await open(NO_WINDOW);
    const seen = await begin(client, 10);
    seen.stream.end(null);
    expect(harness.servers[0]?.activeStreams).toBe(1);
    time.pass(304_000);
    expect(harness.servers[0]?.activeStreams).toBe(0);
    expect(time.timers.count).toBe(0);
    expect(seen.error).toBeNull();
  });
});
