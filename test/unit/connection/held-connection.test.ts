import type { Socket } from "node:net";
import { afterEach, beforeEach, expect, it } from "vitest";

import { HeldConnection } from "../../../src/connection/held-connection.ts";
import { eventually } from "../../integration/proxy-under-test.ts";
import { type Peer, SocketPairs } from "./socket-pair.ts";

let pairs: SocketPairs;
let near: Socket;
let far: Peer;
let gone: number;

beforeEach(async () => {
  pairs = await SocketPairs.open();
  ({ near, far } = await pairs.connect());
  near.pause();
  near.on("error", () => undefined);
  gone = 0;
});
afterEach(() => pairs.close());

const hold = (firstBytes: Buffer | null = null): HeldConnection => new HeldConnection(near, firstBytes, () => gone++);

it("gives what came before and meanwhile, in order, and leaves the socket paused", async () => {
  const held = hold(Buffer.from("one "));
  far.socket.write("two ");
  await eventually(() => near.bytesRead === 4, "it is read");
  expect(held.release().toString()).toBe("one two ");
  expect([near.isPaused(), near.listenerCount("data"), gone]).toEqual([true, 0, 0]);
  far.socket.write("three");
  const rest = await new Promise((resolve) => {
    near.once("data", (chunk: Buffer) => resolve(chunk.toString()));
    near.resume();
  });
  expect(rest).toBe("three");
});

it("gives nothing where nothing came", () => {
  expect(hold().release()).toHaveLength(0);
});

it("reads no further than its bound, and loses nothing", async () => {
  const held = hold();
  const sent = Buffer.alloc(1_000_000, "x");
  far.socket.write(sent);
  await eventually(() => near.isPaused(), "it stops reading");
  const kept = held.release();
  expect(kept.length).toBeLessThan(200_000);
  let rest = 0;
  near.on("data", (chunk: Buffer) => (rest += chunk.length));
  near.resume();
  await eventually(() => kept.length + rest === sent.length, "the rest comes");
});

it("tells once that the connection is gone", async () => {
  const held = hold(Buffer.from("one"));
  far.socket.resetAndDestroy();
  await eventually(() => gone === 1, "it is told");
  expect(held.release()).toHaveLength(0);
  expect(gone).toBe(1);
});

it("keeps one whose sender has ended it", async () => {
  const held = hold();
  far.socket.end("last");
  await eventually(() => near.readableEnded, "the end is read");
  expect([held.release().toString(), gone, near.destroyed]).toEqual(["last", 0, false]);
});
