import type { Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Acquisition } from "../../../src/cluster/cluster.ts";
import type { Endpoint } from "../../../src/cluster/endpoint.ts";
import type { TcpReceiver } from "../../../src/cluster/tcp-dial.ts";
import type { TcpLease } from "../../../src/cluster/tcp-lease.ts";
import { EarlyDial, type EarlyDialOptions } from "../../../src/connection/early-dial.ts";
import { ProxyError } from "../../../src/message/proxy-error.ts";
import { ManualTime } from "../cluster/fakes.ts";
import { Peer, SocketPairs } from "./socket-pair.ts";

/** Who takes over. */
class Taker implements TcpReceiver {
  readonly told: string[] = [];
  socket: Socket | null = null;

  connected(socket: Socket): void {
    this.told.push("connected");
    this.socket = socket;
  }

  failed(error: ProxyError): void {
    this.told.push(`failed ${error.code}`);
  }
}

let pairs: SocketPairs;
let downstream: Socket;
let client: Peer;
let upstream: Socket;
let server: Peer;
let time: ManualTime;
let dial: TcpReceiver | null;
let dials: number;
let told: string[];
let isAllowed: boolean;
let onSpoke: () => void;
let defects: unknown[];

beforeEach(async () => {
  pairs = await SocketPairs.open();
  ({ near: downstream, far: client } = await pairs.connect());
  ({ near: upstream, far: server } = await pairs.connect());
  time = new ManualTime();
  dial = null;
  dials = 0;
  told = [];
  isAllowed = true;
  onSpoke = () => undefined;
  defects = [];
});
afterEach(() => pairs.close());

function begin(change: Partial<EarlyDialOptions> = {}): EarlyDial {
  const connect = (receiver: TcpReceiver): Acquisition => {
    dials++;
    dial = receiver;
    return { cancel: () => told.push("dial cancelled") };
  };
  return new EarlyDial(downstream, "db", connect, {
    delayMs: 0, graceMs: 0, isAllowed: () => isAllowed, onUpstreamSpoke: () => {
      told.push("spoke");
      onSpoke();
    }, ...change,
  }, { timers: time.timers, defect: (_where, cause) => defects.push(cause) });
}

const lease = (socket: Socket): TcpLease => ({
  destroy: () => {
    told.push("released");
    socket.destroy();
  },
}) as unknown as TcpLease;
const succeed = (): void => dial?.connected(upstream, lease(upstream));
const turns = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
};
/** What the next owner of a socket reads. */
const hear = (socket: Socket | null): Peer => {
  if (socket === null) throw new Error("nothing was handed over");
  const peer = new Peer(socket);
  socket.resume();
  return peer;
};

describe("EarlyDial", () => {
  it("reads what is there already first: given up for it, it has dialled nothing", async () => {
    client.socket.write("GET");
    // Written to the kernel, which has it for the other end at once.
    while (client.socket.writableLength > 0 || client.socket.bytesWritten < 3) await turns(1);
    const early = begin();
    downstream.once("data", () => early.cancel());
    downstream.resume();
    await turns(5);
    expect([dials, told]).toEqual([0, []]);
  });

  it("dials in the next turn, or after the delay", async () => {
    begin();
    expect(dials).toBe(0);
    await turns(3);
    expect(dials).toBe(1);
    begin({ delayMs: 50 });
    await turns(3);
    expect(dials).toBe(1);
    time.pass(100);
    expect(dials).toBe(2);
  });

  it("dials nothing for a downstream that may not have an opaque connection", async () => {
    isAllowed = false;
    const early = begin();
    await turns(3);
    expect([dials, early.handOver(new Taker())]).toEqual([0, false]);
  });

  it("tells that the upstream spoke, and its words are read by whoever takes over, with its end", async () => {
    const early = begin();
    await turns(3);
    succeed();
    expect(told).toEqual([]);
    const spoke = new Promise<void>((resolve) => {
      onSpoke = resolve;
    });
    server.socket.write("220 ready\r\n");
    await spoke;
    server.socket.end("more");
    const taker = new Taker();
    expect([early.handOver(taker), taker.told, upstream.isPaused()]).toEqual([true, ["connected"], true]);
    const heard = hear(taker.socket);
    await heard.until((peer) => peer.hasEnded);
    expect(heard.received).toBe("220 ready\r\nmore");
    early.cancel();
    downstream.destroy();
    await new Promise((resolve) => downstream.once("close", resolve));
    expect([told, upstream.destroyed]).toEqual([["spoke"], false]);
  });

  it("gives the downstream its grace after the upstream spoke", async () => {
    const early = begin({ graceMs: 200 });
    await turns(3);
    succeed();
    server.socket.write("220 ready\r\n");
    while (upstream.isPaused() === false) await turns(1);
    expect(told).toEqual([]);
    time.pass(500);
    expect(told).toEqual(["spoke"]);
    expect(early.handOver(new Taker())).toBe(true);
  });

  it("taken over within the grace, it does not tell any more", async () => {
    const early = begin({ graceMs: 200 });
    await turns(3);
    succeed();
    server.socket.write("220 ready\r\n");
    while (upstream.isPaused() === false) await turns(1);
    expect(early.handOver(new Taker())).toBe(true);
    time.pass(500);
    expect([told, time.timers.count]).toEqual([[], 0]);
  });

  it("hands a dial under way over: its outcome is the new owner's, and so is its end", async () => {
    const early = begin();
    await turns(3);
    const taker = new Taker();
    expect(early.handOver(taker)).toBe(true);
    succeed();
    expect(taker.told).toEqual(["connected"]);

    const second = begin();
    await turns(3);
    second.handOver(taker);
    dial?.failed(new ProxyError("connect_failure"), null as Endpoint | null);
    expect(taker.told).toEqual(["connected", "failed connect_failure"]);

    const third = begin();
    await turns(3);
    third.handOver(taker);
    third.cancel();
    expect(told).toEqual(["dial cancelled"]);
  });

  it.each([
    ["cannot be had", () => dial?.failed(new ProxyError("connect_failure"), null)],
    ["ends without a word", () => {
      succeed();
      server.socket.end();
    }],
    ["is reset without a word", () => {
      succeed();
      server.socket.resetAndDestroy();
    }],
  ])("decides nothing when the upstream %s", async (_what, fail) => {
    const early = begin();
    await turns(3);
    fail();
    while ((server.socket.writableEnded || server.socket.destroyed) && !upstream.closed) await turns(1);
    expect([told.includes("spoke"), downstream.destroyed, early.handOver(new Taker())]).toEqual([false, false, false]);
  });

  it.each(["waiting", "dialling", "connected"])("is given up with its downstream (%s)", async (when) => {
    const early = begin();
    if (when !== "waiting") await turns(3);
    if (when === "connected") succeed();
    downstream.destroy();
    await new Promise((resolve) => downstream.once("close", resolve));
    await turns(3);
    expect([dials, told]).toEqual(when === "waiting" ? [0, []] : [1, when === "dialling" ? ["dial cancelled"] : ["released"]]);
    expect(early.handOver(new Taker())).toBe(false);
  });

  it("leaves nothing behind on the sockets", async () => {
    const before = [downstream, upstream].map((socket) => socket.eventNames().length);
    const early = begin();
    await turns(3);
    succeed();
    early.handOver(new Taker());
    expect([downstream, upstream].map((socket) => socket.eventNames().length)).toEqual(before);
  });

  it("costs the connection when its owner throws, and no more than that (F39)", async () => {
    const boom = new Error("boom");
    onSpoke = () => {
      throw boom;
    };
    begin();
    await turns(3);
    succeed();
    server.socket.write("hello");
    await new Promise((resolve) => downstream.once("close", resolve));
    expect([defects, upstream.destroyed]).toEqual([[boom], true]);
  });
});
