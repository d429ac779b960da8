import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { Http2ErrorCode } from "../../src/codec/http2-error-code.ts";
import { FrameFlag, FrameType } from "../../src/codec/http2-frame.ts";
import { service, yamlOf } from "../integration/mesh-resources.ts";
import { eventually, exchange, ProxyUnderTest, statusOf } from "../integration/proxy-under-test.ts";
import { rawFrame, uint32 } from "../unit/codec/http2-session-harness.ts";
import { headersFrame, literalHeaders, type RawHttp2, settingsFrame } from "./raw-http2.ts";
import { answerOk2, RawHttp2Backend } from "./raw-http2-backend.ts";

const { refusedStream, cancel, internalError, flowControlError, protocolError, enhanceYourCalm } = Http2ErrorCode;
const VIP = { address: "10.96.0.10", port: 9080 };
const isWhole = (received: string): boolean => /\r\n\r\nok$|\r\n0\r\n(?:[^\r]+\r\n)*\r\n$/.test(received) || (/^HTTP\/1\.1 (?:5|4)/.test(received) && received.includes("\r\n\r\n"));

let backend: RawHttp2Backend;
let proxy: ProxyUnderTest;
beforeAll(async () => {
  backend = await RawHttp2Backend.listen();
  proxy = await ProxyUnderTest.start({ yaml: yamlOf(service({ name: "app", portName: "grpc", endpoints: [{ port: backend.port }] })) });
});
beforeEach(async () => {
  backend.reset();
  await eventually(() => proxy.activeCount() === 0, "nothing is under way");
});
afterAll(() => {
  proxy.stop();
  backend.close();
});

const send = (method: string, path: string, extra = "", body = ""): Promise<string> =>
  exchange(proxy.connectOutbound(VIP), `${method} ${path} HTTP/1.1\r\nHost: app\r\n${extra}${body === "" ? "" : `Content-Length: ${body.length}\r\n`}\r\n${body}`, isWhole);
const get = (path = "/"): Promise<string> => send("GET", path);
const post = (path = "/", extra = ""): Promise<string> => send("POST", path, extra, "hello");

/** What misbehaved has left nothing behind: the next request is served. */
async function expectServed(): Promise<void> {
  backend.answer = answerOk2;
  backend.onPeer = () => undefined;
  const answer = await get("/next");
  expect(statusOf(answer), answer).toBe(200);
}

describe("C07 flow control", () => {
  it("WINDOW_UPDATE beyond 2^31-1: of a stream it costs the stream, of the connection the connection", async () => {
    backend.answer = (peer, id) => peer.send(rawFrame(FrameType.windowUpdate, 0, id, uint32(0x7fffffff)));
    expect(statusOf(await get())).toBe(502);
    const first = backend.peers[0] as RawHttp2;
    expect([...first.streams.values()].some(({ resetCode }) => resetCode === flowControlError)).toBe(true);
    backend.answer = (peer) => peer.send(rawFrame(FrameType.windowUpdate, 0, 0, uint32(0x7fffffff)));
    expect(statusOf(await get())).toBe(502);
    expect(await first.closed()).toBe(flowControlError);
    await expectServed();
  });

  it("more DATA than the window allows", async () => {
    backend.answer = (peer, id) => {
      peer.headers(id, [[":status", "200"]], false);
      for (let index = 0; index < 2_000; index++) peer.data(id, "x".repeat(16_384));
    };
    const client = proxy.connectOutbound(VIP);
    client.on("error", () => undefined);
    // It reads nothing, so that 32 MB are more than it, the kernel and the windows take.
    client.pause();
    client.write("GET / HTTP/1.1\r\nHost: app\r\n\r\n");
    const peer = await firstPeer();
    await eventually(() => peer.isClosed || [...peer.streams.values()].some(({ resetCode }) => resetCode === flowControlError), "the stream or the connection was cut");
    client.destroy();
    await expectServed();
  });

  it("a window shrunk below what is used (RFC 9113 section 6.9.2): nothing more is sent until it is positive again", async () => {
    const peer = await greeted([4, 20_000]);
    peer.opensWindows = false;
    backend.answer = () => undefined;
    const answer = send("POST", "/", "", "x".repeat(100_000));
    const stream = peer.stream(3);
    await eventually(() => stream.dataBytes === 20_000, "the first window was used up");
    peer.send(settingsFrame([[4, 0]]), rawFrame(FrameType.windowUpdate, 0, 3, uint32(20_000)), rawFrame(FrameType.ping, 0, 0, "12345678"));
    await eventually(() => peer.pingAcks > 0, "the proxy has read it");
    expect(stream.dataBytes).toBe(20_000);
    peer.send(rawFrame(FrameType.windowUpdate, 0, 0, uint32(200_000)), rawFrame(FrameType.windowUpdate, 0, 3, uint32(200_000)));
    await eventually(() => stream.hasEnded, "the rest came");
    expect(stream.dataBytes).toBe(100_000);
    answerOk2(peer, 3, stream);
    expect(statusOf(await answer)).toBe(200);
  });

  it("a window that never opens: the request waits and holds little", async () => {
    const peer = await greeted([4, 0]);
    backend.answer = () => undefined;
    const client = proxy.connectOutbound(VIP);
    client.on("error", () => undefined);
    client.write(`POST / HTTP/1.1\r\nHost: app\r\nContent-Length: ${64 << 20}\r\n\r\n`);
    const chunk = Buffer.alloc(1 << 20);
    for (let index = 0; index < 64; index++) client.write(chunk);
    const stream = peer.stream(3);
    await eventually(() => client.writableLength > 0, "the kernel is full");
    await new Promise((resolve) => {
      setTimeout(resolve, 100);
    });
    // Socket buffers of this machine and what the proxy may hold: the rest has stayed with the client.
    expect(client.writableLength).toBeGreaterThan(32 << 20);
    expect(stream.dataBytes).toBe(0);
    client.destroy();
    // A socket nobody reads tells nothing of its end: it shows once there is a window again.
    peer.send(rawFrame(FrameType.windowUpdate, 0, 0, uint32(0x7fff0000)), rawFrame(FrameType.windowUpdate, 0, 3, uint32(0x7fff0000)));
    await eventually(() => stream.resetCode === cancel, "the stream was reset");
    await expectServed();
  });
});

async function firstPeer(): Promise<RawHttp2> {
  await eventually(() => backend.peers.length > 0, "a connection came");
  return backend.peers[0] as RawHttp2;
}

/** A connection on which a request has been served, so that the proxy knows its settings. */
async function greeted(...settings: [number, number][]): Promise<RawHttp2> {
  backend.settings = settings;
  backend.answer = (peer, id) => peer.headers(id, [[":status", "204"]]);
  expect(statusOf(await exchange(proxy.connectOutbound(VIP), "GET / HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n"))).toBe(204);
  const peer = await firstPeer();
  await eventually(() => peer.settingsAcks > 0, "the settings were acknowledged");
  return peer;
}

describe("C12 to C14 what an upstream refuses, and what it may have done", () => {
  it("C12 GOAWAY with a lower last stream: what was not processed goes to a new connection once, POST too", async () => {
    backend.answer = (peer, id) => {
      if (peer === backend.peers[0]) peer.sendGoAway(0, 0);
      else answerOk2(peer, id, peer.stream(id));
    };
    expect(statusOf(await post("/replayed"))).toBe(200);
    expect(backend.paths).toEqual(["/replayed", "/replayed"]);
    expect(backend.peers).toHaveLength(2);
    await expectServed();
  });

  it("C12 GOAWAY that names the stream as processed: it is answered on its connection, and not sent again", async () => {
    backend.answer = (peer, id) => {
      if (peer !== backend.peers[0]) return answerOk2(peer, id, peer.stream(id));
      peer.sendGoAway(id, 0);
      return answerOk2(peer, id, peer.stream(id));
    };
    expect(statusOf(await post("/once"))).toBe(200);
    expect(statusOf(await post("/other"))).toBe(200);
    expect(backend.paths).toEqual(["/once", "/other"]);
    expect(backend.peers).toHaveLength(2);
  });

  it("C12 a connection lost behind such a GOAWAY: a POST is not sent again", async () => {
    backend.answer = (peer, id) => {
      peer.sendGoAway(id, 0);
      setImmediate(() => peer.socket.destroy());
    };
    expect(statusOf(await post("/lost"))).toBe(503);
    expect(backend.paths).toEqual(["/lost"]);
    await expectServed();
  });

  it("C12 two GOAWAY, the second lower (RFC 9113 section 6.8)", async () => {
    backend.answer = (peer, id) => {
      if (peer !== backend.peers[0]) return answerOk2(peer, id, peer.stream(id));
      peer.sendGoAway(0x7fffffff, 0);
      return setImmediate(() => peer.sendGoAway(0, 0));
    };
    expect(statusOf(await post("/two"))).toBe(200);
    expect(backend.paths).toEqual(["/two", "/two"]);
  });

  it("C13 MAX_CONCURRENT_STREAMS 0, then GOAWAY (CVE-2021-32780)", async () => {
    backend.answer = (peer, id) => {
      if (peer !== backend.peers[0]) return answerOk2(peer, id, peer.stream(id));
      peer.send(settingsFrame([[3, 0]]));
      return answerOk2(peer, id, peer.stream(id));
    };
    expect(statusOf(await get("/first"))).toBe(200);
    const waiting = get("/second");
    // Whether it waits for this connection or has another made is not for the peer to decide; going away lets it go.
    (backend.peers[0] as RawHttp2).sendGoAway(1, 0);
    expect(statusOf(await waiting)).toBe(200);
    await expectServed();
  });

  it("C14 RST_STREAM REFUSED_STREAM on a POST: sent again", async () => {
    let refusals = 0;
    backend.answer = (peer, id) => (refusals++ === 0 ? peer.reset(id, refusedStream) : answerOk2(peer, id, peer.stream(id)));
    expect(statusOf(await post("/refused"))).toBe(200);
    expect(backend.paths).toEqual(["/refused", "/refused"]);
  });

  it.each([["CANCEL", cancel], ["INTERNAL_ERROR", internalError], ["a code nobody knows", 0x99]])("C14 RST_STREAM %s on a POST: not sent again", async (_what, code) => {
    backend.answer = (peer, id) => peer.reset(id, code);
    expect(statusOf(await post("/reset"))).toBe(503);
    expect(backend.paths).toEqual(["/reset"]);
    await expectServed();
  });

  it("C14 an upstream that refuses for ever ends in an answer", async () => {
    backend.answer = (peer, id) => peer.reset(id, refusedStream);
    expect(statusOf(await post("/refused"))).toBe(503);
    expect(backend.paths.length).toBeLessThanOrEqual(10);
    await expectServed();
  });
});

describe("C15 what an upstream sends unasked", () => {
  it.each<readonly [string, number, string]>([
    ["ORIGIN", 0x0c, "\0\x13https://a.test"],
    ["ALTSVC", 0x0a, "\0\0h2=\":1\""],
    ["an unknown type", 0x77, "x"],
  ])("%s is passed over, a flood of it ends the connection (CVE-2026-48619)", async (_what, type, payload) => {
    const frame = rawFrame(type, 0, 0, payload);
    backend.onPeer = (peer) => peer.send(frame, frame, frame);
    expect(statusOf(await get())).toBe(200);
    const peer = await firstPeer();
    peer.send(Buffer.concat(Array.from({ length: 2_000 }, () => frame)));
    expect(await peer.closed()).toBe(enhanceYourCalm);
    await expectServed();
  });

  it("PUSH_PROMISE, which was disabled, ends the connection", async () => {
    backend.answer = (peer, id) => peer.send(rawFrame(FrameType.pushPromise, FrameFlag.endHeaders, id, Buffer.concat([uint32(2), peer.encode([[":method", "GET"], [":path", "/pushed"]])])));
    expect(statusOf(await get())).toBe(502);
    expect(await (backend.peers[0] as RawHttp2).closed()).toBe(protocolError);
    await expectServed();
  });

  it("HEADERS of a stream the server opens", async () => {
    backend.answer = (peer) => peer.send(literalHeaders(2, [[":status", "200"]]));
    expect(statusOf(await get())).toBe(502);
    await expectServed();
  });

  it("a flood of 103 costs the stream", async () => {
    backend.answer = (peer, id) => {
      for (let index = 0; index < 1_000; index++) peer.headers(id, [[":status", "103"], ["link", "</a>"]], false);
      answerOk2(peer, id, peer.stream(id));
    };
    const answer = await exchange(proxy.connectOutbound(VIP), "GET / HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n");
    expect((answer.match(/HTTP\/1\.1 103/g) ?? []).length).toBeLessThanOrEqual(8);
    await expectServed();
  });
});

/** Each is answered 502, and no octet of it is passed on. */
const MALFORMED: readonly (readonly [string, readonly (readonly [string, string])[]])[] = [
  ["no :status", [["x-a", "b"]]],
  ["a :status of two digits", [[":status", "20"]]],
  ["a :status of letters", [[":status", "2OO"]]],
  ["101", [[":status", "101"]]],
  [":status twice", [[":status", "200"], [":status", "200"]]],
  [":path in a response", [[":status", "200"], [":path", "/"]]],
  ["an upper-case name", [[":status", "200"], ["X-A", "b"]]],
  ["connection", [[":status", "200"], ["connection", "close"]]],
  ["transfer-encoding", [[":status", "200"], ["transfer-encoding", "chunked"]]],
  ["CR LF in a value", [[":status", "200"], ["x-a", "b\r\nset-cookie: evil=1"]]],
  ["CR LF in a name", [[":status", "200"], ["x-a: b\r\nset-cookie", "evil=1"]]],
  ["NUL in a value", [[":status", "200"], ["x-a", "b\0c"]]],
  ["Content-Length twice", [[":status", "200"], ["content-length", "2"], ["content-length", "3"]]],
  ["Content-Length of no digits", [[":status", "200"], ["content-length", "0x2"]]],
];

describe("responses that are malformed", () => {
  it.each(MALFORMED)("%s", async (_what, fields) => {
    backend.answer = (peer, id) => {
      peer.send(literalHeaders(id, fields, false));
      peer.data(id, "EVIL", true);
    };
    const answer = await get();
    expect(statusOf(answer), answer).toBe(502);
    expect(answer).not.toMatch(/evil/i);
    await expectServed();
  });

  it("a head that is undecodable ends the connection", async () => {
    backend.answer = (peer, id) => peer.send(headersFrame(id, Buffer.from([0xff, 0x80, 0x01])));
    expect(statusOf(await get())).toBe(502);
    await expectServed();
  });

  it.each<readonly [string, string, string]>([["more", "2", "hello, and more"], ["less", "20", "hello"]])("%s DATA than Content-Length is never a whole answer", async (_what, length, body) => {
    backend.answer = (peer, id) => {
      peer.send(literalHeaders(id, [[":status", "200"], ["content-length", length]], false));
      peer.data(id, body, true);
    };
    const answer = await exchange(proxy.connectOutbound(VIP), "GET / HTTP/1.1\r\nHost: app\r\n\r\n");
    // Its head may have been sent on by then: whoever counts sees that it was cut.
    if (answer !== "") expect(answer.split("\r\n\r\n")[1]?.length ?? 0).not.toBe(Number(length));
    await expectServed();
  });

  it("DATA with 204 is not passed on", async () => {
    backend.answer = (peer, id) => {
      peer.send(literalHeaders(id, [[":status", "204"]], false));
      peer.data(id, "HTTP/1.1 200 OK\r\n\r\n", true);
    };
    const answer = await exchange(proxy.connectOutbound(VIP), "GET / HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n");
    expect(answer).not.toContain("HTTP/1.1 200");
    await expectServed();
  });
});

describe("C17 gRPC statuses that are odd", () => {
  const ask = (): Promise<string> => post("/a.B/C", "content-type: application/grpc\r\nte: trailers\r\n");

  it("trailers-only and a status in the headers pass through", async () => {
    backend.answer = (peer, id) => peer.headers(id, [[":status", "200"], ["content-type", "application/grpc"], ["grpc-status", "5"], ["grpc-message", "no%20such"]]);
    const answer = await exchangeGrpc();
    expect(answer).toMatch(/\r\ngrpc-status: 5\r\n/);
    expect(answer).toMatch(/\r\ngrpc-message: no%20such\r\n/);
  });

  it("a message that is no UTF-8 passes through as it came", async () => {
    backend.answer = (peer, id) => {
      peer.send(literalHeaders(id, [[":status", "200"], ["content-type", "application/grpc"]], false));
      peer.data(id, "\0\0\0\0\0");
      peer.send(literalHeaders(id, [["grpc-status", "2"], ["grpc-message", "\xff\xfe%FF%"]]));
    };
    const answer = await ask();
    expect(answer).toContain("\r\n0\r\ngrpc-status: 2\r\ngrpc-message: \xff\xfe%FF%\r\n\r\n");
  });

  it("a missing status is UNKNOWN to the caller, behind a message and without one", async () => {
    backend.answer = (peer, id) => {
      peer.send(literalHeaders(id, [[":status", "200"], ["content-type", "application/grpc"]], false));
      peer.data(id, "\0\0\0\0\0", true);
    };
    expect(await ask()).toMatch(/\r\n0\r\ngrpc-status: 2\r\ngrpc-message: [^\r]+\r\n\r\n$/);
    expect(proxy.accessLog.at(-1)).toMatchObject({ response_code: 200, response_flags: "UPE", response_code_details: "upstream_grpc_status_missing" });
    backend.answer = (peer, id) => peer.send(literalHeaders(id, [[":status", "200"], ["content-type", "application/grpc"]]));
    expect(await exchangeGrpc()).toMatch(/\r\ngrpc-status: 2\r\n/);
  });

  const exchangeGrpc = (): Promise<string> =>
    exchange(proxy.connectOutbound(VIP), "POST /a.B/C HTTP/1.1\r\nHost: app\r\nConnection: close\r\ncontent-type: application/grpc\r\nte: trailers\r\nContent-Length: 5\r\n\r\nhello");
});
