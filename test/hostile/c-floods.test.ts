import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { Http2ErrorCode } from "../../src/codec/http2-error-code.ts";
import { FrameFlag, FrameType, PREFACE } from "../../src/codec/http2-frame.ts";
import { eventually } from "../integration/proxy-under-test.ts";
import { rawFrame, uint32 } from "../unit/codec/http2-session-harness.ts";
import { HostileProxy } from "./hostile-proxy.ts";
import { arrived, connectHttp2, goodRequest, HTTP2_WAYS, openHttp2 } from "./http2-ways.ts";
import { type Fields, headersFrame, literalHeaders, RawHttp2, requestFields, settingsFrame } from "./raw-http2.ts";

const { enhanceYourCalm, compressionError, protocolError } = Http2ErrorCode;

let hostile: HostileProxy;
beforeAll(async () => {
  hostile = await HostileProxy.start();
});
beforeEach(() => hostile.backend.forget());
afterAll(() => hostile.stop());

const times = (count: number, frame: (index: number) => Buffer): Buffer => Buffer.concat(Array.from({ length: count }, (_, index) => frame(index)));

describe.each(HTTP2_WAYS)("floods, %s", (way) => {
  const isHop = way === "hop";
  /** What a peer that is no hop may not do a thousand times, a hop may not do forty thousand times. */
  const many = isHop ? 25_000 : 1_000;

  /** The connection ends with `code` for what `flood` sends, and the proxy goes on serving others. */
  async function expectEnded(client: RawHttp2, code: number | null): Promise<void> {
    expect(await client.closed()).toBe(code);
    await eventually(() => hostile.proxy.activeCount() === 0, "no stream is left");
    expect(await goodRequest(hostile, way)).toBe(200);
  }

  it("C01 rapid reset (CVE-2023-44487): the connection ends, no more than was allowed was begun", async () => {
    hostile.backend.answer = () => undefined;
    const client = openHttp2(hostile, way);
    for (let from = 0; from < many; from += 250) {
      client.send(times(250, (index) => {
        const id = 2 * (from + index) + 1;
        return Buffer.concat([literalHeaders(id, requestFields()), rawFrame(FrameType.resetStream, 0, id, uint32(8))]);
      }));
      await new Promise(setImmediate);
    }
    expect(await client.closed()).toBe(enhanceYourCalm);
    await eventually(() => hostile.proxy.activeCount() === 0, "no stream is left");
    expect(hostile.backend.connections.filter((connection) => connection.receivedBytes > 0).length).toBeLessThanOrEqual(isHop ? 20_001 : 101);
    hostile.backend.cutConnections();
    hostile.backend.forget();
    expect(await goodRequest(hostile, way)).toBe(200);
  });

  it.each<readonly [string, (id: number) => Buffer]>([
    ["WINDOW_UPDATE of 0", (id) => Buffer.concat([literalHeaders(id, requestFields("POST"), false), rawFrame(FrameType.windowUpdate, 0, id, uint32(0))])],
    ["DATA behind the end", (id) => Buffer.concat([literalHeaders(id, requestFields("POST")), rawFrame(FrameType.data, 0, id, "x")])],
    ["PRIORITY of the wrong length", (id) => Buffer.concat([literalHeaders(id, requestFields("POST"), false), rawFrame(FrameType.priority, 0, id, "xxxx")])],
    ["a window beyond 2^31-1", (id) => Buffer.concat([literalHeaders(id, requestFields("POST"), false), rawFrame(FrameType.windowUpdate, 0, id, uint32(0x7fffffff))])],
    ["a malformed head", (id) => literalHeaders(id, [...requestFields(), ["connection", "close"]])],
  ])("C02 MadeYouReset (CVE-2025-8671) by %s: our own resets count", async (_what, provoke) => {
    hostile.backend.answer = () => undefined;
    const client = openHttp2(hostile, way);
    client.send(times(many, (index) => provoke(2 * index + 1)));
    expect(await client.closed()).toBe(enhanceYourCalm);
    await eventually(() => hostile.proxy.activeCount() === 0, "no stream is left");
    hostile.backend.cutConnections();
    hostile.backend.forget();
    expect(await goodRequest(hostile, way)).toBe(200);
  });

  it.each([true, false])("C03 CONTINUATION without end, empty: %s (CVE-2024-27983, CVE-2024-27919, CVE-2024-30255)", async (isEmpty) => {
    const client = openHttp2(hostile, way);
    const fragment = isEmpty ? Buffer.alloc(0) : Buffer.alloc(16_000, 0);
    client.send(rawFrame(FrameType.headers, 0, 1, Buffer.from([0x82])), times(50, () => rawFrame(FrameType.continuation, 0, 1, fragment)));
    await expectEnded(client, enhanceYourCalm);
  });

  it("C03 a block of nine frames that ends (CVE-2024-27983, CVE-2024-27919)", async () => {
    const client = openHttp2(hostile, way);
    const block = Buffer.alloc(12_000, 0);
    client.send(rawFrame(FrameType.headers, 0, 1, block), times(8, () => rawFrame(FrameType.continuation, 0, 1, block)), rawFrame(FrameType.continuation, FrameFlag.endHeaders, 1, block));
    await expectEnded(client, enhanceYourCalm);
  });

  it.each<readonly [string, () => Buffer]>([
    ["PING (CVE-2019-9512)", () => rawFrame(FrameType.ping, 0, 0, "12345678")],
    ["SETTINGS (CVE-2019-9515)", () => settingsFrame([])],
    ["SETTINGS that change windows", () => settingsFrame([[4, 1000]])],
    ["PRIORITY (CVE-2019-9513)", () => rawFrame(FrameType.priority, 0, 1, Buffer.concat([uint32(0), Buffer.of(1)]))],
    ["frames of an unknown type", () => rawFrame(0x77, 0, 0, "x")],
    ["WINDOW_UPDATE", () => rawFrame(FrameType.windowUpdate, 0, 0, uint32(1))],
    ["PING answers nobody waits for", () => rawFrame(FrameType.ping, FrameFlag.ack, 0, "12345678")],
    ["SETTINGS answers nobody waits for", () => rawFrame(FrameType.settings, FrameFlag.ack, 0)],
  ])("C04 a flood of %s", async (_what, frame) => {
    const client = openHttp2(hostile, way);
    client.send(times(isHop ? 12_000 : 2_000, frame));
    await expectEnded(client, enhanceYourCalm);
    expect(hostile.proxy.accessLog.at(-2)).toMatchObject({ protocol: "HTTP/2", response_code: 0, response_flags: "DPE", response_code_details: "http2.flood" });
  });

  it("C04 a flood of empty DATA (CVE-2019-9518)", async () => {
    const client = openHttp2(hostile, way);
    client.send(literalHeaders(1, requestFields("POST"), false), times(isHop ? 3_000 : 200, () => rawFrame(FrameType.data, 0, 1)));
    await expectEnded(client, enhanceYourCalm);
  });

  it("C04 SETTINGS with ten thousand entries (CVE-2020-11080)", async () => {
    const client = openHttp2(hostile, way);
    client.send(settingsFrame(Array.from({ length: 2_500 }, () => [4, 65_535] as const)));
    await expectEnded(client, enhanceYourCalm);
  });

  it("C04 a flood of PING behind a peer that reads nothing holds no more than was allowed (CVE-2019-9512)", async () => {
    const socket = connectHttp2(hostile, way);
    const client = new RawHttp2(socket, "client");
    client.send(PREFACE, settingsFrame([]));
    await eventually(() => client.settingsAcks > 0, "the connection is up");
    socket.pause();
    client.send(times(isHop ? 12_000 : 2_000, () => rawFrame(FrameType.ping, 0, 0, "12345678")));
    await new Promise((resolve) => {
      setTimeout(resolve, 50);
    });
    socket.resume();
    await expectEnded(client, enhanceYourCalm);
    expect(client.pingAcks).toBeLessThanOrEqual(isHop ? 5_000 : 500);
  });

  it("C05 more streams than allowed at once are refused, those before them go on", async () => {
    const allowed = isHop ? 1_000 : 100;
    const client = openHttp2(hostile, way);
    client.send(times(allowed + 50, (index) => literalHeaders(2 * index + 1, requestFields("POST", `/${index}`), false)));
    for (let index = allowed; index < allowed + 50; index++) {
      expect((await client.done(2 * index + 1)).resetCode).toBe(Http2ErrorCode.refusedStream);
    }
    expect(hostile.proxy.activeCount()).toBe(allowed);
    expect(client.goAway).toBeNull();
    client.data(1, "", true);
    expect((await client.done(1)).status).toBe(200);
    client.socket.destroy();
    await eventually(() => hostile.proxy.activeCount() === 0, "no stream is left");
    hostile.backend.cutConnections();
  });

  it("C05 a hundred thousand streams without an end (CVE-2023-44487)", async () => {
    const client = openHttp2(hostile, way);
    for (let from = 0; from < 100_000 && !client.isClosed; from += 1_000) {
      client.send(times(1_000, (index) => literalHeaders(2 * (from + index) + 1, requestFields("POST"), false)));
      await new Promise(setImmediate);
    }
    expect(await client.closed()).toBe(enhanceYourCalm);
    await eventually(() => hostile.proxy.activeCount() === 0, "no stream is left");
    hostile.backend.cutConnections();
  });

  it.each<readonly [string, Buffer, number]>([
    ["an index beyond the tables", Buffer.from([0xff, 0x80, 0x01]), compressionError],
    ["index 0", Buffer.from([0x80]), compressionError],
    ["an integer of ten octets", Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]), compressionError],
    ["a table larger than was allowed", Buffer.from([0x3f, 0xe2, 0x1f]), compressionError],
    ["a table size behind a field", Buffer.from([0x82, 0x20]), compressionError],
    ["a string longer than its block", Buffer.from([0x00, 0x7f, 0xff, 0x03, 0x61]), compressionError],
    ["a Huffman code of eight bits of padding", Buffer.from([0x00, 0x82, 0x1f, 0xff, 0x01, 0x61]), compressionError],
  ])("C06 HPACK: %s", async (_what, block, code) => {
    const client = openHttp2(hostile, way);
    client.send(headersFrame(1, block));
    await expectEnded(client, code);
    expect(hostile.proxy.accessLog.at(-2)).toMatchObject({ protocol: "HTTP/2", response_code: 0, response_flags: "DPE", response_code_details: "http2.codec_error" });
  });

  /** Refused by the stream's reset, as there is no telling what its fields were; the next stream is served. */
  async function expectTooLarge(client: RawHttp2, streamId: number): Promise<void> {
    expect((await client.done(streamId)).resetCode).toBe(enhanceYourCalm);
    expect(hostile.proxy.accessLog.at(-1)).toMatchObject({ protocol: "HTTP/2", response_code: 0, response_flags: "DPE", response_code_details: "request_headers_too_large" });
    client.headers(streamId + 2, requestFields("GET", "/next"));
    expect((await client.done(streamId + 2)).status).toBe(200);
    expect(arrived(hostile, way)).toBe("GET /next HTTP/1.1\r\nHost: app\r\n\r\n");
    client.socket.destroy();
  }

  it("C06 an index bomb: one large entry named over and over (CVE-2026-47774)", async () => {
    const client = openHttp2(hostile, way);
    const large: Fields = [["x-large", "x".repeat(1_900)]];
    client.headers(1, [...requestFields(), ...large]);
    expect((await client.done(1)).status).toBe(200);
    hostile.backend.forget();
    // One octet each: fifty of them decode to 97 KB.
    client.send(headersFrame(3, Buffer.concat([client.encode(requestFields()), Buffer.alloc(50, 0xbe)])));
    await expectTooLarge(client, 3);
  });

  it("C06 a thousand cookie crumbs, indexed (CVE-2026-47774)", async () => {
    const client = openHttp2(hostile, way);
    client.headers(1, [...requestFields(), ["cookie", "a=b"]]);
    await client.done(1);
    hostile.backend.forget();
    client.headers(3, [...requestFields(), ...Array.from({ length: 1_000 }, () => ["cookie", "a=b"] as const)]);
    await expectTooLarge(client, 3);
  });

  it.each<readonly [string, Fields]>([
    ["one field too many", Array.from({ length: isHop ? 121 : 101 }, (_, index) => [`x-${index}`, "v"] as const)],
    ["more than 60 KiB, of a hop 80", Array.from({ length: 3 }, (_, index) => [`x-${index}`, "v".repeat(isHop ? 27_250 : 20_500)] as const)],
  ])("C06 %s", async (_what, fields) => {
    const client = openHttp2(hostile, way);
    client.headers(1, [...requestFields(), ...fields]);
    await expectTooLarge(client, 1);
  });

  it("a malformed preface and a first frame that is not SETTINGS", async () => {
    if (way === "mTLS" || isHop) {
      const wrong = new RawHttp2(connectHttp2(hostile, way), "client");
      wrong.send(Buffer.from("PRI * HTTP/2.0\r\n\r\nSN\r\n\r\n"));
      await expectEnded(wrong, protocolError);
    }
    const early = new RawHttp2(connectHttp2(hostile, way), "client");
    early.send(PREFACE, literalHeaders(1, requestFields()));
    await expectEnded(early, protocolError);
  });
});
