import { describe, expect, test } from "vitest";
import { Http2ErrorCode } from "../../../src/codec/http2-error-code.ts";
import { FrameFlag, FrameType } from "../../../src/codec/http2-frame.ts";
import { DEFAULT_HTTP2_SESSION_OPTIONS } from "../../../src/codec/http2-session-options.ts";
import { SettingId } from "../../../src/codec/http2-settings.ts";
import type { ResponseHead } from "../../../src/message/head.ts";
import { literalBlock } from "./http2-blocks.ts";
import { ClientSide, rawFrame, request, uint32 } from "./http2-session-harness.ts";

const { protocolError, streamClosed, refusedStream, cancel, noError, enhanceYourCalm } = Http2ErrorCode;
const END = FrameFlag.endStream;
const END_HEADERS = FrameFlag.endHeaders;
const client = (...settings: [number, number][]) => new ClientSide().greet(...settings);
const response = (streamId: number, status: number, flags: number = END_HEADERS, ...fields: [string, string][]) =>
  rawFrame(FrameType.headers, flags, streamId, literalBlock([":status", String(status)], ...fields));
const reset = (streamId: number, code: number) => rawFrame(FrameType.resetStream, 0, streamId, uint32(code));
const goAway = (last: number, code: number, debug = "") => rawFrame(FrameType.goAway, 0, 0, Buffer.concat([uint32(last), uint32(code), Buffer.from(debug)]));
const codes = (side: ClientSide) => side.faults.map((fault) => fault.code);
const hasHeaders = (frames: string[]) => frames.filter((frame) => frame.startsWith("headers")).length;

describe("a request", () => {
  test("goes out at once, before the peer has said anything", () => {
    const side = new ClientSide();
    side.open();
    side.output.flush();
    const bytes = side.sink.take();
    expect(bytes.toString("latin1").startsWith("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")).toBe(true);
    expect(bytes.includes(Buffer.from("a.test"))).toBe(true);
  });

  test("is answered with informational heads, a head, data and trailers", () => {
    const side = client();
    const log = side.open();
    side.send(response(1, 103), response(1, 200), rawFrame(FrameType.data, 0, 1, "hello"), rawFrame(FrameType.headers, END | END_HEADERS, 1, literalBlock(["x-t", "1"])));
    expect(log.events).toEqual(["head 103", "head 200", 'end [["x-t","1"]]']);
    expect(log.data).toBe("hello");
    expect(side.closedStreams).toBe(1);
    expect(side.session.streamCount).toBe(0);
  });

  test("with a body is over when both have ended", () => {
    const side = client();
    const log = side.open(request("POST", "/", -1), false);
    side.send(response(1, 200, END | END_HEADERS));
    expect(log.events).toEqual(["head 200 end"]);
    expect(side.session.streamCount).toBe(1);
    log.stream?.end(null);
    expect(side.session.streamCount).toBe(0);
  });

  test("that cannot be written leaves no trace", () => {
    const side = client();
    expect(() => side.open(request("GET", "/", 0, ["x-a", "a\r\nb"]))).toThrow("unwritable");
    expect(side.session.streamCount).toBe(0);
    side.open();
    expect(side.written()[0]).toMatch(/^headers 1 /);
  });

  test("given up is cancelled, and what still comes for it ignored", () => {
    const side = client();
    const log = side.open();
    log.stream?.reset(cancel);
    expect(side.written().slice(1)).toEqual([`reset 1 ${cancel}`]);
    side.send(response(1, 200), rawFrame(FrameType.data, END, 1, "late"));
    expect(log.events).toEqual([]);
    expect(codes(side)).toEqual([]);
    expect(side.written()).toEqual([]);
  });

  test("answered whole keeps its answer, though the server resets the rest of the request", () => {
    const side = client();
    const log = side.open(request("POST", "/", -1), false);
    log.stream?.pause();
    side.send(response(1, 200), rawFrame(FrameType.data, END, 1, "whole"), reset(1, noError));
    expect(side.session.streamCount).toBe(0);
    log.stream?.resume();
    expect(log.data).toBe("whole");
    expect(log.events).toEqual(["head 200", "end"]);
    expect(side.session.heldBytes).toBe(0);
  });
});

describe("the peer's limits", () => {
  test("C13 CVE-2021-32780 no streams at all, then more", () => {
    const side = client([SettingId.maxConcurrentStreams, 0]);
    expect(side.session.canOpen).toBe(false);
    side.send(rawFrame(FrameType.settings, 0, 0, Buffer.concat([Buffer.of(0, 3), uint32(2)])));
    expect(side.session.maxStreams).toBe(2);
    side.open();
    side.open();
    expect(side.session.canOpen).toBe(false);
    side.send(response(1, 200, END | END_HEADERS));
    expect(side.session.canOpen).toBe(true);
    side.send(rawFrame(FrameType.settings, 0, 0, Buffer.concat([Buffer.of(0, 3), uint32(0)])), goAway(3, noError));
    expect(side.session.canOpen).toBe(false);
    side.send(response(3, 200, END | END_HEADERS));
    expect(side.session.streamCount).toBe(0);
  });

  test("C12 GOAWAY passes over the streams behind its last, and serves the others", () => {
    const side = client();
    const logs = [side.open(), side.open(), side.open(request("POST", "/", -1), false)];
    side.send(goAway(3, noError, "bye"));
    expect(side.goAways).toEqual(["0 bye"]);
    expect(logs.map((log) => log.events)).toEqual([[], [], ["cut unprocessed 0"]]);
    expect(side.session.canOpen).toBe(false);
    side.send(response(1, 200, END | END_HEADERS), response(3, 200, END | END_HEADERS));
    expect(logs.map((log) => log.events)).toEqual([["head 200 end"], ["head 200 end"], ["cut unprocessed 0"]]);
    expect(side.session.streamCount).toBe(0);
  });

  test("C12 of a graceful GOAWAY nothing is lost until the second names a stream", () => {
    const side = client();
    const logs = [side.open(), side.open()];
    side.send(goAway(0x7fffffff, noError));
    expect(logs.map((log) => log.events)).toEqual([[], []]);
    side.send(goAway(1, noError));
    expect(logs.map((log) => log.events)).toEqual([[], ["cut unprocessed 0"]]);
  });

  test("C14 REFUSED_STREAM says that nothing was done, CANCEL does not", () => {
    const side = client();
    const logs = [side.open(request("POST", "/", -1), false), side.open(request("POST", "/", -1), false)];
    side.send(reset(1, refusedStream), reset(3, cancel));
    expect(logs.map((log) => log.events)).toEqual([[`cut unprocessed ${refusedStream}`], [`cut reset ${cancel}`]]);
  });

  test("C19 stream ids that are used up", () => {
    const side = new ClientSide({ maxStreamId: 3 }).greet();
    side.open();
    expect(side.session.isGoingAway).toBe(false);
    side.open();
    expect(side.session.canOpen).toBe(false);
    expect(side.session.isGoingAway).toBe(true);
  });
});

describe("an upstream that does wrong", () => {
  const connectionFaults: [string, Buffer, number][] = [
    ["C15 PUSH_PROMISE", rawFrame(FrameType.pushPromise, END_HEADERS, 1, uint32(2)), protocolError],
    ["a stream of its own", response(2, 200), protocolError],
    ["an answer to a request that was never sent", response(5, 200), protocolError],
  ];
  test.each(connectionFaults)("%s ends the connection", (_name, frame, code) => {
    const side = client();
    const log = side.open();
    side.send(frame);
    expect(codes(side)).toEqual([code]);
    expect(log.events).toEqual([`cut fault ${code}`]);
  });

  test("an answer to a request that is over", () => {
    const side = client();
    side.open();
    side.send(response(1, 200, END | END_HEADERS), response(1, 200));
    expect(codes(side)).toEqual([streamClosed]);
  });

  const streamFaults: [string, Buffer[], number][] = [
    ["data before the head", [rawFrame(FrameType.data, 0, 1, "x")], protocolError],
    ["status 101", [response(1, 101)], protocolError],
    ["no status", [rawFrame(FrameType.headers, END_HEADERS, 1, literalBlock(["x-a", "b"]))], protocolError],
    ["a field of HTTP/1", [response(1, 200, END_HEADERS, ["transfer-encoding", "chunked"])], protocolError],
    ["less than it announced", [response(1, 200, END_HEADERS, ["content-length", "5"]), rawFrame(FrameType.data, END, 1, "four")], protocolError],
    ["more than it announced", [response(1, 200, END_HEADERS, ["content-length", "3"]), rawFrame(FrameType.data, 0, 1, "four")], protocolError],
    ["a body behind 204", [response(1, 204), rawFrame(FrameType.data, END, 1, "x")], protocolError],
    ["nine informational heads", Array.from({ length: 9 }, () => response(1, 103)), enhanceYourCalm],
  ];
  test.each(streamFaults)("A57 %s is reset, and the others go on", (_name, frames, code) => {
    const side = client();
    const logs = [side.open(), side.open()];
    side.send(...frames, response(3, 200, END | END_HEADERS));
    expect(logs[0]?.events.at(-1)).toBe(`cut fault ${code}`);
    expect(logs[1]?.events).toEqual(["head 200 end"]);
    expect(side.written().filter((frame) => frame.startsWith("reset"))).toEqual([`reset 1 ${code}`]);
    expect(codes(side)).toEqual([]);
  });

  test("an answer to HEAD announces a body and has none", () => {
    const side = client();
    const log = side.open(request("HEAD"));
    side.send(response(1, 200, END | END_HEADERS, ["content-length", "500"]));
    expect(log.events).toEqual(["head 200 end"]);
  });
});

describe("a tunnel", () => {
  const upgrade = () => {
    const head = request();
    head.upgrade = "websocket";
    return head;
  };

  test("opens with a success, and ends half by half", () => {
    const side = client([SettingId.enableConnectProtocol, 1]);
    const log = side.open(upgrade(), false);
    side.send(response(1, 200), rawFrame(FrameType.data, END, 1, "x"));
    expect(log.events).toEqual(["head 101", "end"]);
    log.stream?.write(Buffer.from("y"));
    log.stream?.end(null);
    expect(side.session.streamCount).toBe(0);
    expect(hasHeaders(side.written())).toBe(1);
  });

  test("that is refused is an ordinary answer", () => {
    const side = client([SettingId.enableConnectProtocol, 1]);
    const log = side.open(upgrade(), false);
    side.send(response(1, 403, END | END_HEADERS));
    expect(log.events).toEqual(["head 403 end"]);
  });
});

test("an answer of the peer's session is what a client of ours reads over the hop", () => {
  const side = new ClientSide({ ...DEFAULT_HTTP2_SESSION_OPTIONS, isHop: true }).greet();
  const log = side.open();
  const heads: ResponseHead[] = [];
  log.onHead = (head) => heads.push(head);
  side.send(response(1, 200, END | END_HEADERS, ["x-outrider-spelling", "X-Reply;Fine;"], ["x-reply", "1"]));
  expect(heads[0]?.reason).toBe("Fine");
  expect(heads[0]?.version).toBe("HTTP/1.1");
  expect(heads[0]?.headers.toPairs()).toEqual([["X-Reply", "1"]]);
});
