import type { Socket } from "node:net";

import { afterEach, describe, expect, it } from "vitest";

import { freePort } from "./free-port.ts";
import { ask } from "./http-client.ts";
import { kernelBytes, PatientWriter } from "./patient-writer.ts";
import { ProxyPair } from "./proxy-pair.ts";
import { eventually, exchange, rawServer } from "./proxy-under-test.ts";
import { TestApplication } from "./test-application.ts";

/* Opaque bytes through mutual TLS between two proxies: spec/02 2.5 and 2.7, faults F19 and F44. */

describe("opaque connections between two proxies", () => {
  const stops: (() => void)[] = [];

  afterEach(() => {
    for (const stop of stops.splice(0)) stop();
  });

  async function open(serve: (socket: Socket) => void): Promise<ProxyPair> {
    const server = await rawServer(serve);
    const pair = await ProxyPair.start({ port: server.port, portName: "tcp" });
    stops.push(() => pair.stop(), () => server.close());
    return pair;
  }

  it("carries bytes both ways under the caller's identity", async () => {
    const pair = await open((socket) => socket.pipe(socket));
    expect(await exchange(pair.connect(), "\x00\x01 ping", (received) => received.endsWith("ping"))).toBe("\x00\x01 ping");
    await eventually(() => pair.activeCount() === 0 && pair.callee.accessLog.length > 0, "the connection ended");
    expect(pair.callee.accessLog.at(-1)).toMatchObject({ direction: "inbound", method: null, peer_principal: "spiffe://cluster.local/ns/default/sa/productpage" });
    expect(pair.caller.accessLog.at(-1)).toMatchObject({ peer_principal: "spiffe://cluster.local/ns/default/sa/reviews" });
  });

  it("passes each half's end on by itself", async () => {
    const pair = await open((socket) => {
      let received = 0;
      socket.on("data", (chunk: Buffer) => (received += chunk.length));
      socket.on("end", () => socket.end(`got ${received}`));
    });
    const socket = pair.connect();
    const answer = exchange(socket, "x".repeat(100_000));
    socket.end();
    expect(await answer).toBe("got 100000");
    await eventually(() => pair.activeCount() === 0, "both proxies are done with it");
  });

  it.each(["the server", "the client"])("passes on that %s cut the connection", async (who) => {
    const servers: Socket[] = [];
    const serverErrors: string[] = [];
    const pair = await open((socket) => {
      servers.push(socket);
      socket.on("error", (error: NodeJS.ErrnoException) => serverErrors.push(error.code ?? ""));
      socket.pipe(socket);
    });
    const client = pair.connect();
    let received = "";
    let clientError = "";
    client.on("data", (chunk: Buffer) => (received += chunk.toString()));
    client.on("error", (error: NodeJS.ErrnoException) => (clientError = error.code ?? ""));
    client.write("hello");
    await eventually(() => received === "hello", "the bytes came back");
    (who === "the server" ? servers[0] : client)?.resetAndDestroy();
    // A clean end would let the other side take what it has for all there is.
    await eventually(() => (who === "the server" ? clientError : serverErrors[0]) === "ECONNRESET", "the other side was reset");
    await eventually(() => pair.activeCount() === 0, "both proxies are done with it");
  });

  it("resets when nobody listens at the callee, and both proxies live on", async () => {
    const gone = { port: await freePort() };
    const pair = await ProxyPair.start({ port: gone.port, portName: "tcp" });
    stops.push(() => pair.stop());
    for (let round = 0; round < 3; round++) expect(await exchange(pair.connect(), "hello").catch(() => "")).toBe("");
    await eventually(() => pair.callee.accessLog.at(-1)?.["response_flags"] === "UF,URX", "the callee said why");
    await eventually(() => pair.activeCount() === 0, "nothing is left");
  });

  it("answers 503 for an application that is not there, and its own calls go out still", async () => {
    const application = await TestApplication.start("app");
    const pair = await ProxyPair.start({ port: application.port });
    stops.push(() => pair.stop(), () => application.stop());
    expect((await ask(pair.connect())).status).toBe(200);
    application.stop();
    const answer = await ask(pair.connect());
    expect(answer.status).toBe(503);
    expect(pair.callee.accessLog.at(-1)).toMatchObject({ response_flags: expect.stringContaining("UF") as string, direction: "inbound" });
    const other = await TestApplication.start("other");
    stops.push(() => other.stop());
    expect((await ask(pair.callee.connectOutbound({ address: "127.0.0.1", port: other.port }), { host: "elsewhere" })).body).toBe("other");
  });

  it("holds the writer back when the reader is slow", async () => {
    // Of which the kernel takes what it likes, on the three connections there are.
    const total = kernelBytes(3) + 16 * 1024 * 1024;
    let taken = 0;
    let reader: Socket | null = null;
    const pair = await open((socket) => {
      reader = socket.pause();
      socket.on("data", (chunk: Buffer) => (taken += chunk.length));
    });
    const writer = new PatientWriter(pair.connect(), total);
    await eventually(() => reader !== null, "the server was reached");
    await writer.stalled();
    expect(writer.taken).toBeLessThan(total);
    (reader as Socket | null)?.resume();
    await eventually(() => taken === total, "all of it came through");
  });
});
