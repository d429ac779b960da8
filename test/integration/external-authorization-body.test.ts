import { connect as connectHttp2 } from "node:http2";
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { AuthorizationStage } from "./authorization-stage.ts";
import { ask } from "./http-client.ts";
import { eventually, exchange, statusOf } from "./proxy-under-test.ts";
import { TestApplication } from "./test-application.ts";

/*
 * `includeRequestBodyInCheck` (spec/05 5.5): the body is held, shown, and goes on as it came, over HTTP/1 and HTTP/2.
 */

const MAX = 1000;
const shows = (more: Record<string, unknown> = {}) => ({ isPermissive: true, provider: { includeRequestBodyInCheck: { maxRequestBytes: MAX, ...more } } });

let stage: AuthorizationStage;
/** What reached the application, request by request. */
let received: { readonly request: IncomingMessage; body: string }[];

beforeAll(async () => {
  const application = await TestApplication.start("application", (request, response) => {
    const entry = { request, body: "" };
    received.push(entry);
    request.setEncoding("latin1");
    request.on("data", (chunk: string) => (entry.body += chunk));
    request.on("error", () => undefined);
    request.on("end", () => response.end("application"));
  });
  stage = await AuthorizationStage.start(shows(), application);
});
beforeEach(async () => {
  stage.authorizer.reset();
  received = [];
  stage.callee.accessLog.length = 0;
  await stage.apply(shows());
});
afterAll(() => stage.stop());

const logged = async (): Promise<Record<string, unknown>> => {
  await eventually(() => stage.callee.accessLog.length > 0, "it was logged");
  return stage.callee.accessLog[0] as Record<string, unknown>;
};
const textOf = (length: number): string => Array.from({ length }, (_, index) => String.fromCharCode(97 + (index % 26))).join("");
const chunked = (body: string, trailers = ""): string => `POST /ask HTTP/1.1\r\nHost: reviews\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n${trailers}\r\n`;

/** A request over HTTP/2 with prior knowledge; resolves with its status. */
function askHttp2(body: string, trailers: Record<string, string> | null, headers: Record<string, string> = {}): Promise<number> {
  return new Promise((resolve, reject) => {
    const session = connectHttp2("http://reviews", { createConnection: () => stage.connectPlain() });
    session.on("error", reject);
    const stream = session.request({ ":method": "POST", ":path": "/ask", ...headers }, { waitForTrailers: trailers !== null });
    let status = 0;
    stream.on("response", (head) => (status = head[":status"] ?? 0));
    stream.on("wantTrailers", () => stream.sendTrailers(trailers ?? {}));
    stream.on("error", reject);
    stream.on("close", () => {
      session.destroy();
      resolve(status);
    });
    stream.resume();
    stream.end(body);
  });
}

describe("a body that is shown", () => {
  it("is shown whole, with its length, and goes on as it came", async () => {
    const body = textOf(MAX);
    for (const connect of [() => stage.connectPlain(), () => stage.pair.connect()]) {
      received = [];
      expect((await ask(connect(), { method: "POST", path: "/ask", body })).status).toBe(200);
      expect(stage.authorizer.last).toMatchObject({ body, headers: { "content-length": String(MAX), "x-envoy-auth-partial-body": "false" } });
      expect(received[0]).toMatchObject({ body, request: { headers: { "content-length": String(MAX) } } });
    }
  });

  it("is shown whole in chunks, its trailers kept, over HTTP/1 and HTTP/2", async () => {
    expect(statusOf(await exchange(stage.connectPlain(), chunked("some body", "x-sum: 1\r\n")))).toBe(200);
    expect(await askHttp2("some body", { "x-sum": "1" })).toBe(200);
    expect(stage.authorizer.questions.map(({ body }) => body)).toEqual(["some body", "some body"]);
    expect(received.map(({ body, request }) => [body, request.trailers["x-sum"]])).toEqual([["some body", "1"], ["some body", "1"]]);
  });

  it("may be in so many pieces as it likes, slow ones", async () => {
    const socket = stage.connectPlain();
    socket.write("POST /ask HTTP/1.1\r\nHost: reviews\r\nContent-Length: 6\r\nConnection: close\r\n\r\n");
    for (const piece of ["ab", "cd"]) {
      socket.write(piece);
      await new Promise((resolve) => setTimeout(resolve, 5));
      expect(stage.authorizer.questions).toEqual([]);
    }
    expect(statusOf(await exchange(socket, "ef"))).toBe(200);
    expect([stage.authorizer.last.body, received[0]?.body]).toEqual(["abcdef", "abcdef"]);
  });

  it("is nothing where there is none, or where the connection is to become a tunnel", async () => {
    await ask(stage.connectPlain(), { path: "/ask" });
    await ask(stage.connectPlain(), { method: "POST", path: "/ask", headers: { "content-length": 0 } });
    await exchange(stage.connectPlain(), "GET /ask HTTP/1.1\r\nHost: reviews\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", () => true);
    for (const { headers, body } of stage.authorizer.questions) expect([body, headers["x-envoy-auth-partial-body"], headers.upgrade]).toEqual(["", undefined, undefined]);
    expect(stage.authorizer.questions).toHaveLength(3);
  });

  it("too large is refused with 413, by its announced length before any of it is read", async () => {
    const head = `POST /ask HTTP/1.1\r\nHost: reviews\r\nContent-Length: ${MAX + 1}\r\nExpect: 100-continue\r\n\r\n`;
    const answer = await exchange(stage.connectPlain(), head);
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
    expect(answer).toContain("Payload Too Large");
    expect(statusOf(await exchange(stage.connectPlain(), chunked(textOf(MAX + 1))))).toBe(413);
    expect(await askHttp2(textOf(MAX + 1), null)).toBe(413);
    expect([stage.authorizer.questions, received]).toEqual([[], []]);
    expect(await logged()).toMatchObject({ response_code: 413, response_code_details: "request_payload_too_large" });
  });

  it("too large is shown in part where that is allowed, and goes on whole", async () => {
    await stage.apply(shows({ allowPartialMessage: true }));
    const body = textOf(300_000);
    expect(statusOf(await exchange(stage.connectPlain(), chunked(body)))).toBe(200);
    expect(await askHttp2(body, { "x-sum": "2" })).toBe(200);
    for (const question of stage.authorizer.questions) expect(question).toMatchObject({ body: body.slice(0, MAX), headers: { "content-length": String(MAX), "x-envoy-auth-partial-body": "true" } });
    expect(received.map((entry) => entry.body === body)).toEqual([true, true]);
    expect(received[1]?.request.trailers["x-sum"]).toBe("2");
  });

  it("is asked for where the client waits for that (Expect: 100-continue)", async () => {
    const socket = stage.connectPlain();
    const head = "POST /ask HTTP/1.1\r\nHost: reviews\r\nContent-Length: 4\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n";
    let answer = "";
    socket.on("data", (chunk: Buffer) => {
      answer += chunk.toString("latin1");
      if (answer === "HTTP/1.1 100 Continue\r\n\r\n") socket.write("body");
    });
    socket.write(head);
    await new Promise((resolve) => socket.on("end", resolve));
    socket.destroy();
    expect(answer).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK\r\n/);
    expect(stage.authorizer.last.body).toBe("body");
    expect(received[0]).toMatchObject({ body: "body" });
    expect(received[0]?.request.headers).not.toHaveProperty("expect");
  });

  it("is read no further than the bound while the authorizer thinks", async () => {
    await stage.apply(shows({ allowPartialMessage: true }));
    const size = 64 * 1_048_576;
    let release: () => void = () => undefined;
    stage.authorizer.says = () => (response) => (release = () => response.end());
    const socket = stage.connectPlain();
    const answered = exchange(socket, `POST /ask HTTP/1.1\r\nHost: reviews\r\nContent-Length: ${size}\r\nConnection: close\r\n\r\n`);
    socket.write(Buffer.alloc(size, "x"));
    await eventually(() => stage.authorizer.questions.length === 1, "the authorizer was asked");
    await eventually(() => standsStill(socket), "the client has to wait");
    expect(socket.writableLength).toBeGreaterThan(size / 2);
    release();
    expect(statusOf(await answered)).toBe(200);
    expect(received[0]?.body.length).toBe(size);
  }, 30_000);

  it("whose sender goes away is asked about by nobody", async () => {
    const socket = stage.connectPlain();
    socket.write("POST /ask HTTP/1.1\r\nHost: reviews\r\nContent-Length: 6\r\n\r\nabc");
    await eventually(() => stage.callee.activeCount() === 1, "it has begun");
    socket.resetAndDestroy();
    expect(await logged()).toMatchObject({ response_flags: "DC" });
    expect([stage.authorizer.questions, received, stage.callee.activeCount()]).toEqual([[], [], 0]);
  });
});

/** True when the socket has taken nothing for a while. */
async function standsStill(socket: Socket): Promise<boolean> {
  const before = socket.writableLength;
  await new Promise((resolve) => setTimeout(resolve, 100));
  return socket.writableLength === before;
}
