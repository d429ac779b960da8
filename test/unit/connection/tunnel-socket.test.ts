import { beforeEach, describe, expect, it } from "vitest";
import { TunnelSocket } from "../../../src/connection/tunnel-socket.ts";
import type { ConnectionFacts } from "../../../src/message/connection-facts.ts";
import type { ResponseHead } from "../../../src/message/head.ts";
import { ProxyError } from "../../../src/message/proxy-error.ts";
import type { DownstreamStream } from "../../../src/message/stream.ts";
import { ManualTime } from "../cluster/fakes.ts";

const FACTS: ConnectionFacts = { remote: { address: "10.0.0.9", port: 4000 }, local: { address: "10.0.0.7", port: 15_008 }, isCaptured: false, tls: null };

/** What the tunnel says to its peer, call by call. */
class FakeStream implements DownstreamStream {
  readonly connection = FACTS;
  readonly told: string[] = [];
  isFull = false;

  informational(): void {
    this.told.push("informational");
  }

  respond(head: ResponseHead, end: boolean): void {
    this.told.push(`${head.status}${end ? " end" : ""}`);
  }

  write(chunk: Buffer): boolean {
    this.told.push(`write ${chunk.length}`);
    return !this.isFull;
  }

  end(): void {
    this.told.push("end");
  }

  reset(error: ProxyError): void {
    this.told.push(`reset ${error.attributes.source}`);
  }

  pause(): void {
    this.told.push("pause");
  }

  resume(): void {
    this.told.push("resume");
  }
}

const turn = (): Promise<void> => new Promise((resolve) => {
  setImmediate(resolve);
});

describe("TunnelSocket", () => {
  let time: ManualTime;
  let stream: FakeStream;
  let answers: string[];
  let events: string[];

  beforeEach(() => {
    time = new ManualTime();
    stream = new FakeStream();
    answers = [];
    events = [];
  });

  function open(hasEnded = false): TunnelSocket {
    const socket = new TunnelSocket(stream, { timers: time.timers, hasEnded, answered: (answer) => answers.push(answer) });
    for (const name of ["end", "finish", "close", "drain"]) socket.on(name, () => events.push(name));
    socket.on("error", (error: NodeJS.ErrnoException) => events.push(`error ${error.code}`));
    return socket;
  }

  /** One that somebody serves: what it reads is in `events`. */
  async function opened(hasEnded = false): Promise<TunnelSocket> {
    const socket = open(hasEnded);
    socket.on("data", (chunk: Buffer) => events.push(`data ${chunk.toString()}`));
    socket.resume();
    await turn();
    stream.told.length = 0;
    return socket;
  }

  it("is answered when its bytes are first asked for, and not by listening to it", async () => {
    const socket = open();
    socket.on("data", () => undefined);
    await turn();
    expect([stream.told, answers]).toEqual([[], []]);
    socket.resume();
    await turn();
    expect([stream.told, answers]).toEqual([["200"], ["accepted"]]);
  });

  it("is answered when something is written, or ended, before anything is read", async () => {
    const socket = open();
    socket.write("hi");
    socket.end();
    await turn();
    expect(stream.told).toEqual(["200", "write 2", "end"]);
  });

  it.each<readonly [string, (socket: TunnelSocket) => void, readonly string[], readonly string[]]>([
    ["refused", (socket) => socket.refuse(401), ["401 end"], ["refused"]],
    ["closed", (socket) => socket.destroy(), ["503 end"], ["unreachable"]],
    ["reset", (socket) => socket.resetAndDestroy(), ["503 end"], ["unreachable"]],
    // Nobody is left to hear an answer.
    ["reset by the peer", (socket) => socket.receiver.reset(new ProxyError("downstream_disconnect")), [], []],
  ])("%s before it was answered", async (_how, act, told, answered) => {
    const socket = open();
    act(socket);
    await turn();
    socket.receiver.data(Buffer.from("late"));
    socket.receiver.end(null);
    expect([stream.told, answers, socket.destroyed]).toEqual([told, answered, true]);
  });

  it("closes by itself once both halves have ended", async () => {
    const socket = await opened();
    socket.receiver.data(Buffer.from("a"));
    socket.receiver.end(null);
    await turn();
    expect(events).toEqual(["data a", "end"]);
    socket.end("b");
    await turn();
    expect([stream.told, events]).toEqual([["write 1", "end"], ["data a", "end", "finish", "close"]]);
    expect([socket.readableEnded, socket.writableFinished]).toEqual([true, true]);
  });

  it("knows of an end that came with the CONNECT", async () => {
    const socket = await opened(true);
    expect(events).toEqual(["end"]);
    socket.destroy();
    expect(stream.told).toEqual(["end"]);
  });

  it("closes the window while its reader is slow", async () => {
    const socket = await opened();
    socket.pause();
    for (let count = 0; count < 64 && stream.told.length === 0; count++) socket.receiver.data(Buffer.alloc(16_384));
    const held = socket.readableLength;
    expect(held).toBeLessThanOrEqual(socket.readableHighWaterMark + 16_384);
    expect(stream.told).toEqual(["pause"]);
    socket.resume();
    await turn();
    expect(stream.told).toEqual(["pause", "resume"]);
  });

  it("holds its writer back until the peer has read", async () => {
    const socket = await opened();
    stream.isFull = true;
    socket.write("one");
    while (socket.write(Buffer.alloc(16_384))) continue;
    await turn();
    expect([stream.told, events]).toEqual([["write 3"], []]);
    stream.isFull = false;
    socket.receiver.drain();
    await turn();
    expect(events).toEqual(["drain"]);
    expect(socket.writableLength).toBe(0);
  });

  it("a reset by the peer is one for its reader", async () => {
    const socket = await opened();
    socket.receiver.reset(new ProxyError("downstream_disconnect", "RST_STREAM CANCEL"));
    await turn();
    expect([events, stream.told, socket.destroyed]).toEqual([["error ECONNRESET", "close"], [], true]);
  });

  it("a reset here is one for the peer", async () => {
    (await opened()).resetAndDestroy();
    expect(stream.told).toEqual(["reset upstream"]);
  });

  it("is reset, not ended, when it is closed with bytes that were never sent", async () => {
    const socket = await opened();
    stream.isFull = true;
    socket.write("sent");
    socket.write("not sent");
    socket.destroy();
    expect(stream.told).toEqual(["write 4", "reset upstream"]);
  });

  it("ends what was sent in full when it is closed", async () => {
    const socket = await opened();
    stream.isFull = true;
    socket.write("sent");
    socket.destroy();
    expect(stream.told).toEqual(["write 4", "end", "resume"]);
  });

  it.each<readonly [string, (socket: TunnelSocket, time: ManualTime) => void, readonly string[]]>([
    ["bytes are answered with a reset", (socket) => socket.receiver.data(Buffer.from("x")), ["reset upstream"]],
    ["the peer's end is the end of it", (socket, clock) => {
      socket.receiver.end(null);
      clock.pass(120_000);
    }, []],
    ["a peer that never ends is not waited for for ever", (_socket, clock) => clock.pass(61_000), ["reset upstream"]],
    ["a reset is the end of it", (socket, clock) => {
      socket.receiver.reset(new ProxyError("downstream_disconnect"));
      clock.pass(120_000);
    }, []],
  ])("closed here: %s", async (_what, act, expected) => {
    const socket = await opened();
    socket.destroy();
    expect(stream.told.splice(0)).toEqual(["end", "resume"]);
    act(socket, time);
    socket.receiver.data(Buffer.from("late"));
    expect(stream.told).toEqual(expected);
  });
});
