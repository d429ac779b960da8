import type { Socket } from "node:net";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { ManualTime } from "../integration/manual-time.ts";
import { eventually, statusOf } from "../integration/proxy-under-test.ts";
import { HostileProxy } from "./hostile-proxy.ts";

let time: ManualTime;
let hostile: HostileProxy;
beforeEach(async () => {
  time = new ManualTime();
  // A back-off of half its length: drawn at random it may be nothing, and then no retry waits.
  hostile = await HostileProxy.start({ clock: time, timers: time.timers, random: () => 0.5 });
});
afterEach(() => hostile.stop());

function chunkOf(fill: string, size: number): string {
  return `${size.toString(16)}\r\n${fill.repeat(size)}\r\n`;
}

/** The data of a chunked request, decoded. */
function bodyOf(request: string): string {
  let rest = request.slice(request.indexOf("\r\n\r\n") + 4);
  let body = "";
  for (;;) {
    const lineEnd = rest.indexOf("\r\n");
    const size = Number.parseInt(rest.slice(0, lineEnd), 16);
    if (!(size > 0)) return body;
    body += rest.slice(lineEnd + 2, lineEnd + 2 + size);
    rest = rest.slice(lineEnd + 4 + size);
  }
}

describe("retries of a body that is still coming", () => {
  /*
   * Symptom: a streamed PUT whose first attempt was cut reached the second upstream without its beginning, well framed.
   * Cause: what came while the retry was due took the kept body over its bound, and then what the first attempt had
   * sent was let go, as if a retry were no longer possible. Fix: with an attempt due, nothing of the body counts as sent.
   */
  it("the second attempt gets the body from its first byte", async () => {
    const { backend } = hostile;
    const client: { socket: Socket; received: string } = { socket: hostile.connect("outbound"), received: "" };
    client.socket.on("error", () => undefined);
    client.socket.on("data", (chunk: Buffer) => {
      client.received += chunk.toString("latin1");
    });
    client.socket.write(`PUT / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n${chunkOf("a", 40_000)}`);
    await eventually(() => backend.received.split("a").length > 40_000, "the first part arrived");
    backend.connections[0]?.socket.resetAndDestroy();
    await eventually(() => hostile.proxy.clusters().outbound.every((cluster) => cluster.endpoints.every((endpoint) => JSON.stringify(endpoint).includes('"activeRequests":0'))), "the proxy noticed");
    client.socket.write(chunkOf("b", 40_000));
    // It waits for the back-off, which does not end before time passes.
    for (let turn = 0; turn < 50; turn++) {
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    }
    expect(backend.connections).toHaveLength(1);
    time.pass(1_000);
    await eventually(() => backend.connections.length === 2, "the second attempt began");
    client.socket.write(`${chunkOf("c", 10)}0\r\n\r\n`);
    await eventually(() => client.received.endsWith("ok"), "it was answered");
    expect(statusOf(client.received)).toBe(200);
    expect(bodyOf(backend.connections[1]?.received ?? "")).toBe("a".repeat(40_000) + "b".repeat(40_000) + "c".repeat(10));
    client.socket.destroy();
  });

  it("a client that gives up while the retry is due: nothing is sent, nothing is left", async () => {
    const { backend } = hostile;
    const timersBefore = time.timers.count;
    const socket = hostile.connect("outbound");
    socket.on("error", () => undefined);
    socket.write("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    backend.answer = (connection) => connection.socket.resetAndDestroy();
    await eventually(() => backend.connections.length === 1 && backend.openCount === 0, "the first attempt was cut");
    await eventually(() => time.timers.count > timersBefore, "a retry is due");
    socket.resetAndDestroy();
    await eventually(() => hostile.proxy.activeCount() === 0, "the stream ended");
    time.pass(10_000);
    await hostile.proxy.metrics();
    expect(backend.connections).toHaveLength(1);
  });
});
