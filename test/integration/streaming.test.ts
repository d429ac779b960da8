import { createHash } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { request as httpRequest } from "node:http";
import type { Socket } from "node:net";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { ask } from "./http-client.ts";
import { PatientWriter } from "./patient-writer.ts";
import { eventually } from "./proxy-under-test.ts";
import { TestApplication } from "./test-application.ts";
import { openWay, WAYS, type WayThrough } from "./way-through.ts";

/* Bodies on their way through, large, slow, framed either way: spec/07 7.6 and 7.11, faults F24 and F25. */

const LARGE = 20 * 1024 * 1024;
/** Half of this fits neither into the kernel's buffers of three connections, which may grow to tens of megabytes, nor into ours. */
const TOO_MUCH = 120 * 1024 * 1024;
const pattern = Buffer.from(Array.from({ length: 65_521 }, (_, index) => index % 251));
const sha = (body: Buffer): string => createHash("sha256").update(body).digest("hex");
const body = (length: number): Buffer => Buffer.alloc(length, pattern);

describe.each(WAYS)("bodies, %s", (way) => {
  let application: TestApplication;
  let through: WayThrough;
  let handle: (request: IncomingMessage, response: ServerResponse) => void = () => undefined;

  beforeAll(async () => {
    application = await TestApplication.start("app", (request, response) => handle(request, response));
    through = await openWay(way, application.port);
  });

  afterAll(() => {
    through.stop();
    application.stop();
  });

  it.each(["content-length", "chunked"])("carries 20 MB up and down, framed by %s", async (framing) => {
    handle = (request, response) => {
      const hash = createHash("sha256");
      request.on("data", (chunk: Buffer) => hash.update(chunk));
      request.on("end", () => {
        response.setHeader("x-received", hash.digest("hex"));
        response.setHeader("x-framing", String(request.headers["transfer-encoding"] ?? request.headers["content-length"]));
        if (framing === "content-length") response.setHeader("content-length", LARGE);
        // Without a length announced, the first of several pieces makes Node answer in chunks.
        response.write(body(LARGE - 1));
        response.end(body(LARGE).subarray(-1));
      });
    };
    const headers = framing === "chunked" ? { "transfer-encoding": "chunked" } : {};
    const answer = await ask(through.connect(), { method: "POST", body: body(LARGE), headers });
    expect(answer.headers["x-received"]).toBe(sha(body(LARGE)));
    expect(answer.headers["x-framing"]).toBe(framing === "chunked" ? "chunked" : String(LARGE));
    expect(answer.headers["content-length"]).toBe(framing === "chunked" ? undefined : String(LARGE));
    expect(sha(Buffer.from(answer.body, "latin1"))).toBe(sha(body(LARGE)));
    await eventually(() => through.accessLog.length > 0 && through.activeCount() === 0, "the request ended");
    expect(through.accessLog.at(-1)).toMatchObject({ bytes_received: LARGE, bytes_sent: LARGE, response_flags: "-", response_code_details: "via_upstream" });
  });

  it("carries trailers of both sides", async () => {
    handle = (request, response) => {
      request.resume();
      request.on("end", () => {
        response.writeHead(200, { trailer: "x-down" });
        response.write("body");
        response.addTrailers({ "x-down": String(request.trailers["x-up"]) });
        response.end();
      });
    };
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      const request = httpRequest({ createConnection: () => through.connect(), method: "POST", headers: { host: "reviews", trailer: "x-up", "transfer-encoding": "chunked" } }, (response) => {
        response.resume();
        response.on("end", () => resolve(response));
      });
      request.on("error", reject);
      request.write("body");
      request.addTrailers({ "x-up": "sent after the body" });
      request.end();
    });
    expect(answer.trailers).toEqual({ "x-down": "sent after the body" });
  });

  it("holds a fast uploader back while the application does not read", async () => {
    let upload: IncomingMessage | null = null;
    let taken = 0;
    handle = (request, response) => {
      upload = request;
      request.on("end", () => response.end("done"));
    };
    const socket = through.connect();
    let answer = "";
    socket.on("data", (chunk: Buffer) => (answer += chunk.toString("latin1")));
    const total = TOO_MUCH;
    socket.write(`POST / HTTP/1.1\r\nHost: reviews\r\nContent-Length: ${total}\r\nConnection: close\r\n\r\n`);
    const writer = new PatientWriter(socket, total);
    await eventually(() => upload !== null, "the head arrived before the body");
    await writer.stalled();
    expect(writer.taken).toBeLessThan(total / 2);
    (upload as IncomingMessage | null)?.on("data", (chunk: Buffer) => (taken += chunk.length));
    await eventually(() => answer.endsWith("done"), "the whole upload was answered");
    expect(taken).toBe(total);
  });

  it("holds a fast responder back while the client does not read", async () => {
    let writer: PatientWriter | null = null;
    const total = TOO_MUCH;
    handle = (_request, response) => {
      response.writeHead(200, { "content-length": total, connection: "close" });
      response.flushHeaders();
      writer = new PatientWriter(response.socket as Socket, total);
    };
    const socket = through.connect();
    let received = 0;
    socket.pause();
    socket.on("data", (chunk: Buffer) => (received += chunk.length));
    socket.pause();
    socket.write("GET / HTTP/1.1\r\nHost: reviews\r\nConnection: close\r\n\r\n");
    await eventually(() => writer !== null, "the application was asked");
    await (writer as PatientWriter | null)?.stalled();
    expect((writer as PatientWriter | null)?.taken).toBeLessThan(total / 2);
    socket.resume();
    await eventually(() => received > total, "the whole response came");
    await eventually(() => through.activeCount() === 0, "the request ended");
  });

  it("passes a response on that comes before its request is complete, and closes", async () => {
    handle = (_request, response) => response.writeHead(413, { "content-length": 3 }).end("too");
    const socket = through.connect();
    let answer = "";
    socket.on("data", (chunk: Buffer) => (answer += chunk.toString("latin1")));
    const ended = new Promise((resolve) => {
      socket.on("end", resolve);
    });
    socket.on("error", () => socket.destroy());
    socket.write("POST / HTTP/1.1\r\nHost: reviews\r\nContent-Length: 1000000\r\n\r\nthe beginning");
    await eventually(() => answer.endsWith("too"), "the early answer came");
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
    // The rest of the upload has nowhere to go: the connection ends, though the client never closed it.
    await ended;
    await eventually(() => through.activeCount() === 0 && through.upstreamRequests() === 0, "the upload was given up");
    socket.destroy();
  });
});
