import type { ServerHttp2Stream } from "node:http2";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { GrpcStage } from "../integration/ext-authz-stage.ts";
import { answerOf, beginAnswer, GrpcApplication, GrpcClient } from "../integration/grpc-peers.ts";
import { eventually, rawServer } from "../integration/proxy-under-test.ts";
import { meshClient } from "../integration/mesh-client.ts";
import { encodeCheckResponse } from "../unit/filter/ext-authz-proto.ts";

const message = (bytes: Buffer): Buffer => {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([prefix, bytes]);
};
const ALLOW = message(encodeCheckResponse({ status: { code: 0 } }));
const allow = (stream: ServerHttp2Stream): void => {
  beginAnswer(stream, 0);
  stream.end(ALLOW);
};

let authorizer: GrpcApplication;
let stage: GrpcStage;

beforeAll(async () => {
  authorizer = await GrpcApplication.start();
  stage = await GrpcStage.start({ authorizerPort: authorizer.port, provider: { timeout: "0.5s" } });
});
afterAll(() => {
  stage.stop();
  authorizer.stop();
});
beforeEach(() => {
  authorizer.handle = allow;
  stage.served.splice(0);
  stage.proxy.accessLog.splice(0);
});

const noDefect = (): void => expect(stage.proxy.logLines.filter((line) => line.includes("defect"))).toEqual([]);

describe("an authorizer over gRPC that misbehaves is no authorizer", () => {
  it.each<[string, (stream: ServerHttp2Stream) => void]>([
    ["answers with noise", (stream) => { beginAnswer(stream, 0); stream.end(message(Buffer.from("hello, world"))); }],
    ["answers with half a message", (stream) => { beginAnswer(stream, 0); stream.end(ALLOW.subarray(0, 6)); }],
    ["answers with a compressed message", (stream) => { beginAnswer(stream, 0); stream.end(Buffer.concat([Buffer.from([1]), ALLOW.subarray(1)])); }],
    ["answers twice", (stream) => { beginAnswer(stream, 0); stream.end(Buffer.concat([ALLOW, ALLOW])); }],
    ["answers with no message", (stream) => { beginAnswer(stream, 0); stream.end(); }],
    ["announces 4 GB", (stream) => { beginAnswer(stream, 0); stream.end(Buffer.from("00ffffffff0a00", "hex")); }],
    ["nests a message without end", (stream) => { beginAnswer(stream, 0); stream.end(message(nested(2000))); }],
    ["allows, and then fails", (stream) => { beginAnswer(stream, 13); stream.end(ALLOW); }],
    ["allows without a status", (stream) => { stream.respond({ ":status": 200, "content-type": "application/grpc" }); stream.end(ALLOW); }],
    ["has only a status", (stream) => { stream.respond({ ":status": 200, "content-type": "application/grpc", "grpc-status": "0" }, { endStream: true }); }],
    ["has a status nobody knows", (stream) => { stream.respond({ ":status": 200, "content-type": "application/grpc", "grpc-status": "zero" }, { endStream: true }); }],
    ["is a page", (stream) => { stream.respond({ ":status": 200, "content-type": "text/html" }); stream.end("<h1>ok</h1>"); }],
    ["is moved", (stream) => { stream.respond({ ":status": 301, location: "http://elsewhere/" }, { endStream: true }); }],
    ["resets the call", (stream) => stream.close(2)],
    ["resets it in the middle", (stream) => { beginAnswer(stream, 0); stream.write(ALLOW.subarray(0, 4)); setImmediate(() => stream.close(8)); }],
    ["goes away", (stream) => stream.session?.goaway(0, 0)],
    ["drops the connection", (stream) => stream.session?.destroy()],
    ["never ends its answer", (stream) => { beginAnswer(stream, 0); stream.write(ALLOW); }],
    ["says nothing at all", () => undefined],
    ["talks without end", (stream) => { beginAnswer(stream, 0); talk(stream); }],
    ["sends a message of 2 MB", (stream) => { beginAnswer(stream, 0); stream.end(message(Buffer.alloc(2_000_000))); }],
  ])("%s", async (_about, handle) => {
    authorizer.handle = handle;
    const answer = await stage.call("/x");
    expect([answer.status, answer.body]).toEqual([403, ""]);
    await eventually(() => stage.proxy.accessLog.length === 1, "the access-log line");
    expect(stage.proxy.accessLog[0]).toMatchObject({ response_flags: "UAEX", response_code_details: "ext_authz_error" });
    expect(stage.served).toEqual([]);
    // It is asked again by the next request, and believed.
    authorizer.handle = allow;
    expect((await stage.call("/next")).status).toBe(200);
    noDefect();
  });

  it("speaks another protocol", async () => {
    for (const words of ["HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "SSH-2.0-x\r\n", "\0".repeat(100)]) {
      const other = await rawServer((socket) => {
        socket.resume();
        socket.write(words);
      });
      await stage.apply({ authorizerPort: other.port });
      expect((await stage.call("/x")).status).toBe(403);
      other.close();
    }
    await stage.apply({});
    expect(stage.served).toEqual([]);
    noDefect();
  });
});

describe("CVE-2026-47205: a client that is gone while an authorizer over gRPC is asked", () => {
  const cases = ["before the answer", "in the turn of the answer"] as const;

  it.each(cases)("over HTTP/2, reset %s", async (when) => {
    const asked: ServerHttp2Stream[] = [];
    authorizer.handle = (stream) => asked.push(stream);
    const client = new GrpcClient(meshClient(stage.proxy.connectInbound(stage.applicationPort), { alpn: ["istio-h2", "istio", "h2"] }));
    const call = client.call();
    await eventually(() => asked.length === 1, "it is asked about");
    const question = asked[0] as ServerHttp2Stream;
    if (when === "in the turn of the answer") allow(question);
    call.close(8);
    await eventually(() => question.closed, "the question is over");
    if (when === "before the answer") expect(question.rstCode).not.toBe(0);
    // The connection and all others go on.
    authorizer.handle = allow;
    const next = client.call();
    next.end();
    expect((await answerOf(next)).head[":status"]).toBe(200);
    expect((await stage.call("/next")).status).toBe(200);
    client.stop();
    noDefect();
  });

  it("over HTTP/1, many at once", async () => {
    const asked: ServerHttp2Stream[] = [];
    authorizer.handle = (stream) => asked.push(stream);
    const clients = Array.from({ length: 50 }, () => {
      const socket = stage.proxy.connectInbound(stage.applicationPort);
      socket.on("error", () => undefined);
      socket.write("GET /gone HTTP/1.1\r\nHost: api\r\n\r\n");
      return socket;
    });
    await eventually(() => asked.length === 50, "all are asked about");
    clients.forEach((socket, index) => {
      if (index % 2 === 0) allow(asked[index] as ServerHttp2Stream);
      socket.resetAndDestroy();
    });
    await eventually(() => stage.proxy.activeCount() === 0 && asked.every((stream) => stream.closed), "all are over");
    authorizer.handle = allow;
    expect((await stage.call("/next")).status).toBe(200);
    noDefect();
  });
});

/** A message whose first field is a message whose first field is a message, and so on. */
function nested(depth: number): Buffer {
  let bytes = Buffer.alloc(0);
  for (let level = 0; level < depth; level++) {
    const length = bytes.length;
    const varint = length < 128 ? [length] : [(length & 127) | 128, length >> 7];
    bytes = Buffer.concat([Buffer.from([0x0a, ...varint]), bytes]);
  }
  return bytes;
}

function talk(stream: ServerHttp2Stream): void {
  const more = (): void => {
    if (stream.closed) return;
    if (stream.write(Buffer.alloc(65_536))) setImmediate(more);
    else stream.once("drain", more);
  };
  more();
}
