import type { Socket } from "node:net";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { eventually, exchange, rawServer } from "./proxy-under-test.ts";
import { openWay, WAYS, type WayThrough } from "./way-through.ts";

/* Either side goes away in the middle: faults F01, F02, F03, spec/07 7.11. */

const GET = "GET /a HTTP/1.1\r\nHost: reviews\r\nConnection: close\r\n\r\n";

describe.each(WAYS)("disconnects, %s", (way) => {
  let upstream: Awaited<ReturnType<typeof rawServer>>;
  let through: WayThrough;
  let serve: (socket: Socket) => void = () => undefined;
  const upstreams = new Set<Socket>();

  beforeAll(async () => {
    upstream = await rawServer((socket) => {
      upstreams.add(socket);
      // Either way of being told that the proxy has let go of it.
      for (const event of ["close", "end"]) socket.on(event, () => upstreams.delete(socket));
      serve(socket);
    });
    through = await openWay(way, upstream.port);
  });

  afterAll(() => {
    through.stop();
    upstream.close();
  });

  /** Answers every request head with `answer`, then does `after`. */
  const answering = (answer: string, after: (socket: Socket) => void) => (socket: Socket): void => {
    socket.on("data", (chunk: Buffer) => {
      if (chunk.includes("\r\n\r\n")) socket.write(answer, () => after(socket));
    });
  };

  /** What a client sees, and whether the end of it was an ordinary one. */
  function endOf(socket: Socket, request: string): Promise<{ text: string; isCut: boolean }> {
    return new Promise((resolve) => {
      let text = "";
      let isCut = false;
      socket.on("data", (chunk: Buffer) => (text += chunk.toString("latin1")));
      socket.on("error", () => (isCut = true));
      socket.on("close", () => resolve({ text, isCut }));
      socket.on("end", () => socket.end());
      socket.write(request);
    });
  }

  it.each([
    ["a FIN", (socket: Socket) => socket.end()],
    ["a reset", (socket: Socket) => socket.resetAndDestroy()],
  ])("a response cut short by %s is never a whole one (Content-Length)", async (_how, cut) => {
    serve = answering("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it", (socket) => setTimeout(cut, 20, socket));
    const { text } = await endOf(through.connect(), GET);
    // Whatever arrived, it is short of what was announced: no client takes it for whole.
    expect(text.split("\r\n\r\n")[1] ?? "").not.toHaveLength(100);
    await eventually(() => through.activeCount() === 0 && through.upstreamRequests() === 0, "nothing is left");
    expect(through.accessLog.at(-1)?.["response_flags"]).toMatch(/^(UC|UPE|UR)$/);
    expect(through.accessLog.at(-1)).toMatchObject({ response_code: 200, response_code_details: expect.stringMatching(/^upstream_reset_after_response_started\{(?:connection_termination|remote_reset|protocol_error)\}$/) as string });
  });

  it.each([
    ["a FIN", (socket: Socket) => socket.end()],
    ["a reset", (socket: Socket) => socket.resetAndDestroy()],
  ])("a response cut short by %s is never a whole one (chunked)", async (_how, cut) => {
    serve = answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", (socket) => setTimeout(cut, 20, socket));
    const { text } = await endOf(through.connect(), GET);
    expect(text).not.toContain("0\r\n\r\n");
    await eventually(() => through.activeCount() === 0 && through.upstreamRequests() === 0, "nothing is left");
  });

  it("a response that lasts until its connection ends is whole after a FIN and cut after a reset", async () => {
    serve = answering("HTTP/1.1 200 OK\r\n\r\nall of it", (socket) => setTimeout(() => socket.end(), 20));
    const whole = await endOf(through.connect(), GET);
    expect(whole.text).toMatch(/9\r\nall of it\r\n0\r\n\r\n$/);
    serve = answering("HTTP/1.1 200 OK\r\n\r\nhalf of it", (socket) => setTimeout(() => socket.resetAndDestroy(), 20));
    expect((await endOf(through.connect(), GET)).text).not.toMatch(/0\r\n\r\n$/);
  });

  it("a client that leaves in the middle of its upload frees the upstream", async () => {
    let received = "";
    serve = (socket) => socket.on("data", (chunk: Buffer) => (received += chunk.toString("latin1")));
    const client = through.connect();
    client.on("error", () => undefined);
    client.write("POST / HTTP/1.1\r\nHost: reviews\r\nContent-Length: 1000\r\n\r\nbeginning");
    await eventually(() => received.endsWith("beginning"), "the upload arrived");
    client.resetAndDestroy();
    await eventually(() => through.activeCount() === 0 && through.upstreamRequests() === 0 && upstreams.size === 0, "the upstream is free");
    expect(through.accessLog.at(-1)).toMatchObject({ response_code: 0, response_flags: "DC", response_code_details: "downstream_remote_disconnect" });
  });

  it("a client that leaves in the middle of its download frees the upstream", async () => {
    serve = answering("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbeginning", () => undefined);
    const client = through.connect();
    client.on("error", () => undefined);
    client.write(GET);
    let text = "";
    client.on("data", (chunk: Buffer) => (text += chunk.toString("latin1")));
    await eventually(() => text.endsWith("beginning"), "the download began");
    client.resetAndDestroy();
    await eventually(() => through.activeCount() === 0 && through.upstreamRequests() === 0 && upstreams.size === 0, "the upstream is free");
    expect(through.accessLog.at(-1)).toMatchObject({ response_flags: "DC" });
  });

  it("a client that leaves before any answer frees the upstream", async () => {
    let isAsked = false;
    serve = (socket) => socket.on("data", () => (isAsked = true));
    const client = through.connect();
    client.write(GET);
    await eventually(() => isAsked, "the request arrived");
    client.resetAndDestroy();
    await eventually(() => through.activeCount() === 0 && through.upstreamRequests() === 0 && upstreams.size === 0, "the upstream is free");
    expect(through.accessLog.at(-1)).toMatchObject({ response_code: 0, response_flags: "DC" });
  });

  it("a client that only closed its half is found out when the response goes on", async () => {
    let isAsked = false;
    let answer: (text: string) => void = () => undefined;
    serve = (socket) => {
      answer = (text) => socket.write(text);
      socket.on("data", () => (isAsked = true));
    };
    const client = through.connect();
    client.write(GET);
    await eventually(() => isAsked, "the request arrived");
    client.destroy();
    answer("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
    // The first bytes meet a closed socket, whose reset ends everything; nothing else would be heard of it.
    await eventually(() => {
      answer("more of it");
      return through.activeCount() === 0 && through.upstreamRequests() === 0 && upstreams.size === 0;
    }, "the upstream is free");
    expect(through.accessLog.at(-1)).toMatchObject({ response_flags: "DC" });
  });

  it("an answer that is no HTTP is 502", async () => {
    serve = answering("SSH-2.0-OpenSSH_9.6\r\n", () => undefined);
    const answer = await exchange(through.connect(), GET);
    expect(answer).toMatch(/^HTTP\/1\.1 502 /);
    expect(answer).toMatch(/upstream connect error or disconnect\/reset before headers\..*reset reason: protocol error$/);
    await eventually(() => through.activeCount() === 0 && through.upstreamRequests() === 0, "nothing is left");
  });

  it("bytes behind a response are nobody's answer", async () => {
    serve = answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged", () => undefined);
    const socket = through.connect();
    const text = await exchange(socket, "GET /1 HTTP/1.1\r\nHost: reviews\r\n\r\nGET /2 HTTP/1.1\r\nHost: reviews\r\nConnection: close\r\n\r\n");
    expect(text.match(/HTTP\/1\.1 200/g)).toHaveLength(2);
    expect(text).not.toContain("forged");
  });
});
