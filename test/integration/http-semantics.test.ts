import { createServer } from "node:http";
import { createHash } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { ask } from "./http-client.ts";
import { eventually, exchange, rawServer, statusOf } from "./proxy-under-test.ts";
import { portOf } from "./mesh-resources.ts";
import { TestApplication } from "./test-application.ts";
import { openWay, WAYS, type WayThrough } from "./way-through.ts";

/* What HTTP/1 has beside a request and a response: spec/07 7.1, 7.3, 7.6 and 7.8. */

describe.each(WAYS)("HTTP, %s", (way) => {
  let application: TestApplication;
  let through: WayThrough;
  let handle: (request: IncomingMessage, response: ServerResponse) => void = () => undefined;

  beforeAll(async () => {
    application = await TestApplication.start("app", (request, response) => handle(request, response));
    application.server.on("checkContinue", (request: IncomingMessage, response: ServerResponse) => {
      if (request.headers["x-refuse"] !== undefined) {
        response.writeHead(417).end();
        return;
      }
      response.writeContinue();
      handle(request, response);
    });
    application.server.on("upgrade", (request: IncomingMessage, socket: Socket, first: Buffer) => serveWebSocket(request, socket, first));
    through = await openWay(way, application.port);
  });

  afterAll(() => {
    through.stop();
    application.stop();
  });

  function serveWebSocket(request: IncomingMessage, socket: Socket, first: Buffer): void {
    const accept = createHash("sha1").update(`${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
    const echo = (chunk: Buffer): void => {
      socket.write(Buffer.from(chunk.toString("latin1").toUpperCase(), "latin1"));
    };
    if (first.length > 0) echo(first);
    socket.on("data", echo);
    socket.on("error", () => socket.destroy());
    // After the client's FIN it still has something to say.
    socket.on("end", () => setTimeout(() => socket.end("BYE"), 50));
  }

  it("relays 100 Continue, which the application gives", async () => {
    handle = (request, response) => {
      request.resume();
      request.on("end", () => response.end("taken"));
    };
    const socket = through.connect();
    const head = "POST / HTTP/1.1\r\nHost: reviews\r\nContent-Length: 4\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n";
    let received = "";
    socket.on("data", (chunk: Buffer) => (received += chunk.toString("latin1")));
    socket.write(head);
    await eventually(() => received === "HTTP/1.1 100 Continue\r\n\r\n", "the application said to continue");
    socket.write("body");
    await eventually(() => received.endsWith("taken"), "the request was answered");
    socket.destroy();
  });

  it("lets an application refuse an expectation without a body", async () => {
    const head = "POST / HTTP/1.1\r\nHost: reviews\r\nX-Refuse: 1\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
    const answer = await exchange(through.connect(), head);
    expect(statusOf(answer)).toBe(417);
  });

  it("relays 103 Early Hints before the answer", async () => {
    handle = (_request, response) => {
      response.writeEarlyHints({ link: "</a.css>; rel=preload" }, () => response.end("page"));
    };
    const answer = await ask(through.connect());
    expect([answer.informational, answer.status, answer.body]).toEqual([[103], 200, "page"]);
  });

  it("carries answers without a body: HEAD, 204 and 304", async () => {
    handle = (request, response) => {
      const status = Number(request.url?.slice(1));
      response.writeHead(status, status === 204 ? {} : { "content-length": 5, etag: '"e"' }).end(request.method === "HEAD" || status !== 200 ? undefined : "hello");
    };
    const text = await exchange(through.connect(), [
      "HEAD /200 HTTP/1.1\r\nHost: reviews\r\n\r\n", "GET /204 HTTP/1.1\r\nHost: reviews\r\n\r\n", "GET /304 HTTP/1.1\r\nHost: reviews\r\n\r\n",
      "GET /200 HTTP/1.1\r\nHost: reviews\r\nConnection: close\r\n\r\n",
    ].join(""));
    expect(text.match(/^HTTP\/1\.1 \d+/gm)).toEqual(["HTTP/1.1 200", "HTTP/1.1 204", "HTTP/1.1 304", "HTTP/1.1 200"]);
    expect(text.match(/content-length: 5/gi)).toHaveLength(3);
    expect(text.match(/hello/g)).toHaveLength(1);
  });

  it("answers pipelined requests in their order, however long each takes", async () => {
    handle = (request, response) => {
      const number = Number(request.url?.slice(1));
      setTimeout(() => response.end(`[${number}]`), number % 3 === 0 ? 20 : 0);
    };
    const requests = Array.from({ length: 12 }, (_, index) => `GET /${index} HTTP/1.1\r\nHost: reviews\r\n${index === 11 ? "Connection: close\r\n" : ""}\r\n`);
    const text = await exchange(through.connect(), requests.join(""));
    expect(text.match(/\[\d+\]/g)).toEqual(requests.map((_, index) => `[${index}]`));
  });

  it("serves an HTTP/1.0 client, with and without keep-alive", async () => {
    handle = (request, response) => {
      response.write("in ");
      response.end(`pieces ${request.httpVersion}`);
    };
    const plain = await exchange(through.connect(), "GET / HTTP/1.0\r\nHost: reviews\r\n\r\n");
    // No length is known and HTTP/1.0 has no chunks: the end of the connection is the end of the answer.
    expect(plain).toMatch(/^HTTP\/1\.1 200 [^]*\r\n\r\nin pieces 1\.[01]$/);
    expect(plain.toLowerCase()).not.toContain("transfer-encoding");
    handle = (_request, response) => response.end("whole");
    const kept = await exchange(through.connect(), "GET / HTTP/1.0\r\nHost: reviews\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\nHost: reviews\r\n\r\n");
    expect(kept.match(/whole/g)).toHaveLength(2);
    expect(kept.toLowerCase()).toContain("connection: keep-alive");
  });

  it("keeps case, order and repetition of fields, and drops what is for one hop", async () => {
    handle = (_request, response) => response.setHeader("X-Answer-CaSe", ["1", "2"]).setHeader("Keep-Alive", "timeout=5").end();
    const headers = { "X-One": ["a", "b"], "x-TWO": "c", Cookie: "k=v", "Proxy-Connection": "keep-alive", "X-Hop": "mine", TE: "trailers, gzip" };
    const answer = await ask(through.connect(), { headers: { ...headers, connection: "close, X-Hop" } });
    const seen = application.requests.at(-1);
    const names = seen?.rawHeaders.filter((_, index) => index % 2 === 0) ?? [];
    expect(names.filter((name) => /x-one|x-two|cookie/i.test(name))).toEqual(["X-One", "X-One", "x-TWO", "Cookie"]);
    expect(seen?.headers["proxy-connection"]).toBeUndefined();
    expect(seen?.headers["x-hop"]).toBeUndefined();
    expect(seen?.headers.te ?? "trailers").toBe("trailers");
    expect(answer.rawHeaders.filter((name) => name === "X-Answer-CaSe")).toHaveLength(2);
    expect(answer.headers["keep-alive"]).toBeUndefined();
  });

  it("switches to WebSocket and carries bytes both ways until both have ended", async () => {
    const upgrade = "GET /chat HTTP/1.1\r\nHost: reviews\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    const socket = through.connect();
    let received = "";
    let hasEnded = false;
    socket.on("data", (chunk: Buffer) => (received += chunk.toString("latin1")));
    socket.on("end", () => (hasEnded = true));
    socket.write(upgrade);
    await eventually(() => received.includes("\r\n\r\n"), "the protocol was switched");
    expect(received).toMatch(/^HTTP\/1\.1 101 /);
    expect(received).toContain("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    received = "";
    socket.write("hello");
    await eventually(() => received === "HELLO", "the bytes came back");
    expect(through.activeCount()).toBeGreaterThan(0);
    socket.end("bye");
    await eventually(() => hasEnded, "the other half ended as well");
    expect(received).toBe("HELLOBYEBYE");
    await eventually(() => through.activeCount() === 0 && through.upstreamRequests() === 0, "nothing is left");
    expect(through.accessLog.at(-1)).toMatchObject({ response_code: 101, response_flags: "-" });
  });

  it("passes a refused upgrade on as the answer it is", async () => {
    const refusing = createServer((_request, response) => response.writeHead(403).end("no"));
    await new Promise<void>((resolve) => {
      refusing.listen(0, "127.0.0.1", resolve);
    });
    const other = await openWay(way, portOf(refusing));
    const answer = await exchange(other.connect(), "GET / HTTP/1.1\r\nHost: reviews\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", (text) => text.endsWith("no"));
    expect(statusOf(answer)).toBe(403);
    other.stop();
    refusing.close();
  });

  it("serves a request that asks for another upgrade as a plain one", async () => {
    handle = (request, response) => response.end(`upgrade: ${request.headers.upgrade ?? "none"}`);
    const answer = await ask(through.connect(), { headers: { connection: "Upgrade", upgrade: "TLS/1.2" } });
    expect([answer.status, answer.body]).toEqual([200, "upgrade: none"]);
  });

  it("names itself, and says how long the application took", async () => {
    handle = (_request, response) => response.setHeader("server", "the application's").end();
    const answer = await ask(through.connect());
    expect(answer.headers.server).toBe(way === "plaintext inbound" ? "istio-envoy" : "envoy");
    expect(answer.headers["x-envoy-upstream-service-time"]).toMatch(/^\d+$/);
    expect(application.requests.at(-1)?.headers["x-request-id"]).toMatch(/^[0-9a-f-]{36}$/);
    expect(application.requests.at(-1)?.headers["x-forwarded-proto"]).toBe("http");
  });

  it("gives up a tunnel that is cut", async () => {
    const upstreams: Socket[] = [];
    const raw = await rawServer((socket) => {
      upstreams.push(socket);
      socket.once("data", () => socket.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"));
    });
    const other = await openWay(way, raw.port);
    const socket = other.connect();
    let received = "";
    let isClosed = false;
    socket.on("data", (chunk: Buffer) => (received += chunk.toString("latin1")));
    socket.on("error", () => undefined);
    socket.on("close", () => (isClosed = true));
    socket.write("GET / HTTP/1.1\r\nHost: reviews\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    await eventually(() => received.includes("101"), "the tunnel is open");
    upstreams[0]?.resetAndDestroy();
    await eventually(() => isClosed && other.activeCount() === 0, "the client lost it too");
    other.stop();
    raw.close();
  });
});
