import { type ClientHttp2Session, type ClientHttp2Stream, connect as connectHttp2, constants, createServer as createHttp2Server, type Http2Server, type IncomingHttpHeaders, type OutgoingHttpHeaders, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { RawBackend } from "../hostile/raw-backend.ts";
import { RawHttp2 } from "../hostile/raw-http2.ts";
import { type Http2Answer, RawHttp2Backend } from "../hostile/raw-http2-backend.ts";
import { portOf } from "./mesh-resources.ts";
import { eventually, exchange, statusOf } from "./proxy-under-test.ts";
import { asSent, openTransparentWay, TRANSPARENT_WAYS, type TransparentWay } from "./transparent-way.ts";

/* HTTP/2 and HTTP/1 on either side of the sidecars: spec/07 7.6, RFC 9113 section 8, RFC 8441. */

interface Heard {
  readonly headers: IncomingHttpHeaders & Record<string, unknown>;
  readonly informational: IncomingHttpHeaders[];
  readonly trailers: IncomingHttpHeaders | null;
  readonly body: string;
  readonly resetCode: number;
}

/** Listens to a stream to its end. */
function listen(stream: ClientHttp2Stream): Promise<Heard> {
  return new Promise((resolve) => {
    const informational: IncomingHttpHeaders[] = [];
    let headers: IncomingHttpHeaders = {};
    let trailers: IncomingHttpHeaders | null = null;
    let body = "";
    stream.on("headers", (block) => informational.push(block));
    stream.on("response", (block) => (headers = block));
    stream.on("trailers", (block) => (trailers = block));
    stream.on("data", (chunk: Buffer) => (body += chunk.toString("latin1")));
    stream.on("error", () => undefined);
    stream.on("close", () => resolve({ headers, informational, trailers, body, resetCode: stream.rstCode }));
  });
}

function openSession(through: TransparentWay): ClientHttp2Session {
  const session = connectHttp2("http://reviews", { createConnection: () => through.connect() });
  session.on("error", () => undefined);
  return session;
}

const ask = (session: ClientHttp2Session, headers: OutgoingHttpHeaders, body?: string | Buffer): Promise<Heard> => {
  const stream = session.request({ ":authority": "reviews", ...headers }, { endStream: body === undefined });
  if (body !== undefined) stream.end(body);
  return listen(stream);
};

describe.each(TRANSPARENT_WAYS)("an HTTP/2 client of an HTTP/1 application by %s", (way) => {
  let backend: RawBackend;
  let through: TransparentWay;
  let session: ClientHttp2Session;
  beforeAll(async () => {
    backend = await RawBackend.listen();
    through = await openTransparentWay(way, backend.port);
  });
  beforeEach(() => {
    backend.forget();
    session = openSession(through);
  });
  afterEach(() => session.destroy());
  afterAll(() => {
    through.stop();
    backend.close();
  });

  const answerWith = (text: string): void => {
    backend.answer = (connection) => connection.socket.write(text, "latin1");
  };

  it("a request without a body: :authority is Host, crumbs are one cookie, te is kept as trailers", async () => {
    answerWith("HTTP/1.1 200 Fine\r\nX-Answer: Yes\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\nContent-Length: 2\r\n\r\nok");
    const { headers, body } = await ask(session, { ":path": "/a?b", cookie: ["a=b", "c=d"], te: "trailers", "x-a": "1" });
    expect(headers[":status"]).toBe(200);
    expect(headers["x-answer"]).toBe("Yes");
    expect(headers["set-cookie"]).toEqual(["a=b", "c=d"]);
    expect(headers["content-length"]).toBe("2");
    expect(body).toBe("ok");
    const sent = asSent(backend.received);
    expect(sent).toMatch(/^GET \/a\?b HTTP\/1\.1\r\nHost: reviews\r\n/);
    expect(sent).toContain("\r\ncookie: a=b; c=d\r\n");
    expect(sent).not.toMatch(/transfer-encoding|content-length/i);
  });

  it("a body whose length is told, and one whose is not", async () => {
    await ask(session, { ":method": "POST", "content-length": 5 }, "hello");
    expect(asSent(backend.received)).toMatch(/\r\nContent-Length: 5\r\n\r\nhello$/);
    backend.forget();
    await ask(session, { ":method": "POST" }, "hello");
    expect(asSent(backend.received)).toMatch(/\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n$/);
  });

  it("large bodies both ways", async () => {
    const large = "x".repeat(300_000);
    backend.answer = (connection) => connection.socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${large.length}\r\n\r\n${large}`);
    const { body } = await ask(session, { ":method": "POST", "content-length": large.length }, large);
    expect(body).toBe(large);
    expect(backend.received.endsWith(large)).toBe(true);
  });

  it("trailers both ways", async () => {
    answerWith("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n");
    const stream = session.request({ ":authority": "reviews", ":method": "POST" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "x-trail": "2" }));
    const heard = listen(stream);
    stream.end("hello");
    expect((await heard).trailers).toMatchObject({ "x-sum": "1" });
    expect(backend.received).toMatch(/\r\n0\r\nx-trail: 2\r\n\r\n$/);
  });

  it("HEAD, 204 and 304 have no body", async () => {
    backend.answer = (connection, request) => connection.socket.write(request.startsWith("HEAD")
      ? "HTTP/1.1 200 OK\r\nContent-Length: 55\r\n\r\n" : `HTTP/1.1 ${request.startsWith("GET /304") ? "304 Not Modified" : "204 No Content"}\r\nX-A: 1\r\n\r\n`);
    const head = await ask(session, { ":method": "HEAD" });
    expect([head.headers[":status"], head.headers["content-length"], head.body]).toEqual([200, "55", ""]);
    for (const path of ["/204", "/304"]) {
      const { headers, body, resetCode } = await ask(session, { ":path": path });
      expect([headers[":status"], body, resetCode]).toEqual([Number(path.slice(1)), "", 0]);
      expect(headers["content-length"]).toBeUndefined();
    }
  });

  it("a response that lasts to the end of its connection ends the stream; one that is cut resets it", async () => {
    backend.answer = (connection) => connection.socket.end("HTTP/1.1 200 OK\r\n\r\nall of it");
    const whole = await ask(session, {});
    expect([whole.body, whole.resetCode]).toEqual(["all of it", 0]);
    backend.answer = (connection) => connection.socket.end("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhalf of it");
    expect((await ask(session, {})).resetCode).not.toBe(constants.NGHTTP2_NO_ERROR);
  });

  it("103 comes before its answer", async () => {
    answerWith("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    const { informational, body } = await ask(session, {});
    expect(informational.map((block) => [block[":status" as never], block.link])).toEqual([[103, "</a>"]]);
    expect(body).toBe("ok");
  });

  it("an answer before the request is complete, and the rest of it is not wanted", async () => {
    backend.onData = (connection) => {
      connection.socket.write("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
      backend.onData = () => true;
      return true;
    };
    const stream = session.request({ ":authority": "reviews", ":method": "POST", "content-length": 1_000_000 });
    const heard = listen(stream);
    stream.write("x");
    const { headers, body, resetCode } = await heard;
    expect([headers[":status"], body, resetCode]).toEqual([413, "no", constants.NGHTTP2_NO_ERROR]);
    await eventually(() => backend.connections.every((connection) => connection.isGone), "its connection is not used again");
  });

  it("the client's reset closes the application's connection", async () => {
    backend.answer = () => undefined;
    const stream = session.request({ ":authority": "reviews" });
    const heard = listen(stream);
    await eventually(() => backend.received.includes("\r\n\r\n"), "the request arrived");
    const used = backend.connections.find((connection) => connection.received !== "");
    stream.close(constants.NGHTTP2_CANCEL);
    await heard;
    await eventually(() => used?.isGone ?? false, "the connection was closed");
    await eventually(() => through.activeCount() === 0, "nothing is under way");
  });

  it("http2_request_without_authority: Host stands for it", async () => {
    const client = RawHttp2.client(through.connect());
    client.headers(1, [[":method", "GET"], [":scheme", "http"], [":path", "/"], ["host", "reviews"]]);
    expect((await client.done(1)).status).toBe(200);
    expect(asSent(backend.received)).toBe("GET / HTTP/1.1\r\nHost: reviews\r\n\r\n");
    client.socket.destroy();
  });

  it("many at once on one connection", async () => {
    backend.answer = (connection, request) => connection.socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n${/GET \/(\d{4})/.exec(request)?.[1]}`);
    const answers = await Promise.all(Array.from({ length: 80 }, (_, index) => ask(session, { ":path": `/${1_000 + index}` })));
    expect(answers.map(({ body }) => Number(body))).toEqual(answers.map((_, index) => 1_000 + index));
  });

  it("WebSocket by extended CONNECT (RFC 8441)", async () => {
    backend.answer = (connection) => {
      backend.onData = (_, chunk) => {
        connection.socket.write(chunk.toString("latin1").toUpperCase());
        return true;
      };
      connection.socket.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Protocol: chat\r\n\r\n");
    };
    await eventually(() => session.remoteSettings?.enableConnectProtocol === true, "it is offered");
    const stream = session.request({ ":method": "CONNECT", ":protocol": "websocket", ":scheme": "http", ":path": "/chat", ":authority": "reviews", "sec-websocket-version": "13" }, { endStream: false });
    const heard = listen(stream);
    let body = "";
    stream.on("data", (chunk: Buffer) => (body += chunk.toString()));
    stream.write("hello");
    await eventually(() => body === "HELLO", "the tunnel echoes");
    expect(asSent(backend.received)).toMatch(/^GET \/chat HTTP\/1\.1\r\nHost: reviews\r\n/);
    expect(backend.received).toMatch(/\r\nupgrade: websocket\r\n/i);
    stream.end();
    await eventually(() => backend.connections.some(({ hasEnded }) => hasEnded), "the end went through");
    const { headers } = await heard;
    expect([headers[":status"], headers["sec-websocket-protocol"], headers["upgrade"]]).toEqual([200, "chat", undefined]);
  });
});

describe.each(TRANSPARENT_WAYS)("an HTTP/2 application by %s", (way) => {
  let application: Http2Server;
  let handle: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void = () => undefined;
  let through: TransparentWay;
  const sessions = new Set<ServerHttp2Session>();
  beforeAll(async () => {
    application = createHttp2Server({ settings: { enableConnectProtocol: true } });
    application.on("session", (opened) => {
      sessions.add(opened);
      opened.on("error", () => undefined);
      opened.on("close", () => sessions.delete(opened));
    });
    application.on("stream", (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
      stream.on("error", () => undefined);
      handle(stream, headers);
    });
    await new Promise<void>((resolve) => {
      application.listen(0, "127.0.0.1", resolve);
    });
    through = await openTransparentWay(way, portOf(application), { portName: "grpc" });
  });
  afterAll(() => {
    through.stop();
    for (const opened of sessions) opened.destroy();
    application.close();
  });

  /** Answers once the request is complete. */
  const echo = (extra: OutgoingHttpHeaders = {}) => (stream: ServerHttp2Stream): void => {
    let body = "";
    stream.on("data", (chunk: Buffer) => (body += chunk.toString("latin1")));
    stream.on("end", () => {
      stream.respond({ ":status": 200, ...extra }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "x-sum": "1" }));
      stream.end(`${body}!`);
    });
  };

  describe("and an HTTP/1 client", () => {
    const askHttp1 = (text: string): Promise<string> => exchange(through.connect(), text);

    it("bodies and trailers, Host is :authority", async () => {
      let seen: IncomingHttpHeaders = {};
      let trailers: IncomingHttpHeaders = {};
      handle = (stream, headers) => {
        seen = headers;
        stream.on("trailers", (block) => (trailers = block));
        echo()(stream);
      };
      const answer = await askHttp1("POST /a?b HTTP/1.1\r\nHOST: reviews\r\nX-A: 1\r\nCookie: a=b\r\nTE: trailers\r\nConnection: close, TE\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Trail: 2\r\n\r\n");
      expect(answer).toMatch(/\r\n\r\n6\r\nhello!\r\n0\r\nx-sum: 1\r\n\r\n$/);
      expect(seen).toMatchObject({ ":method": "POST", ":path": "/a?b", ":authority": "reviews", "x-a": "1", cookie: "a=b", te: "trailers" });
      for (const name of ["host", "connection", "transfer-encoding", "x-outrider-spelling"]) expect(seen[name]).toBeUndefined();
      await eventually(() => trailers["x-trail"] === "2", "the trailers came");
    });

    /*
     * Symptom: of an HTTP/2 application's 204, clients of HTTP/1 read "HTTP/1.1 204 " with nothing behind it. Cause: HTTP/2 has
     * no reason phrases and none was put in its place. Fix: the usual one, as Envoy writes it.
     */
    it("HEAD and 204", async () => {
      handle = (stream, headers) => stream.respond(headers[":method"] === "HEAD" ? { ":status": 200, "content-length": 55 } : { ":status": 204 }, { endStream: true });
      expect(await askHttp1("HEAD / HTTP/1.1\r\nHost: reviews\r\nConnection: close\r\n\r\n")).toMatch(/\r\nContent-Length: 55\r\n[^]*\r\n\r\n$/i);
      expect(await askHttp1("GET / HTTP/1.1\r\nHost: reviews\r\nConnection: close\r\n\r\n")).toMatch(/^HTTP\/1\.1 204 No Content\r\n(?:[^\r]+\r\n)*\r\n$/);
    });

    it("a client that leaves resets the stream", async () => {
      let code = -1;
      handle = (stream) => {
        stream.resume();
        stream.respond({ ":status": 200 });
        stream.write("begun");
        stream.on("close", () => (code = stream.rstCode));
      };
      const socket = through.connect();
      let received = "";
      socket.on("data", (chunk: Buffer) => (received += chunk.toString()));
      socket.write("GET / HTTP/1.1\r\nHost: reviews\r\n\r\n");
      await eventually(() => received.includes("begun"), "the answer began");
      socket.resetAndDestroy();
      await eventually(() => code === constants.NGHTTP2_CANCEL, "the stream was cancelled");
    });
  });

  describe("and an HTTP/2 client", () => {
    let session: ClientHttp2Session;
    beforeEach(() => {
      session = openSession(through);
    });
    afterEach(() => session.destroy());

    it("bodies, trailers and fields both ways", async () => {
      let seen: IncomingHttpHeaders = {};
      handle = (stream, headers) => {
        seen = headers;
        echo({ "x-answer": "1" })(stream);
      };
      const { headers, body, trailers } = await ask(session, { ":method": "POST", ":path": "/a", "x-a": "1", te: "trailers", cookie: ["a=b", "c=d"] }, "hello");
      expect([headers[":status"], headers["x-answer"], body]).toEqual([200, "1", "hello!"]);
      expect(trailers).toMatchObject({ "x-sum": "1" });
      expect(seen).toMatchObject({ ":path": "/a", ":authority": "reviews", "x-a": "1", te: "trailers", cookie: "a=b; c=d" });
      expect(JSON.stringify([seen, headers])).not.toContain("outrider");
    });

    it("a megabyte both ways at once", async () => {
      handle = (stream) => {
        stream.respond({ ":status": 200 });
        stream.pipe(stream);
      };
      const large = Buffer.alloc(1_000_000, "abcdefgh");
      const { body } = await ask(session, { ":method": "POST" }, large);
      expect(body === large.toString("latin1")).toBe(true);
    });

    it("the client's reset is passed on", async () => {
      let code = -1;
      handle = (stream) => stream.on("close", () => (code = stream.rstCode));
      const stream = session.request({ ":authority": "reviews", ":method": "POST" });
      void listen(stream);
      stream.write("x");
      await eventually(() => sessions.size > 0 && through.activeCount() > 0, "it is under way");
      await new Promise((resolve) => {
        setTimeout(resolve, 30);
      });
      stream.close(constants.NGHTTP2_CANCEL);
      await eventually(() => code === constants.NGHTTP2_CANCEL, "the application's stream was cancelled");
    });

    it("HEAD, 204, an answer before the request is complete", async () => {
      handle = (stream, headers) => stream.respond(headers[":method"] === "HEAD" ? { ":status": 200, "content-length": 55 } : { ":status": 204 }, { endStream: true });
      const head = await ask(session, { ":method": "HEAD" });
      expect([head.headers[":status"], head.headers["content-length"], head.body]).toEqual([200, "55", ""]);
      expect((await ask(session, {})).headers[":status"]).toBe(204);
      handle = (stream) => {
        stream.respond({ ":status": 413 });
        stream.end("no");
      };
      const stream = session.request({ ":authority": "reviews", ":method": "POST" });
      const heard = listen(stream);
      stream.write("x");
      const { headers, body } = await heard;
      expect([headers[":status"], body]).toEqual([413, "no"]);
    });

    it("103 comes before its answer", async () => {
      handle = (stream) => {
        stream.additionalHeaders({ ":status": 103, link: "</a>" });
        stream.respond({ ":status": 200 }, { endStream: true });
      };
      expect((await ask(session, {})).informational.map((block) => block.link)).toEqual(["</a>"]);
    });

    it("WebSocket by extended CONNECT on both sides (RFC 8441)", async () => {
      handle = (stream, headers) => {
        stream.respond(headers[":protocol"] === "websocket" ? { ":status": 200 } : { ":status": 400 });
        stream.on("data", (chunk: Buffer) => stream.write(chunk.toString().toUpperCase()));
        stream.on("end", () => stream.end());
      };
      await eventually(() => session.remoteSettings?.enableConnectProtocol === true, "it is offered");
      const stream = session.request({ ":method": "CONNECT", ":protocol": "websocket", ":scheme": "http", ":path": "/chat", ":authority": "reviews" }, { endStream: false });
      const heard = listen(stream);
      stream.write("hello");
      stream.on("data", () => stream.end());
      const { headers, body } = await heard;
      expect([headers[":status"], body]).toEqual([200, "HELLO"]);
    });
  });
});

describe.each(TRANSPARENT_WAYS)("an HTTP/2 application that resets, by %s", (way) => {
  let backend: RawHttp2Backend;
  let through: TransparentWay;
  beforeAll(async () => {
    backend = await RawHttp2Backend.listen();
    through = await openTransparentWay(way, backend.port, { portName: "grpc" });
  });
  beforeEach(() => backend.reset());
  afterAll(() => {
    through.stop();
    backend.reset();
    backend.close();
  });

  const resetAtOnce: Http2Answer = (peer, id) => peer.reset(id, constants.NGHTTP2_ENHANCE_YOUR_CALM);
  const resetWithin: Http2Answer = (peer, id) => {
    peer.headers(id, [[":status", "200"]], false);
    peer.data(id, "half");
    setTimeout(() => peer.reset(id, constants.NGHTTP2_ENHANCE_YOUR_CALM), 20);
  };

  it("http2_rst_stream_is_propagated: before an answer it is one, behind a head it is a reset", async () => {
    const session = openSession(through);
    backend.answer = resetAtOnce;
    expect((await ask(session, { ":method": "POST" }, "x")).headers[":status"]).toBe(503);
    backend.answer = resetWithin;
    const { headers, resetCode } = await ask(session, {});
    expect(headers[":status"]).toBe(200);
    expect(resetCode).not.toBe(constants.NGHTTP2_NO_ERROR);
    session.destroy();
  });

  it("a client of HTTP/1 gets an answer, or a body that is cut", async () => {
    backend.answer = resetAtOnce;
    expect(statusOf(await exchange(through.connect(), "POST / HTTP/1.1\r\nHost: reviews\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))).toBe(503);
    backend.answer = resetWithin;
    const answer = await exchange(through.connect(), "GET / HTTP/1.1\r\nHost: reviews\r\nConnection: close\r\n\r\n");
    expect(statusOf(answer)).toBe(200);
    expect(answer).not.toMatch(/\r\n0\r\n\r\n$/);
  });
});
