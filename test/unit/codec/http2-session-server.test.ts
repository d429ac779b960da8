import { describe, expect, test } from "vitest";
import { Http2ErrorCode } from "../../../src/codec/http2-error-code.ts";
import { FrameFlag, FrameType } from "../../../src/codec/http2-frame.ts";
import { HOP_HTTP2_SESSION_OPTIONS } from "../../../src/codec/http2-session-options.ts";
import { SettingId } from "../../../src/codec/http2-settings.ts";
import { ResponseHead } from "../../../src/message/head.ts";
import { HeaderList } from "../../../src/message/header-list.ts";
import { literalBlock } from "./http2-blocks.ts";
import { rawFrame, request, ServerSide, uint32 } from "./http2-session-harness.ts";

const { headers: HEADERS, data: DATA, windowUpdate: WINDOW_UPDATE, priority: PRIORITY, continuation: CONTINUATION, ping: PING, settings: SETTINGS } = FrameType;
const { protocolError, flowControlError, streamClosed, frameSizeError, refusedStream, compressionError, enhanceYourCalm } = Http2ErrorCode;
const END = FrameFlag.endStream;
const END_HEADERS = FrameFlag.endHeaders;

const GET: [string, string][] = [[":method", "GET"], [":scheme", "http"], [":path", "/"], [":authority", "a.test"]];
const POST: [string, string][] = [[":method", "POST"], [":scheme", "http"], [":path", "/"], [":authority", "a.test"]];
const ok = (length = -1) => new ResponseHead(200, "", new HeaderList(), length);
const server = (options = {}) => new ServerSide(options).greet();

/** A request by raw fields. */
const headers = (streamId: number, fields: [string, string][], flags: number = END | END_HEADERS) => rawFrame(HEADERS, flags, streamId, literalBlock(...fields));
const codes = (side: ServerSide) => side.faults.map((fault) => fault.code);
const resets = (frames: string[]) => frames.filter((frame) => frame.startsWith("reset "));

describe("a connection begins", () => {
  test("with our settings and a larger window, whatever the peer says", () => {
    const side = new ServerSide();
    const [settings, window] = side.written();
    expect(settings).toContain('"maxConcurrentStreams":100');
    expect(settings).toContain('"maxHeaderListSize":61440');
    expect(settings).toContain('"enableConnectProtocol":true');
    expect(window).toBe(`window 0 ${1024 * 1024 - 65_535}`);
  });

  test("with the peer's settings, which are acknowledged", () => {
    const side = new ServerSide();
    side.written();
    side.peer.source.frames.preface();
    side.peer.source.frames.settings([[SettingId.initialWindowSize, 10]]);
    side.send();
    expect(side.written()).toEqual(["settings ack"]);
    expect(side.session.awaitsSettings).toBe(false);
    expect(side.session.awaitsSettingsAck).toBe(true);
  });

  test("or not at all, when the preface is not one", () => {
    const side = new ServerSide();
    side.send(Buffer.from("GET / HTTP/1.1\r\n\r\n"));
    expect(codes(side)).toEqual([protocolError]);
  });
});

describe("a request", () => {
  test("is told with its body and trailers, and answered", () => {
    const side = server();
    const { heads, frames } = side.peer.source;
    heads.request(1, request("POST", "/x", 5, ["x-a", "b"]), false);
    frames.data(1, Buffer.from("hello"), false);
    heads.trailers(1, HeaderList.of(["x-t", "1"]));
    side.send();
    expect(side.heads[0]?.path).toBe("/x");
    expect(side.heads[0]?.headers.toPairs()).toEqual([["x-a", "b"]]);
    expect(side.logs[0]?.data).toBe("hello");
    expect(side.logs[0]?.events).toEqual(['end [["x-t","1"]]']);
    const stream = side.logs[0]?.stream;
    stream?.respond(ok(), -1, false);
    stream?.write(Buffer.from("world"));
    stream?.end(HeaderList.of(["x-u", "2"]));
    expect(side.written().map((frame) => frame.replace(/ [0-9a-f]{2,}/, ""))).toEqual(["headers 1", "data 1 5/5", "headers 1 end"]);
    expect(side.session.streamCount).toBe(0);
  });

  test("the last data of an answer ends it, without a frame more", () => {
    const side = server();
    side.onRequest = (_head, _end, stream) => {
      stream.respond(ok(2), 2, false);
      stream.write(Buffer.from("hi"));
      stream.end(null);
    };
    side.send(headers(1, GET), headers(3, GET));
    expect(side.written().filter((frame) => frame.startsWith("data"))).toEqual(["data 1 2/2 end", "data 3 2/2 end"]);
  });

  test("an end that comes after the flush is a frame of its own", () => {
    const side = server();
    side.send(headers(1, GET));
    const stream = side.logs[0]?.stream;
    stream?.respond(ok(), -1, false);
    stream?.write(Buffer.from("hi"));
    expect(side.written().slice(1)).toEqual(["data 1 2/2"]);
    stream?.end(null);
    expect(side.written()).toEqual(["data 1 0/0 end"]);
  });

  test("answered before it is complete is reset without an error, and what still comes of it ignored", () => {
    const side = server();
    side.send(headers(1, POST, END_HEADERS));
    side.logs[0]?.stream?.respond(ok(0), 0, true);
    expect(side.written().slice(1)).toEqual(["reset 1 0"]);
    side.send(rawFrame(DATA, 0, 1, "late"), headers(1, [["x-t", "1"]]));
    expect(side.written()).toEqual([]);
    expect(side.logs[0]?.data).toBe("");
    expect(side.session.streamCount).toBe(0);
    expect(codes(side)).toEqual([]);
  });

  test("of a tunnel has two halves that end by themselves", () => {
    const side = server();
    side.send(headers(1, [[":method", "CONNECT"], [":protocol", "websocket"], [":scheme", "http"], [":path", "/"], [":authority", "a.test"]], END_HEADERS));
    const stream = side.logs[0]?.stream;
    expect(side.heads[0]?.upgrade).toBe("websocket");
    stream?.respond(new ResponseHead(101, "", new HeaderList(), -1), -1, false);
    stream?.end(null);
    expect(resets(side.written())).toEqual([]);
    side.send(rawFrame(DATA, END, 1, "bye"));
    expect(side.logs[0]?.data).toBe("bye");
    expect(side.logs[0]?.events).toEqual(["end"]);
    expect(side.session.streamCount).toBe(0);
  });

  test("reset by its peer", () => {
    const side = server();
    side.send(headers(1, POST, END_HEADERS), rawFrame(FrameType.resetStream, 0, 1, uint32(Http2ErrorCode.cancel)));
    expect(side.logs[0]?.events).toEqual(["cut reset 8"]);
    side.logs[0]?.stream?.respond(ok(), -1, true);
    expect(side.written()).toEqual([]);
  });

  test("over the hop comes as it was sent", () => {
    const side = new ServerSide(HOP_HTTP2_SESSION_OPTIONS).greet();
    side.send(headers(1, [...GET, ["x-outrider-spelling", "X-A"], ["x-a", "b"]]));
    expect(side.heads[0]?.version).toBe("HTTP/1.1");
    expect(side.heads[0]?.headers.toPairs()).toEqual([["X-A", "b"]]);
  });
});

describe("floods", () => {
  const untilOver = (side: ServerSide, most: number, step: (index: number) => void): number => {
    let index = 0;
    while (!side.session.isOver && index < most) step(index++);
    return index;
  };

  test("C01 CVE-2023-44487 rapid reset: HEADERS and RST_STREAM in a loop", () => {
    const side = server();
    const rounds = untilOver(side, 10_000, (index) => side.send(headers(1 + 2 * index, GET), rawFrame(FrameType.resetStream, 0, 1 + 2 * index, uint32(8))));
    expect(rounds).toBeLessThanOrEqual(101);
    expect(codes(side)).toEqual([enhanceYourCalm]);
    expect(side.written().at(-1)).toMatch(/^goaway \d+ 11 /);
    expect(side.session.streamCount).toBe(0);
  });

  const reasonsForReset: [string, (streamId: number) => Buffer][] = [
    ["WINDOW_UPDATE of 0", (streamId) => rawFrame(WINDOW_UPDATE, 0, streamId, uint32(0))],
    ["WINDOW_UPDATE beyond 2^31-1", (streamId) => rawFrame(WINDOW_UPDATE, 0, streamId, uint32(0x7fffffff))],
    ["DATA after half-close", (streamId) => rawFrame(DATA, 0, streamId, "x")],
    ["PRIORITY of a wrong length", (streamId) => rawFrame(PRIORITY, 0, streamId, "x")],
    ["a second END_STREAM", (streamId) => headers(streamId, [["x-t", "1"]])],
  ];
  test.each(reasonsForReset)("C02 CVE-2025-8671 MadeYouReset by %s", (_name, fault) => {
    const side = server();
    const rounds = untilOver(side, 10_000, (index) => side.send(headers(1 + 2 * index, GET), fault(1 + 2 * index)));
    expect(rounds).toBeLessThanOrEqual(101);
    expect(codes(side)).toEqual([enhanceYourCalm]);
    expect(side.session.streamCount).toBe(0);
  });

  test("C03 CVE-2024-27983 CONTINUATION without end, empty ones too", () => {
    for (const fragment of ["", "x".repeat(8192)]) {
      const side = server();
      side.send(headers(1, GET, END));
      expect(untilOver(side, 100, () => side.send(rawFrame(CONTINUATION, 0, 1, fragment)))).toBeLessThanOrEqual(9);
      expect(codes(side)).toEqual([enhanceYourCalm]);
    }
  });

  const controls: [string, Buffer][] = [
    ["PING", rawFrame(PING, 0, 0, "12345678")],
    ["PING ACK nobody waits for", rawFrame(PING, FrameFlag.ack, 0, "12345678")],
    ["SETTINGS", rawFrame(SETTINGS, 0, 0)],
    ["SETTINGS ACK nobody waits for", rawFrame(SETTINGS, FrameFlag.ack, 0)],
    ["PRIORITY", rawFrame(PRIORITY, 0, 1, "\0\0\0\0\0")],
    ["unknown frames", rawFrame(0xfa, 0, 0, "x")],
    ["WINDOW_UPDATE", rawFrame(WINDOW_UPDATE, 0, 0, uint32(1))],
    ["GOAWAY", rawFrame(FrameType.goAway, 0, 0, "\0\0\0\0\0\0\0\0")],
  ];
  test.each(controls)("C04 %s flood", (_name, frame) => {
    const side = server();
    expect(untilOver(side, 10_000, () => side.send(frame))).toBeLessThanOrEqual(520);
    expect(codes(side)).toEqual([enhanceYourCalm]);
  });

  test("C04 empty DATA flood", () => {
    const side = server();
    side.send(headers(1, POST, END_HEADERS));
    expect(untilOver(side, 1_000, () => side.send(rawFrame(DATA, 0, 1)))).toBeLessThanOrEqual(60);
    expect(codes(side)).toEqual([enhanceYourCalm]);
  });

  test("C05 streams beyond 100 are refused, and a peer that goes on loses its connection", () => {
    const side = server();
    for (let index = 0; index < 120; index++) side.send(headers(1 + 2 * index, POST, END_HEADERS));
    expect(side.heads).toHaveLength(100);
    expect(resets(side.written())).toEqual(Array.from({ length: 20 }, (_, index) => `reset ${201 + 2 * index} ${refusedStream}`));
    expect(untilOver(side, 100_000, (index) => side.send(headers(241 + 2 * index, POST, END_HEADERS)))).toBeLessThanOrEqual(81);
    expect(side.session.streamCount).toBe(0);
  });

  test("a thousand requests a second that are answered are no flood", () => {
    const side = server();
    side.onRequest = (_head, _end, stream) => stream.respond(ok(0), 0, true);
    for (let index = 0; index < 20_000; index++) {
      side.clock.nowMs += 1;
      side.send(headers(1 + 2 * index, GET));
      if (index % 100 === 0) side.written();
    }
    expect(side.heads).toHaveLength(20_000);
    expect(codes(side)).toEqual([]);
  });

  test("requests with bodies that are answered at their head are no flood either", () => {
    const side = server();
    side.onRequest = (_head, _end, stream) => stream.respond(new ResponseHead(403, "", new HeaderList(), 0), 0, true);
    for (let index = 0; index < 5_000; index++) {
      side.clock.nowMs += 1;
      side.send(headers(1 + 2 * index, POST, END_HEADERS), rawFrame(DATA, END, 1 + 2 * index, "body"));
      side.written();
    }
    expect(side.heads).toHaveLength(5_000);
    expect(codes(side)).toEqual([]);
  });

  test("C15 CVE-2019-9514 GOAWAY, ORIGIN and ALTSVC are passed over", () => {
    const side = server();
    for (let index = 0; index < 100; index++) side.send(rawFrame(0x0c, 0, 0, "origin"), rawFrame(0x0a, 0, 0, "altsvc"));
    side.send(headers(1, GET));
    expect(side.heads).toHaveLength(1);
  });
});

describe("header blocks", () => {
  test("C06 an index of no entry, an endless integer, a table size beyond ours end the connection", () => {
    for (const block of [Buffer.of(0xfe), Buffer.of(0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), Buffer.of(0x3f, 0xff, 0xff, 0x03)]) {
      const side = server();
      side.send(rawFrame(HEADERS, END | END_HEADERS, 1, block));
      expect(codes(side)).toEqual([compressionError]);
    }
  });

  test("C06 CVE-2026-47774 a small block that decodes to too much costs its stream", () => {
    const side = server();
    const big: [string, string] = ["cookie", "x".repeat(3000)];
    side.peer.source.heads.request(1, request("GET", "/", 0, big), true);
    side.send();
    const insert = Buffer.concat([Buffer.of(0x40, 1, 0x61, 0x7f, 0x81, 0x16), Buffer.alloc(2944, 0x78)]);
    side.send(rawFrame(HEADERS, END | END_HEADERS, 3, Buffer.concat([literalBlock(...GET), insert, Buffer.alloc(400, 0xbe)])));
    expect(resets(side.written())).toEqual([`reset 3 ${enhanceYourCalm}`]);
    expect(side.heads).toHaveLength(1);
    expect(side.malformedErrors.map((error) => error.code)).toEqual(["headers_too_large"]);
    side.send(headers(5, GET));
    expect(side.heads).toHaveLength(2);
  });

  const malformed: [string, [string, string][]][] = [
    ["C09 upper-case name", [...GET, ["X-A", "b"]]],
    ["C09 connection", [...GET, ["connection", "close"]]],
    ["C09 te: gzip", [...GET, ["te", "gzip"]]],
    ["C09 transfer-encoding", [...GET, ["transfer-encoding", "chunked"]]],
    ["C09 pseudo-header behind a field", [["x-a", "b"], ...GET]],
    ["C09 pseudo-header twice", [...GET, [":path", "/admin"]]],
    ["C09 unknown pseudo-header", [[":x", "y"], ...GET]],
    ["C10 value with CRLF", [...GET, ["x-a", "x\r\nTransfer-Encoding: chunked"]]],
    ["C10 name with CRLF", [...GET, ["x\r\na", "b"]]],
    ["C10 name with a space", [...GET, ["x a", "b"]]],
    ["C10 name with a colon", [...GET, ["x:a", "b"]]],
    ["C10 NUL", [...GET, ["x-a", "a\0b"]]],
    ["C10 white space around a value", [...GET, ["x-a", " b"]]],
    ["C10 Content-Length without a body", [...GET, ["content-length", "5"]]],
    ["C11 CONNECT with :path", [[":method", "CONNECT"], [":scheme", "http"], [":path", "/"], [":authority", "a.test"]]],
    ["B26 :scheme missing", [[":method", "GET"], [":path", "/"], [":authority", "a.test"]]],
  ];
  test.each(malformed)("%s resets the stream and goes no further", (_name, fields) => {
    const side = server();
    side.send(headers(1, fields), headers(3, GET));
    expect(resets(side.written())).toEqual([`reset 1 ${protocolError}`]);
    expect(side.malformedErrors).toHaveLength(1);
    expect(side.heads).toHaveLength(1);
  });

  test("C11 extended CONNECT that was not offered", () => {
    const side = server({ allowsExtendedConnect: false });
    side.send(headers(1, [[":method", "CONNECT"], [":protocol", "websocket"], [":scheme", "http"], [":path", "/"], [":authority", "a.test"]], END_HEADERS));
    expect(resets(side.written())).toEqual([`reset 1 ${protocolError}`]);
  });

  test("C11 plain CONNECT is answered with 405 unless it is allowed", () => {
    const connectHead: [string, string][] = [[":method", "CONNECT"], [":authority", "a.test:80"]];
    const side = server();
    side.send(headers(1, connectHead, END_HEADERS));
    expect(side.written()).toEqual([expect.stringMatching(/^headers 1 .* end$/), "reset 1 0"]);
    expect(side.malformedErrors.map((error) => error.code)).toEqual(["method_not_allowed"]);
    const open = server({ allowsConnect: true });
    open.send(headers(1, connectHead, END_HEADERS));
    expect(open.heads[0]?.method).toBe("CONNECT");
  });

  const lengths: [string, string, string[], boolean][] = [
    ["more", "3", ["four"], true], ["more in pieces", "3", ["ab", "cd"], false], ["less", "5", ["four"], true], ["none", "0", ["x"], true],
  ];
  test.each(lengths)("C10 %s data than Content-Length", (_name, length, pieces, ends) => {
    const side = server();
    side.send(headers(1, [...POST, ["content-length", length]], END_HEADERS));
    for (const [index, piece] of pieces.entries()) side.send(rawFrame(DATA, ends && index === pieces.length - 1 ? END : 0, 1, piece));
    expect(resets(side.written())).toEqual([`reset 1 ${protocolError}`]);
    expect(side.logs[0]?.events).toEqual(["cut fault 1"]);
  });
});

describe("C19 and RFC 9113 section 5.1: frames where they may not be", () => {
  const cases: [string, (side: ServerSide) => void, number][] = [
    ["a frame of 16385 octets", (side) => side.send(rawFrame(DATA, 0, 1, "x".repeat(16_385))), frameSizeError],
    ["an even stream id", (side) => side.send(headers(2, GET)), protocolError],
    ["a decreasing stream id", (side) => side.send(headers(5, GET), headers(3, GET)), protocolError],
    ["DATA on an idle stream", (side) => side.send(rawFrame(DATA, 0, 1, "x")), protocolError],
    ["RST_STREAM on an idle stream", (side) => side.send(rawFrame(FrameType.resetStream, 0, 1, uint32(8))), protocolError],
    ["WINDOW_UPDATE on an idle stream", (side) => side.send(rawFrame(WINDOW_UPDATE, 0, 1, uint32(8))), protocolError],
    ["a window beyond 2^31-1", (side) => side.send(rawFrame(WINDOW_UPDATE, 0, 0, uint32(0x7fffffff))), flowControlError],
    ["PUSH_PROMISE", (side) => side.send(rawFrame(FrameType.pushPromise, END_HEADERS, 1, uint32(2))), protocolError],
    ["an INITIAL_WINDOW_SIZE that overflows", (side) => {
      side.send(headers(1, POST, END_HEADERS), rawFrame(WINDOW_UPDATE, 0, 1, uint32(0x7fffffff - 65_535)));
      side.send(rawFrame(SETTINGS, 0, 0, Buffer.concat([Buffer.of(0, 4), uint32(65_536)])));
    }, flowControlError],
  ];
  test.each(cases)("%s ends the connection", (_name, act, code) => {
    const side = server();
    act(side);
    expect(codes(side)).toEqual([code]);
    expect(side.written().at(-1)).toMatch(new RegExp(`^goaway \\d+ ${code} `));
    side.send(headers(99, GET));
    expect(side.written()).toEqual([]);
  });

  test("HEADERS on a stream that has ended", () => {
    const side = server();
    side.onRequest = (_head, _end, stream) => stream.respond(ok(0), 0, true);
    side.send(headers(1, GET), headers(1, GET));
    expect(codes(side)).toEqual([streamClosed]);
  });

  test("DATA on a stream that has ended", () => {
    const side = server();
    side.send(headers(1, GET), rawFrame(DATA, 0, 1, "x"));
    expect(resets(side.written())).toEqual([`reset 1 ${streamClosed}`]);
    expect(side.logs[0]?.events).toEqual([`cut fault ${streamClosed}`]);
  });

  test("the last stream id there is", () => {
    const side = server();
    side.onRequest = (_head, _end, stream) => stream.respond(ok(0), 0, true);
    side.send(headers(0x7fffffff, GET));
    expect(side.heads).toHaveLength(1);
    expect(codes(side)).toEqual([]);
  });
});

describe("going away", () => {
  test("in two steps: streams on their way are served, later ones refused", () => {
    const side = server();
    side.session.announceShutdown();
    expect(side.written()).toEqual([`goaway ${0x7fffffff} 0 `, "ping outrider"]);
    side.send(headers(1, POST, END_HEADERS), rawFrame(PING, FrameFlag.ack, 0, "outrider"));
    expect(side.heads).toHaveLength(1);
    expect(side.pingAcks).toBe(1);
    side.session.refuseNewStreams();
    side.send(headers(3, POST, END_HEADERS), rawFrame(DATA, END, 3, "x"), rawFrame(DATA, END, 1, "y"));
    expect(side.written()).toEqual(["goaway 1 0 ", `reset 3 ${refusedStream}`]);
    expect(side.heads).toHaveLength(1);
    expect(side.logs[0]?.data).toBe("y");
  });
});
