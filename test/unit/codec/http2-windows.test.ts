import { describe, expect, test } from "vitest";
import { Http2BodyLength } from "../../../src/codec/http2-body-length.ts";
import { Http2ErrorCode, http2ErrorName } from "../../../src/codec/http2-error-code.ts";
import { Http2FloodGovernor } from "../../../src/codec/http2-flood-governor.ts";
import { DEFAULT_HTTP2_FLOOD_LIMITS } from "../../../src/codec/http2-flood-limits.ts";
import { Http2ReceiveWindow } from "../../../src/codec/http2-receive-window.ts";
import { Http2SendWindow } from "../../../src/codec/http2-send-window.ts";

describe("what we may send", () => {
  test("shrinks as we send and grows as we are told, to 2^31-1 and no further (C07)", () => {
    const window = new Http2SendWindow();
    window.take(65_535);
    expect(window.available).toBe(0);
    expect(window.grow(0x7fffffff)).toBe(true);
    expect(window.grow(1)).toBe(false);
    expect(window.available).toBe(0x7fffffff);
  });

  test("a setting lowered below what is under way makes it negative until that is given back", () => {
    const window = new Http2SendWindow(100);
    window.take(80);
    expect(window.grow(-60)).toBe(true);
    expect(window.available).toBe(0);
    window.grow(30);
    expect(window.available).toBe(0);
    window.grow(30);
    expect(window.available).toBe(20);
  });
});

describe("what the peer may send", () => {
  test("is given back once half of it was passed on", () => {
    const window = new Http2ReceiveWindow(100);
    expect(window.receive(100)).toBe(true);
    expect(window.receive(1)).toBe(false);
    expect(window.held).toBe(100);
    expect([window.consume(49), window.consume(1), window.consume(50)]).toEqual([0, 50, 50]);
    expect(window.held).toBe(0);
    expect(window.receive(100)).toBe(true);
  });

  test("a refused frame takes nothing", () => {
    const window = new Http2ReceiveWindow(10);
    expect([window.receive(11), window.receive(10), window.receive(0)]).toEqual([false, true, true]);
  });

  test("is enlarged for a connection, and follows the setting of a stream", () => {
    const window = new Http2ReceiveWindow();
    expect([window.enlarge(1 << 20), window.enlarge(1 << 20), window.enlarge(5)]).toEqual([(1 << 20) - 65_535, 0, 0]);
    expect(window.receive(1 << 20)).toBe(true);
    const stream = new Http2ReceiveWindow(100);
    stream.receive(80);
    stream.resize(50);
    expect(stream.receive(1)).toBe(false);
    expect(stream.consume(80)).toBe(80);
    expect([stream.receive(51), stream.receive(50)]).toEqual([false, true]);
  });
});

test("a body is held against its announced length (C10)", () => {
  const body = new Http2BodyLength(5);
  expect([body.isComplete, body.take(3), body.isComplete, body.take(3), body.take(2), body.isComplete]).toEqual([false, true, false, false, true, true]);
  const none = new Http2BodyLength(0);
  expect([none.isComplete, none.take(0), none.take(1)]).toEqual([true, true, false]);
  const unknown = new Http2BodyLength(-1);
  expect([unknown.take(1e9), unknown.isComplete]).toEqual([true, true]);
});

describe("what is too often", () => {
  const governor = () => new Http2FloodGovernor(DEFAULT_HTTP2_FLOOD_LIMITS, 0);
  /** How often `act` is borne. */
  const borne = (act: () => unknown): number => {
    for (let count = 0; count < 100_000; count++) if (act() !== null) return count;
    return Number.POSITIVE_INFINITY;
  };

  test("streams opened and given up: 400 at once, 200 a second (C01, CVE-2023-44487)", () => {
    const rapid = governor();
    expect(borne(() => rapid.streamOpened(0))).toBe(400);
    expect(borne(() => rapid.streamOpened(1000))).toBe(200);
    let nowMs = 1000;
    expect(borne(() => rapid.streamOpened((nowMs += 5)))).toBe(Number.POSITIVE_INFINITY);
  });

  test("streams that end in order are as many as they like", () => {
    const busy = governor();
    expect(borne(() => {
      const fault = busy.streamOpened(0);
      busy.streamFinished();
      return fault;
    })).toBe(Number.POSITIVE_INFINITY);
  });

  test("resets received and sent: 100 in ten seconds each (C02, CVE-2025-8671)", () => {
    const resets = governor();
    expect(borne(() => resets.resetReceived(1))).toBe(100);
    expect(borne(() => resets.resetSent(1))).toBe(100);
    expect(resets.resetReceived(9_999)).toMatchObject({ scope: "connection", code: Http2ErrorCode.enhanceYourCalm, reason: "too many RST_STREAM" });
    expect(borne(() => resets.resetReceived(10_000))).toBe(100);
  });

  test("control frames: 500 in ten seconds (C04)", () => {
    const control = governor();
    expect(borne(() => control.controlReceived(1))).toBe(500);
    expect(borne(() => control.controlReceived(10_001))).toBe(500);
  });

  test("control frames that our own data and streams explain are none, within a bound", () => {
    const control = governor();
    for (let count = 0; count < 100; count++) control.dataSent();
    expect(borne(() => control.controlReceived(1))).toBe(900);
    for (let count = 0; count < 1e6; count++) control.dataSent();
    expect(borne(() => control.controlReceived(1))).toBeLessThan(5000);
  });

  test("empty DATA: 50 in ten seconds (CVE-2019-9518)", () => {
    const empty = governor();
    expect(borne(() => empty.emptyDataReceived(1))).toBe(50);
  });
});

test("error codes have their names", () => {
  expect([0, 1, 11, 13, 99].map(http2ErrorName)).toEqual(["NO_ERROR", "PROTOCOL_ERROR", "ENHANCE_YOUR_CALM", "HTTP_1_1_REQUIRED", "code 99"]);
});
