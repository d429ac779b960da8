import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Listener, type ListenerOptions, type ListenerObserver } from "../../../src/listener/listener.ts";
import type { SocketAddress } from "../../../src/message/connection-facts.ts";
import { Peer } from "../connection/socket-pair.ts";

class Observer implements ListenerObserver {
  readonly told: string[] = [];
  #waiting: (() => void)[] = [];

  accepted(listener: string): void {
    this.#tell(`accepted ${listener}`);
  }

  closed(listener: string): void {
    this.#tell(`closed ${listener}`);
  }

  refused(_listener: string, remote: SocketAddress, reason: string): void {
    this.#tell(`refused ${remote.address} ${reason}`);
  }

  defect(_listener: string, cause: unknown): void {
    this.#tell(`defect ${String(cause)}`);
  }

  async until(text: string): Promise<void> {
    while (!this.told.includes(text)) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  #tell(text: string): void {
    this.told.push(text);
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

let observer: Observer;
let accepted: { socket: Socket; remote: SocketAddress; destination: SocketAddress }[];
let onAccept: () => void;
const open: (() => void)[] = [];

beforeEach(() => {
  observer = new Observer();
  accepted = [];
  onAccept = () => undefined;
});
afterEach(() => {
  for (const close of open.splice(0)) close();
});

async function listen(change: Partial<ListenerOptions> = {}): Promise<Listener> {
  const listener = new Listener({
    name: "test", address: "127.0.0.1", port: 0, reusePort: false, originalDestination: null, maxConnections: 100, ...change,
  }, (socket, remote, destination) => {
    accepted.push({ socket, remote, destination });
    onAccept();
  }, observer);
  await listener.listen();
  open.push(() => {
    listener.close();
    listener.destroyConnections();
  });
  return listener;
}

function dial(listener: Listener): Peer {
  const socket = connect({ host: "127.0.0.1", port: listener.port, allowHalfOpen: true });
  open.push(() => socket.destroy());
  return new Peer(socket);
}

describe("Listener", () => {
  it("hands a connection on, paused and unread, with where it was going", async () => {
    const listener = await listen({ originalDestination: () => ({ address: "10.0.0.1", port: 80 }) });
    const peer = dial(listener);
    await once(peer.socket, "connect");
    peer.socket.write("x");
    await observer.until("accepted test");
    expect(accepted[0]).toMatchObject({ remote: { address: "127.0.0.1", port: peer.socket.localPort }, destination: { address: "10.0.0.1", port: 80 } });
    expect([accepted[0]?.socket.isPaused(), accepted[0]?.socket.bytesRead, listener.connectionCount]).toEqual([true, 0, 1]);
    peer.socket.destroy();
    accepted[0]?.socket.resume();
    accepted[0]?.socket.destroy();
    await observer.until("closed test");
    expect(listener.connectionCount).toBe(0);
  });

  it("is the destination itself when nothing captures for it; IPv4 keeps its own form on a dual-stack socket", async () => {
    const listener = await listen({ address: "::" });
    dial(listener);
    await observer.until("accepted test");
    expect(accepted[0]).toMatchObject({ remote: { address: "127.0.0.1" }, destination: { address: "127.0.0.1", port: listener.port } });
  });

  it("refuses what was not redirected to it (F42)", async () => {
    const listener = await listen({ originalDestination: () => null });
    const peer = dial(listener);
    await peer.until(({ isClosed }) => isClosed);
    await observer.until("closed test");
    expect([observer.told, accepted, peer.error]).toEqual([["accepted test", "refused 127.0.0.1 not_redirected", "closed test"], [], "ECONNRESET"]);
  });

  it("refuses what was meant for its own port, which would loop (B27)", async () => {
    let own = 0;
    const listener = await listen({ originalDestination: () => ({ address: "127.0.0.1", port: own }) });
    own = listener.port;
    const peer = dial(listener);
    await peer.until(({ isClosed }) => isClosed);
    expect(observer.told).toContain("refused 127.0.0.1 own_port");
  });

  it("keeps no more connections than it may, and takes new ones when there is room", async () => {
    const listener = await listen({ maxConnections: 1 });
    const first = dial(listener);
    await observer.until("accepted test");
    const second = dial(listener);
    await second.until(({ isClosed }) => isClosed);
    expect([accepted.length, second.error]).toEqual([1, "ECONNRESET"]);
    first.socket.destroy();
    accepted[0]?.socket.destroy();
    while (listener.connectionCount > 0) await new Promise(setImmediate);
    dial(listener);
    while (accepted.length < 2) await new Promise(setImmediate);
  });

  it.each([["serving", false], ["looking up its destination", true]])("loses a connection when %s it throws, and no other (F39)", async (_what, atLookup) => {
    let isBroken = true;
    const boom = (): void => {
      if (isBroken) throw new Error("boom");
    };
    if (!atLookup) onAccept = boom;
    const listener = await listen(atLookup ? { originalDestination: () => {
      boom();
      return { address: "10.0.0.1", port: 80 };
    } } : {});
    const peer = dial(listener);
    await peer.until(({ isClosed, hasEnded }) => isClosed || hasEnded);
    expect(observer.told).toContain("defect Error: boom");
    isBroken = false;
    accepted.length = 0;
    dial(listener);
    while (accepted.length === 0) await new Promise(setImmediate);
    expect(accepted[0]?.socket.destroyed).toBe(false);
  });

  it("survives a peer that resets at once", async () => {
    const listener = await listen();
    const peer = dial(listener);
    await observer.until("accepted test");
    peer.socket.resetAndDestroy();
    accepted[0]?.socket.resume();
    await observer.until("closed test");
  });

  it("stops accepting and leaves what is open alone until it is told to cut it", async () => {
    const listener = await listen();
    const peer = dial(listener);
    await observer.until("accepted test");
    listener.close();
    expect(listener.isAccepting).toBe(false);
    accepted[0]?.socket.write("still here");
    await peer.until(({ received }) => received === "still here");
    listener.destroyConnections();
    await peer.until(({ hasEnded, isClosed }) => hasEnded || isClosed);
  });

  it("says why it cannot have an address", async () => {
    const taken = createServer();
    taken.listen(0, "127.0.0.1");
    await once(taken, "listening");
    await expect(listen({ port: (taken.address() as AddressInfo).port })).rejects.toThrow("EADDRINUSE");
    taken.close();
  });
});
