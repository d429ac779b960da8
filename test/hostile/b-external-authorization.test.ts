import { connect as connectHttp2 } from "node:http2";
import type { ServerResponse } from "node:http";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { AuthorizationStage } from "../integration/authorization-stage.ts";
import { type Resource, security } from "../integration/mesh-resources.ts";
import { eventually } from "../integration/proxy-under-test.ts";
import { FrameFlag, FrameType } from "../../src/codec/http2-frame.ts";
import { rawFrame, uint32 } from "../unit/codec/http2-session-harness.ts";
import { literalHeaders, RawHttp2 } from "./raw-http2.ts";

/*
 * External authorizers that misbehave, and clients that do: nothing passes that was not allowed, nothing that is over
 * is touched again.
 */

let stage: AuthorizationStage;
const PROVIDER: Resource = { headersToUpstreamOnAllow: ["x-user"], headersToDownstreamOnAllow: ["x-seen"] };

beforeAll(async () => {
  stage = await AuthorizationStage.start({ isPermissive: true, provider: PROVIDER });
});
beforeEach(async () => {
  await stage.apply({ isPermissive: true, provider: PROVIDER });
  stage.authorizer.reset();
  stage.application.requests.length = 0;
  stage.callee.accessLog.length = 0;
});
afterAll(() => stage.stop());

const asked = (): Promise<void> => eventually(() => stage.authorizer.questions.length > 0, "the authorizer was asked");
const logged = async (): Promise<Record<string, unknown>> => {
  await eventually(() => stage.callee.accessLog.length > 0, "it was logged");
  return stage.callee.accessLog[0] as Record<string, unknown>;
};
/** Answers are kept until `release`. */
function holdAnswers(): { release(): void } {
  const held: ServerResponse[] = [];
  stage.authorizer.says = () => (response) => held.push(response);
  return { release: () => held.forEach((response) => response.writeHead(200, { "x-user": "alice", "x-seen": "yes" }).end("ok")) };
}

describe("CVE-2026-47205: a client that goes away while its authorizer is asked", () => {
  it("over HTTP/1, before there is an answer: the question is cut, a late answer does nothing", async () => {
    const answers = holdAnswers();
    const socket = stage.connectPlain();
    socket.write("GET /ask HTTP/1.1\r\nHost: reviews\r\n\r\n");
    await asked();
    socket.resetAndDestroy();
    expect(await logged()).toMatchObject({ response_flags: "DC", response_code: 0 });
    await eventually(() => stage.authorizer.abandoned === 1, "the question was cut");
    answers.release();
    await nothingFollows();
  });

  it("over HTTP/1, with a body under way", async () => {
    const answers = holdAnswers();
    const socket = stage.connectPlain();
    socket.write("POST /ask HTTP/1.1\r\nHost: reviews\r\nContent-Length: 100\r\n\r\nsome");
    await asked();
    socket.resetAndDestroy();
    expect(await logged()).toMatchObject({ response_flags: "DC" });
    await eventually(() => stage.authorizer.abandoned === 1, "the question was cut");
    answers.release();
    await nothingFollows();
  });

  it("over HTTP/2, by RST_STREAM, before there is an answer; other streams go on", async () => {
    const answers = holdAnswers();
    const session = connectHttp2("http://reviews", { createConnection: () => stage.connectPlain() });
    session.on("error", () => undefined);
    const gone = session.request({ ":path": "/ask/gone" });
    gone.on("error", () => undefined);
    await asked();
    gone.close(8);
    expect(await logged()).toMatchObject({ path: "/ask/gone", response_flags: "DC" });
    await eventually(() => stage.authorizer.abandoned === 1, "the question was cut");
    const stays = session.request({ ":path": "/ask/stays" });
    const status = new Promise((resolve) => stays.on("response", (head) => resolve(head[":status"])));
    await eventually(() => stage.authorizer.questions.length === 2, "the authorizer was asked again");
    answers.release();
    expect(await status).toBe(200);
    expect(stage.application.requests.map(({ url }) => url)).toEqual(["/ask/stays"]);
    session.destroy();
  });

  /*
   * Symptom: a stream whose body and RST_STREAM came in one segment left a question that nobody cut, for as long as the
   * provider's timeout (10 minutes), with its body: a peer could pile them up. Cause: the gate asks a microtask after the
   * body was there, and said only then whom to tell of the end, which had been. Fix: it says so first, and is told at once.
   */
  it("over HTTP/2, in the segment that ends the body it shows: nobody is asked", async () => {
    await stage.apply({ isPermissive: true, provider: { includeRequestBodyInCheck: { maxRequestBytes: 1000 } } });
    const socket = stage.connectPlain();
    const frames: Buffer[] = [];
    for (let id = 1; id < 20; id += 2) {
      frames.push(
        literalHeaders(id, [[":method", "POST"], [":scheme", "http"], [":path", "/ask/gone"], [":authority", "reviews"]], false),
        rawFrame(FrameType.data, FrameFlag.endStream, id, "body"), rawFrame(FrameType.resetStream, 0, id, uint32(8)),
      );
    }
    RawHttp2.client(socket).send(...frames);
    await eventually(() => stage.callee.accessLog.length === 10, "all are over");
    // A question that was asked before would have come before this one.
    await stage.ask("/ask/after", { method: "POST", body: "body" });
    expect(stage.authorizer.questions.map(({ path }) => path)).toEqual(["/ask/after"]);
    socket.destroy();
  });

  it("at the very moment the answer comes, whichever is first, a hundred times", async () => {
    for (let round = 0; round < 100; round++) {
      const socket = stage.connectPlain();
      socket.on("error", () => undefined);
      // The answer leaves and the client resets in the same turn.
      stage.authorizer.says = () => (response) => {
        if (round % 2 === 0) socket.resetAndDestroy();
        response.writeHead(200, { "x-user": "alice" }).end();
        if (round % 2 === 1) socket.resetAndDestroy();
      };
      socket.write("GET /ask HTTP/1.1\r\nHost: reviews\r\n\r\n");
      await eventually(() => socket.destroyed, "the client is gone");
    }
    await eventually(() => stage.callee.activeCount() === 0, "every request is over");
    expect(stage.callee.accessLog.length).toBe(100);
    expect(await stage.count("outrider_defects_total")).toBe(0);
    stage.authorizer.reset();
    expect((await stage.ask("/ask")).status, "and the proxy serves on").toBe(200);
  });

  it("at the other end of the mesh: both sidecars let go", async () => {
    holdAnswers();
    const socket = stage.pair.connect();
    socket.write("GET /ask HTTP/1.1\r\nHost: reviews\r\n\r\n");
    await asked();
    socket.resetAndDestroy();
    await eventually(() => stage.pair.activeCount() === 0, "both sides are done");
    await eventually(() => stage.authorizer.abandoned === 1, "the question was cut");
  });

  async function nothingFollows(): Promise<void> {
    // A request of its own is through when anything that was to follow would have.
    stage.authorizer.says = () => ({ status: 200 });
    await stage.ask("/ask/after");
    expect(stage.application.requests.map(({ url }) => url)).toEqual(["/ask/after"]);
    expect(stage.callee.accessLog).toHaveLength(2);
    expect(await stage.count("outrider_defects_total")).toBe(0);
    expect(stage.callee.activeCount()).toBe(0);
  }
});

describe("an authorizer that misbehaves lets nothing pass", () => {
  const text = (bytes: string) => (response: ServerResponse): void => {
    response.socket?.end(bytes, "latin1");
  };

  it.each([
    ["closes without an answer", (response: ServerResponse) => response.socket?.end()],
    ["resets", (response: ServerResponse) => response.socket?.resetAndDestroy()],
    ["speaks no HTTP", text("garbage\r\n\r\n")],
    ["answers with two lengths", text("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n")],
    ["answers with a length and chunks", text("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")],
    ["breaks off in its head", text("HTTP/1.1 200 OK\r\nX-Us")],
    ["breaks off in its body", text("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")],
    ["has a NUL in a header", text("HTTP/1.1 200 OK\r\nX-User: a\0b\r\nContent-Length: 0\r\n\r\n")],
    ["folds a header", text("HTTP/1.1 200 OK\r\nX-User: a\r\n X-Admin: yes\r\nContent-Length: 0\r\n\r\n")],
    ["has a head without end", text(`HTTP/1.1 200 OK\r\n${"X-Filler: ".padEnd(8000, "x")}\r\n`.repeat(40))],
    ["switches protocols", text("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")],
    ["never gets beyond 100", text("HTTP/1.1 100 Continue\r\n\r\n".repeat(20))],
  ])("one that %s", async (_what, misbehave) => {
    stage.authorizer.says = () => misbehave;
    const { status, body } = await stage.ask("/ask");
    expect([status, body]).toEqual([403, ""]);
    expect(await logged()).toMatchObject({ response_flags: "UAEX", response_code_details: "ext_authz_error" });
    expect(stage.application.requests).toEqual([]);
    expect(await stage.count("outrider_defects_total")).toBe(0);
  });

  it("one that allows with a body without end: until its time is up", async () => {
    await stage.apply({ isPermissive: true, provider: { ...PROVIDER, timeout: "100ms" } });
    stage.authorizer.says = () => (response) => response.writeHead(200).write("on and on");
    expect((await stage.ask("/ask")).status).toBe(403);
    expect(stage.application.requests).toEqual([]);
  });

  it("one that allows at length: once it has ended, and not where it is cut", async () => {
    const long = Buffer.alloc(200_000, "x");
    stage.authorizer.says = ({ path }) => (response) => {
      if (path === "/ask/whole") response.writeHead(200).end(long);
      else response.writeHead(200, { "content-length": 300_000 }).write(long, () => response.socket?.destroy());
    };
    expect((await stage.ask("/ask/whole")).status).toBe(200);
    expect((await stage.ask("/ask/cut")).status).toBe(403);
    expect(stage.application.requests.map(({ url }) => url)).toEqual(["/ask/whole"]);
  });

  it("one whose refusal is huge: it stays a refusal, without the body", async () => {
    await stage.apply({ isPermissive: true, provider: { ...PROVIDER, failOpen: true } });
    stage.authorizer.says = () => ({ status: 401, headers: { "x-why": "w", "content-encoding": "gzip" }, body: Buffer.alloc(1_048_576, "x") });
    const { status, body, headers } = await stage.ask("/ask");
    expect([status, body, headers["x-why"], headers["content-length"], headers["content-encoding"]]).toEqual([401, "", "w", "0", undefined]);
  });

  it("one that is not there", async () => {
    const gone = await AuthorizationStage.start({ isPermissive: true });
    gone.authorizer.stop();
    expect((await gone.ask("/ask")).status).toBe(403);
    await gone.apply({ isPermissive: true, provider: { failOpen: true, timeout: "1s" } });
    expect((await gone.ask("/ask")).status).toBe(200);
    gone.stop();
  });

  it("one that closed the connection it was asked on before: it is asked again", async () => {
    for (let round = 0; round < 20; round++) {
      expect((await stage.ask("/ask")).status).toBe(200);
      stage.authorizer.closeIdle();
    }
  });

  it("one that closes each connection it is asked on again: it is asked on a new one, whatever others are idle", async () => {
    const questions = new WeakMap<object, number>();
    const held: ServerResponse[] = [];
    stage.authorizer.says = () => (response) => {
      const { socket } = response;
      if (socket === null) return;
      const before = questions.get(socket) ?? 0;
      questions.set(socket, before + 1);
      if (before > 0) socket.destroy();
      else if (held.push(response) >= 3) for (const waiting of held) waiting.end();
    };
    // Three at once leave three idle connections.
    expect((await Promise.all([1, 2, 3].map(() => stage.ask("/ask")))).map(({ status }) => status)).toEqual([200, 200, 200]);
    expect((await stage.ask("/ask")).status).toBe(200);
  });

  it("one that says what the application alone may say: no header frames, names or routes anew", async () => {
    stage.authorizer.says = () => (response) => response.socket?.end("HTTP/1.1 403 No\r\nConnection: keep-alive, x-a\r\nKeep-Alive: timeout=5\r\nTransfer-Encoding: chunked\r\nX-Outrider-Authz: deny; id=theirs\r\nx-envoy-peer-metadata: AAAA\r\nx-envoy-peer-metadata-id: me\r\nTrailer: x-t\r\n\r\n2\r\nno\r\n0\r\nx-t: 1\r\n\r\n");
    const { status, body, rawHeaders } = await stage.ask("/ask");
    expect([status, body]).toEqual([403, "no"]);
    const sent = rawHeaders.join("\n").toLowerCase();
    for (const absent of ["keep-alive", "trailer", "theirs", "peer-metadata", "transfer-encoding"]) expect(sent).not.toContain(absent);
  });
});

describe("what changes while the authorizer is asked", () => {
  it("a configuration: the question ends under the one it began with", async () => {
    const answers = holdAnswers();
    const answer = stage.ask("/ask");
    await asked();
    await stage.apply({ isPermissive: true, rules: [{ to: [{ operation: { paths: ["/other"] } }] }] });
    answers.release();
    const { status, headers } = await answer;
    expect([status, headers["x-seen"]]).toEqual([200, "yes"]);
    expect(stage.application.requests[0]?.headers["x-user"]).toBe("alice");
    expect((await stage.ask("/ask")).status, "nobody is asked any more").toBe(200);
    expect(stage.authorizer.questions).toHaveLength(1);
  });

  it("the rules: what a DENY policy of today forbids does not pass by an answer of today", async () => {
    const answers = holdAnswers();
    const answer = stage.ask("/ask");
    await asked();
    await stage.apply({ isPermissive: true, provider: PROVIDER, more: [security("AuthorizationPolicy", "closed", { action: "DENY", rules: [{}] })] });
    answers.release();
    expect(await answer).toMatchObject({ status: 403, body: "RBAC: access denied" });
  });

  it("the provider disappears: what is under way is decided by it, what comes is denied", async () => {
    const answers = holdAnswers();
    const answer = stage.ask("/ask");
    await asked();
    await stage.apply({ isPermissive: true, more: [security("AuthorizationPolicy", "second", { action: "CUSTOM", provider: { name: "missing" }, rules: [{}] })] });
    answers.release();
    expect((await answer).status).toBe(200);
    expect(await stage.ask("/ask")).toMatchObject({ status: 403, body: "RBAC: access denied" });
    await eventually(() => stage.callee.accessLog.length === 2, "both were logged");
    expect(stage.callee.accessLog[1]).toMatchObject({ response_code_details: expect.stringMatching(/-deny-due-to-bad-CUSTOM-action\]$/) as string });
  });
});
