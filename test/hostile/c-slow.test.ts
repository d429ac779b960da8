import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { Http2ErrorCode } from "../../src/codec/http2-error-code.ts";
import { FrameType } from "../../src/codec/http2-frame.ts";
import { ManualTime } from "../integration/manual-time.ts";
import { eventually } from "../integration/proxy-under-test.ts";
import { rawFrame, uint32 } from "../unit/codec/http2-session-harness.ts";
import { HostileProxy } from "./hostile-proxy.ts";
import { goodRequest, HTTP2_WAYS, openHttp2 } from "./http2-ways.ts";
import { literalHeaders, type RawHttp2, requestFields } from "./raw-http2.ts";

const INITIAL_WINDOW_SIZE = 4;
const LARGE = 32 << 20;

let hostile: HostileProxy;
beforeAll(async () => {
  hostile = await HostileProxy.start();
});
beforeEach(() => hostile.backend.forget());
afterAll(() => hostile.stop());

describe.each(HTTP2_WAYS)("readers that are slow, %s", (way) => {
  /** `/large` is answered with 32 MB, anything else at once. */
  function serveLarge(): void {
    hostile.backend.answer = (connection, request) => {
      if (request.startsWith("GET /large")) connection.socket.write(Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${LARGE}\r\n\r\n`), Buffer.alloc(LARGE)]));
      else connection.socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    };
  }

  /** Most of the large response has stayed with the application: the proxy holds little of it. */
  async function expectHeldBack(): Promise<void> {
    const sending = hostile.backend.connections.find((connection) => connection.received.startsWith("GET /large"));
    // Socket buffers of the kernel take some megabytes on each leg; what has time for these would have had it for the rest.
    for (let round = 0; round < 20; round++) await goodRequest(hostile, way);
    expect(sending?.socket.writableLength ?? 0).toBeGreaterThan(LARGE / 2);
  }

  async function leave(client: RawHttp2): Promise<void> {
    client.socket.destroy();
    await eventually(() => hostile.proxy.activeCount() === 0, "nothing is left");
    hostile.backend.cutConnections();
  }

  it("C07 a window of 0 for ever (CVE-2019-9511): others on the connection are served, and when the window opens it goes on", async () => {
    serveLarge();
    const client = openHttp2(hostile, way, [INITIAL_WINDOW_SIZE, 0]);
    client.headers(1, requestFields("GET", "/large"));
    await eventually(() => client.stream(1).status === 200, "the head came");
    client.headers(3, requestFields("GET", "/small"));
    await eventually(() => client.stream(3).status === 200, "another head came");
    client.send(rawFrame(FrameType.windowUpdate, 0, 3, uint32(10)));
    expect((await client.done(3)).data).toBe("ok");
    expect(client.stream(1).dataBytes).toBe(0);
    await expectHeldBack();
    client.send(rawFrame(FrameType.windowUpdate, 0, 1, uint32(60_000)));
    await eventually(() => client.stream(1).dataBytes === 60_000, "as much as was allowed");
    await leave(client);
  });

  it("C07 windows that overflow (CVE-2026-21714): the stream's costs the stream, the connection's the connection", async () => {
    hostile.backend.answer = () => undefined;
    const client = openHttp2(hostile, way);
    client.send(literalHeaders(1, requestFields()), rawFrame(FrameType.windowUpdate, 0, 1, uint32(0x7fffffff)));
    expect((await client.done(1)).resetCode).toBe(Http2ErrorCode.flowControlError);
    client.send(rawFrame(FrameType.windowUpdate, 0, 0, uint32(0x7fffffff)));
    expect(await client.closed()).toBe(Http2ErrorCode.flowControlError);
    await leave(client);
  });

  it("C08 a socket that is not read (CVE-2019-9517): little is held, other connections are served", async () => {
    serveLarge();
    const client = openHttp2(hostile, way, [INITIAL_WINDOW_SIZE, 0x7fffffff]);
    await eventually(() => client.settingsAcks > 0, "the connection is up");
    client.opensWindows = false;
    client.send(rawFrame(FrameType.windowUpdate, 0, 0, uint32(0x7fff0000 - 65_535)));
    client.socket.pause();
    client.headers(1, requestFields("GET", "/large"));
    await eventually(() => hostile.backend.connections.some((connection) => connection.received.startsWith("GET /large")), "the request arrived");
    await expectHeldBack();
    client.socket.resume();
    await eventually(() => client.stream(1).dataBytes === LARGE, "all of it came once it was read");
    await leave(client);
  });
});

describe.each(HTTP2_WAYS)("streams whose peer owes something, %s (A59)", (way) => {
  const time = new ManualTime();
  let timed: HostileProxy;
  beforeAll(async () => {
    timed = await HostileProxy.start({ clock: time, timers: time.timers });
  });
  afterAll(() => timed.stop());

  it("a body that was announced and does not come is answered 408, one of unknown length is waited for", async () => {
    const client = openHttp2(timed, way);
    client.send(literalHeaders(1, [...requestFields("POST", "/owed"), ["content-length", "100000"]], false), literalHeaders(3, requestFields("POST", "/open"), false));
    client.data(1, "begun");
    await eventually(() => timed.backend.received.includes("begun"), "the request is under way");
    for (let second = 0; second < 13; second++) {
      time.pass(1_000);
      // The peer is there, however little its streams say.
      client.send(rawFrame(FrameType.ping, 0, 0, "12345678"));
      await eventually(() => client.pingAcks > second, "the proxy has answered");
    }
    const owed = await client.done(1);
    expect([owed.status, owed.resetCode]).toEqual([408, Http2ErrorCode.cancel]);
    expect(timed.proxy.accessLog.at(-1)).toMatchObject({ protocol: "HTTP/2", path: "/owed", response_code: 408, response_flags: "SI", response_code_details: "request_body_too_slow" });
    expect(client.stream(3).resetCode).toBeNull();
    client.data(3, "hello", true);
    expect((await client.done(3)).status).toBe(200);
    expect(client.goAway).toBeNull();
    client.socket.destroy();
    await eventually(() => timed.proxy.activeCount() === 0, "nothing is left");
    timed.backend.cutConnections();
  });
});
