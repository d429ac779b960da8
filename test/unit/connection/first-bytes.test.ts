import type { Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FirstBytes, type FirstBytesReceiver } from "../../../src/connection/first-bytes.ts";
import { ManualTime } from "../cluster/fakes.ts";
import { Peer, SocketPairs } from "./socket-pair.ts";

/** Says that the bytes are enough once they have a line end. */
class LineReceiver implements FirstBytesReceiver {
  readonly told: string[] = [];
  defect: Error | null = null;
  /** Takes the socket over within the call, as the next owner does. */
  onTaken: () => void = () => undefined;

  bytes(bytes: Buffer): boolean {
    if (this.defect !== null) throw this.defect;
    const text = bytes.toString("latin1");
    if (!text.includes("\n")) return false;
    this.told.push(`bytes ${JSON.stringify(text)}`);
    this.onTaken();
    return true;
  }

  silent(bytes: Buffer, hasEnded: boolean): void {
    if (this.defect !== null) throw this.defect;
    this.told.push(`${hasEnded ? "ended" : "silent"} ${bytes.length > 20 ? bytes.length : JSON.stringify(bytes.toString("latin1"))}`);
    this.onTaken();
  }

  closed(): void {
    this.told.push("closed");
  }
}

let pairs: SocketPairs;
let near: Socket;
let far: Peer;
const time = new ManualTime();
const defects: unknown[] = [];

beforeEach(async () => {
  pairs = await SocketPairs.open();
  ({ near, far } = await pairs.connect());
  defects.length = 0;
});
afterEach(() => pairs.close());

function wait(receiver = new LineReceiver()): LineReceiver {
  new FirstBytes(near, receiver, { timers: time.timers, defect: (_where, cause) => defects.push(cause) }, 1000);
  return receiver;
}

/** Resolves when the receiver took over. */
function taken(receiver: LineReceiver): Promise<void> {
  return new Promise((resolve) => {
    receiver.onTaken = resolve;
  });
}

const owns = (socket: Socket): number[] => ["data", "end"].map((event) => socket.listenerCount(event));

describe("FirstBytes", () => {
  it("hands on what came, and nothing is lost before the next owner reads", async () => {
    const receiver = wait();
    let next: Peer | null = null;
    const over = new Promise<void>((resolve) => {
      receiver.onTaken = () => {
        next = new Peer(near);
        resolve();
      };
    });
    far.socket.write("he");
    far.socket.write("llo\n");
    await over;
    expect(receiver.told).toEqual(['bytes "hello\\n"']);
    expect(near.isPaused()).toBe(true);
    far.socket.end("more");
    near.resume();
    await (next as unknown as Peer).until((peer) => peer.hasEnded);
    expect((next as unknown as Peer).received).toBe("more");
    expect(time.timers.count).toBe(0);
  });

  it("is silent when not enough comes in time, and lets go of the socket", async () => {
    const before = owns(near);
    const receiver = wait();
    far.socket.write("he");
    await new Promise((resolve) => near.once("data", resolve));
    time.pass(1500);
    expect(receiver.told).toEqual(['silent "he"']);
    expect([near.isPaused(), ...owns(near)]).toEqual([true, ...before]);
    time.pass(5000);
    expect(receiver.told).toHaveLength(1);
  });

  /*
   * Symptom: what a client sent before it ended its direction was thrown away, and the connection closed, on every port
   * whose protocol is looked for. Cause: FIN was taken for the end of the connection. Fix: it is the end of what can be
   * decided by; the peer may still wait for an answer (F44).
   */
  it("hands on what came before a FIN, and leaves the other direction open", async () => {
    const receiver = wait();
    const over = taken(receiver);
    far.socket.end("hello");
    await over;
    expect(receiver.told).toEqual(['ended "hello"']);
    near.end("answer");
    await far.until((peer) => peer.hasEnded);
    expect(far.received).toBe("answer");
    expect(time.timers.count).toBe(0);
  });

  it("tells of a connection that is reset, once", async () => {
    const receiver = wait();
    far.socket.resetAndDestroy();
    await new Promise((resolve) => near.once("close", resolve));
    expect(receiver.told).toEqual(["closed"]);
    expect(time.timers.count).toBe(0);
  });

  it("hands on what there is when somebody else decides, once", async () => {
    const receiver = new LineReceiver();
    const first = new FirstBytes(near, receiver, { timers: time.timers, defect: (_where, cause) => defects.push(cause) }, 1000);
    far.socket.write("he");
    await new Promise((resolve) => near.once("data", resolve));
    const before = owns(near);
    const taken: string[] = [];
    const take = (bytes: Buffer): void => {
      taken.push(bytes.toString());
      // As its next owner does within the call.
      near.resume();
    };
    first.decide(take);
    first.decide(take);
    expect([taken, near.isPaused(), time.timers.count]).toEqual([["he"], false, 0]);
    expect(owns(near).map((count, index) => (before[index] ?? 0) - count)).toEqual([1, 1]);
    time.pass(5000);
    expect(receiver.told).toEqual([]);
  });

  it("does not let anybody else decide after its receiver has, nor touch a socket that is somebody else's then", async () => {
    const receiver = new LineReceiver();
    const first = new FirstBytes(near, receiver, { timers: time.timers, defect: (_where, cause) => defects.push(cause) }, 1000);
    const over = taken(receiver).then(() => near.resume());
    far.socket.write("line\n");
    await over;
    first.decide(() => receiver.told.push("decided"));
    expect([receiver.told, near.isPaused()]).toEqual([['bytes "line\\n"'], false]);
  });

  it("reads no more than it may", async () => {
    const receiver = wait();
    const over = taken(receiver);
    far.socket.write("x".repeat(300_000));
    await over;
    expect(receiver.told[0]).toMatch(/^silent \d+$/);
    expect(Number(receiver.told[0]?.slice(7))).toBeLessThanOrEqual(2 * 65_536);
    expect(time.timers.count).toBe(0);
  });

  it.each(["line\n", "no line"])("closes a connection whose receiver throws, and no more than that (F39)", async (text) => {
    const receiver = new LineReceiver();
    receiver.defect = new Error("boom");
    wait(receiver);
    far.socket.end(text);
    await far.until((peer) => peer.isClosed || peer.hasEnded);
    expect(near.destroyed).toBe(true);
    expect(defects).toEqual([receiver.defect]);
    expect(time.timers.count).toBe(0);
  });
});
