import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { Http2ErrorCode } from "../../src/codec/http2-error-code.ts";
import { FrameFlag, FrameType, PREFACE } from "../../src/codec/http2-frame.ts";
import { eventually } from "../integration/proxy-under-test.ts";
import { rawFrame } from "../unit/codec/http2-session-harness.ts";
import { HostileProxy } from "./hostile-proxy.ts";
import { arrived, connectHttp2, goodRequest, HTTP2_WAYS, openHttp2 } from "./http2-ways.ts";
import { type Fields, literalHeaders, RawHttp2, requestFields, settingsFrame } from "./raw-http2.ts";

const { protocolError, frameSizeError, streamClosed } = Http2ErrorCode;

let hostile: HostileProxy;
beforeAll(async () => {
  hostile = await HostileProxy.start();
});
beforeEach(() => hostile.backend.forget());
afterAll(() => hostile.stop());

const GET = requestFields();
const POST = requestFields("POST");
const without = (name: string): [string, string][] => GET.filter(([key]) => key !== name);
const replaced = (name: string, value: string): [string, string][] => GET.map(([key, old]) => [key, key === name ? value : old]);

/** Each is malformed (RFC 9113 section 8.1.1): its stream is reset, nothing of it goes on, and its connection serves the next. */
const MALFORMED: readonly (readonly [string, Fields])[] = [
  ["C09 an upper-case name", [...GET, ["X-A", "b"]]],
  ["C09 connection", [...GET, ["connection", "close"]]],
  ["C09 keep-alive", [...GET, ["keep-alive", "timeout=5"]]],
  ["C09 proxy-connection", [...GET, ["proxy-connection", "keep-alive"]]],
  ["C09 upgrade", [...GET, ["upgrade", "h2c"]]],
  ["C09 transfer-encoding", [...GET, ["transfer-encoding", "chunked"]]],
  ["C09 te: gzip", [...GET, ["te", "gzip"]]],
  ["C09 te: trailers, gzip", [...GET, ["te", "trailers, gzip"]]],
  ["C09 a pseudo-header behind a field", [...without(":path"), ["x-a", "b"], [":path", "/"]]],
  ["C09 :path twice", [...GET, [":path", "/admin"]]],
  ["C09 :method twice", [...GET, [":method", "POST"]]],
  ["C09 :authority twice", [...GET, [":authority", "b.test"]]],
  ["C09 :scheme twice", [...GET, [":scheme", "https"]]],
  ["C09 an unknown pseudo-header", [[":foo", "bar"], ...GET]],
  ["C09 :status in a request", [[":status", "200"], ...GET]],
  ["C09 no :method", without(":method")],
  ["C09 no :scheme", without(":scheme")],
  ["C09 no :path", without(":path")],
  ["C09 neither :authority nor Host", without(":authority")],
  ["C09 an empty :path", replaced(":path", "")],
  ["C09 a :path that is no path", replaced(":path", "admin")],
  ["C09 a :path with a space", replaced(":path", "/a HTTP/1.1")],
  ["C09 a :path with CR LF", replaced(":path", "/ HTTP/1.1\r\nHost: evil.test")],
  ["C09 a :method with a space", replaced(":method", "GET /admin")],
  ["C09 a :method with CR LF", replaced(":method", "GET / HTTP/1.1\r\nx: y")],
  ["C09 :scheme in mixed case (CVE-2023-35944)", replaced(":scheme", "HTTPs")],
  ["C09 :authority with CR LF", replaced(":authority", "app\r\nx: y")],
  ["C09 :authority with a user", replaced(":authority", "user@app")],
  ["C09 :authority and another Host", [...GET, ["host", "b.test"]]],
  ["C09 Host twice", [...GET, ["host", "app"], ["host", "app"]]],
  ["C10 CR LF in a value", [...GET, ["x-a", "x\r\nTransfer-Encoding: chunked"]]],
  ["C10 LF in a value", [...GET, ["x-a", "x\nx-b: c"]]],
  ["C10 CR in a value", [...GET, ["x-a", "x\rx-b: c"]]],
  ["C10 NUL in a value (CVE-2019-9900)", [...GET, ["x-a", "x\0y"]]],
  ["C10 CR LF in a name", [...GET, ["x-a: b\r\nx-b", "c"]]],
  ["C10 a space in a name", [...GET, ["content-length ", "5"]]],
  ["C10 a colon in a name", [...GET, ["x-a:", "b"]]],
  ["C10 NUL in a name", [...GET, ["x-\0a", "b"]]],
  ["C10 an empty name", [...GET, ["", "b"]]],
  ["C10 white space before a value (CVE-2019-18802)", [...GET, ["x-role", " admin"]]],
  ["C10 white space behind a value (CVE-2019-18802)", [...GET, ["x-role", "admin \t"]]],
  ["C10 Content-Length twice", [...GET, ["content-length", "0"], ["content-length", "0"]]],
  ["C10 Content-Length without a body", [...POST, ["content-length", "5"]]],
  ["C10 Content-Length of two values", [...POST, ["content-length", "0, 0"]]],
  ["C10 Content-Length of no digits", [...POST, ["content-length", "+0"]]],
  ["C11 :protocol in another method than CONNECT", [...GET, [":protocol", "websocket"]]],
  ["C11 CONNECT with :path", [[":method", "CONNECT"], [":path", "/"], [":authority", "app"]]],
  ["C11 CONNECT with :scheme and :path", [[":method", "CONNECT"], [":scheme", "http"], [":path", "/"], [":authority", "app"]]],
  ["C11 an extended CONNECT without :path", [[":method", "CONNECT"], [":protocol", "websocket"], [":scheme", "http"], [":authority", "app"]]],
];

describe.each(HTTP2_WAYS)("heads, %s", (way) => {
  const isHop = way === "hop";

  /** A request on the same connection is served, and it is all that has arrived. */
  async function expectOnlyNext(client: RawHttp2, streamId: number): Promise<void> {
    client.headers(streamId, requestFields("GET", "/next"));
    expect((await client.done(streamId)).status).toBe(200);
    expect(arrived(hostile, way)).toBe("GET /next HTTP/1.1\r\nHost: app\r\n\r\n");
    client.socket.destroy();
  }

  it.each(MALFORMED)("%s", async (_what, fields) => {
    const client = openHttp2(hostile, way);
    client.send(literalHeaders(1, fields));
    expect((await client.done(1)).resetCode).toBe(protocolError);
    expect(client.stream(1).blocks).toEqual([]);
    expect(hostile.proxy.accessLog.at(-1)).toMatchObject({ protocol: "HTTP/2", response_code: 0, response_flags: "DPE", response_code_details: "http2.violation.of.messaging.rule" });
    await expectOnlyNext(client, 3);
  });

  it.each(MALFORMED)("%s, with DATA behind it", async (_what, fields) => {
    const client = openHttp2(hostile, way);
    client.send(literalHeaders(1, fields, false));
    client.data(1, "GET /smuggled HTTP/1.1\r\n\r\n", true);
    expect((await client.done(1)).resetCode).toBe(protocolError);
    await expectOnlyNext(client, 3);
  });

  it.each<readonly [string, string, readonly string[]]>([
    ["C10 H2.CL: content-length 0 and DATA", "0", ["GET /smuggled HTTP/1.1\r\n\r\n"]],
    ["C10 more DATA than Content-Length", "5", ["hello", "GET /smuggled HTTP/1.1\r\n\r\n"]],
    ["C10 less DATA than Content-Length", "30", ["hello"]],
  ])("%s", async (_what, length, pieces) => {
    const client = openHttp2(hostile, way);
    client.send(literalHeaders(1, [...POST, ["content-length", length]], false));
    pieces.forEach((piece, index) => client.data(1, piece, index === pieces.length - 1));
    expect((await client.done(1)).resetCode).toBe(protocolError);
    expect(await goodRequest(hostile, way)).toBe(200);
    // What had gone on is a beginning on a connection that was closed: nothing of it can be read as a request.
    for (const { received, isGone } of hostile.backend.connections) {
      expect(received).not.toContain("smuggled");
      if (received.startsWith("POST")) expect(isGone).toBe(true);
    }
    client.socket.destroy();
  });

  it("C10 trailers: pseudo-headers, framing, and what a trailer may not say", async () => {
    const client = openHttp2(hostile, way);
    client.send(literalHeaders(1, POST, false), literalHeaders(1, [[":path", "/admin"]]));
    expect((await client.done(1)).resetCode).toBe(protocolError);
    client.send(literalHeaders(3, POST, false), literalHeaders(3, [["x-a", "b\r\nc: d"]]));
    expect((await client.done(3)).resetCode).toBe(protocolError);
    client.send(literalHeaders(5, POST, false), literalHeaders(5, [["x-sum", "1"]], false));
    expect((await client.done(5)).resetCode).toBe(protocolError);
    client.send(literalHeaders(7, POST, false), literalHeaders(7, [["transfer-encoding", "chunked"]]));
    expect((await client.done(7)).resetCode).toBe(protocolError);
    await eventually(() => hostile.proxy.activeCount() === 0, "no stream is left");
    hostile.backend.cutConnections();
    await eventually(() => hostile.backend.openCount === 0, "connections of cut requests are gone");
    hostile.backend.forget();
    client.send(literalHeaders(9, POST, false), literalHeaders(9, [["x-sum", "1"], ["authorization", "x"], ["x-outrider-error", "y"]]));
    expect((await client.done(9)).status).toBe(200);
    expect(hostile.backend.received).toMatch(/\r\n\r\n0\r\nx-sum: 1\r\n\r\n$/);
    client.socket.destroy();
  });

  it("C11 what an extended CONNECT asks for and we have not", async () => {
    const client = openHttp2(hostile, way);
    await eventually(() => client.settings.maxConcurrentStreams < 10_000, "the settings came");
    // Nobody but an application by HTTP/1 asks for an upgrade over the hop, and those keep a connection of their own.
    expect(client.settings.enableConnectProtocol).toBe(!isHop);
    client.send(literalHeaders(1, [[":method", "CONNECT"], [":protocol", "connect-udp"], [":scheme", "http"], [":path", "/"], [":authority", "app"]], false));
    const stream = await client.done(1);
    if (isHop) expect(stream.resetCode).toBe(protocolError);
    else expect(stream.status).toBe(501);
    client.send(literalHeaders(3, [[":method", "CONNECT"], [":authority", "127.0.0.1:1"]], false));
    expect([404, 405]).toContain((await client.done(3)).status);
    await expectOnlyNext(client, 5);
  });

  it("crumbs of a cookie become one field, te: trailers goes on, values of obs-text too", async () => {
    const client = openHttp2(hostile, way);
    client.send(literalHeaders(1, [...GET, ["cookie", "a=b"], ["x-a", "\x80\xff\tz"], ["cookie", "c=d"], ["te", "trailers"], ["__proto__", "x"], ["x_a", ""]]));
    expect((await client.done(1)).status).toBe(200);
    expect(arrived(hostile, way)).toContain("cookie: a=b; c=d\r\nx-a: \x80\xff\tz\r\n");
    expect(arrived(hostile, way)).toContain("__proto__: x\r\nx_a: \r\n");
    client.socket.destroy();
  });

  it.each([
    ["99999999999H", 200], ["-1S", 200], ["1x", 200], ["99999999H", 200], ["", 200], ["1", 200],
  ])("C16 grpc-timeout %s neither overflows nor is taken for a deadline that has passed (CVE-2021-28682)", async (timeout, status) => {
    hostile.backend.answer = (connection) => connection.socket.write("HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ngrpc-status: 0\r\nContent-Length: 0\r\n\r\n");
    const client = openHttp2(hostile, way);
    client.send(literalHeaders(1, [...POST, ["content-type", "application/grpc"], ["te", "trailers"], ["grpc-timeout", timeout]], false));
    client.data(1, "\0\0\0\0\0", true);
    const stream = await client.done(1);
    expect(stream.status).toBe(status);
    expect(stream.blocks.flat()).toContainEqual(["grpc-status", "0"]);
    client.socket.destroy();
  });

  it("C18 the preface octet by octet", async () => {
    const client = new RawHttp2(connectHttp2(hostile, way), "client");
    // An acknowledgement must not come between the octets of a frame.
    client.acknowledges = false;
    for (const octet of Buffer.concat([PREFACE, settingsFrame([]), literalHeaders(1, GET)])) {
      client.send(Buffer.of(octet));
      await new Promise(setImmediate);
    }
    expect((await client.done(1)).status).toBe(200);
    client.socket.destroy();
  });

  it("C19 a frame of 16385 octets", async () => {
    const client = openHttp2(hostile, way);
    client.send(literalHeaders(1, POST, false));
    client.send(rawFrame(FrameType.data, 0, 1, "x".repeat(16_385)));
    expect(await client.closed()).toBe(frameSizeError);
  });

  it.each<readonly [string, readonly number[], number]>([
    ["0", [0], protocolError],
    ["an even one", [2], protocolError],
    ["a lower one than the last", [5, 3], protocolError],
    ["one that has ended", [1, 1], streamClosed],
  ])("C19 the id of a stream: %s", async (_what, ids, code) => {
    const client = openHttp2(hostile, way);
    for (const [index, id] of ids.entries()) {
      client.send(literalHeaders(id, GET));
      if (index < ids.length - 1) await client.done(id);
    }
    expect(await client.closed()).toBe(code);
    expect(await goodRequest(hostile, way)).toBe(200);
  });

  it("C19 the last id there is: served, and then nothing more on this connection", async () => {
    const client = openHttp2(hostile, way);
    client.send(literalHeaders(0x7fffffff, GET));
    expect((await client.done(0x7fffffff)).status).toBe(200);
    client.send(literalHeaders(0x7ffffffd, GET));
    expect(await client.closed()).toBe(protocolError);
  });

  it.each<readonly [string, Buffer, number]>([
    ["DATA on stream 0", rawFrame(FrameType.data, 0, 0, "x"), protocolError],
    ["DATA on an idle stream", rawFrame(FrameType.data, 0, 9, "x"), protocolError],
    ["RST_STREAM on an idle stream", rawFrame(FrameType.resetStream, 0, 9, "\0\0\0\x08"), protocolError],
    ["WINDOW_UPDATE on an idle stream", rawFrame(FrameType.windowUpdate, 0, 9, "\0\0\0\x01"), protocolError],
    ["PUSH_PROMISE", rawFrame(FrameType.pushPromise, FrameFlag.endHeaders, 1, "\0\0\0\x02\x82"), protocolError],
    ["SETTINGS of five octets", rawFrame(FrameType.settings, 0, 0, "12345"), frameSizeError],
    ["PING of seven octets", rawFrame(FrameType.ping, 0, 0, "1234567"), frameSizeError],
    ["CONTINUATION of no block", rawFrame(FrameType.continuation, FrameFlag.endHeaders, 1, "\x82"), protocolError],
    ["padding longer than its frame", rawFrame(FrameType.headers, FrameFlag.padded | FrameFlag.endHeaders, 1, "\xff\x82"), protocolError],
    ["HEADERS within a block", Buffer.concat([rawFrame(FrameType.headers, 0, 1, "\x82"), rawFrame(FrameType.headers, FrameFlag.endHeaders, 3, "\x82")]), protocolError],
    ["a window of the connection beyond 2^31-1", rawFrame(FrameType.windowUpdate, 0, 0, "\x7f\xff\xff\xff"), Http2ErrorCode.flowControlError],
    ["INITIAL_WINDOW_SIZE beyond 2^31-1", settingsFrame([[4, 0x80000000]]), Http2ErrorCode.flowControlError],
    ["MAX_FRAME_SIZE below what is allowed", settingsFrame([[5, 16_383]]), protocolError],
  ])("C19 %s ends the connection and no other", async (_what, frames, code) => {
    const other = openHttp2(hostile, way);
    const client = openHttp2(hostile, way);
    client.send(frames);
    expect(await client.closed()).toBe(code);
    other.headers(1, GET);
    expect((await other.done(1)).status).toBe(200);
    other.socket.destroy();
  });
});
