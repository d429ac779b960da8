import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ListenerObserver } from "../../../src/listener/listener.ts";
import { type BoundListenerSpec, ListenerSet } from "../../../src/listener/listener-set.ts";
import { Peer } from "../connection/socket-pair.ts";

const SILENT: ListenerObserver = { accepted: () => undefined, closed: () => undefined, refused: () => undefined, defect: () => undefined };

let set: ListenerSet;
/** Names of the listeners connections came in by. */
let names: string[];
const open: (() => void)[] = [];

beforeEach(() => {
  names = [];
  set = new ListenerSet({ reusePort: false, maxConnections: 10 }, (socket, _remote, own, name) => {
    names.push(name);
    socket.end(`${name} ${own.address}`);
  }, SILENT);
});
afterEach(() => {
  set.close();
  set.destroyConnections();
  for (const close of open.splice(0)) close();
});

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = await occupy();
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

async function occupy(port = 0): Promise<Server> {
  const server = createServer();
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  open.push(() => server.close());
  return server;
}

const spec = (port: number, name = `127.0.0.1_${port}`): BoundListenerSpec => ({ name, bind: { address: "127.0.0.1", port } });

async function answer(port: number): Promise<string> {
  const peer = new Peer(connect({ host: "127.0.0.1", port }));
  await peer.until(({ isClosed }) => isClosed);
  return peer.error ?? peer.received;
}

describe("ListenerSet", () => {
  it("opens what a snapshot asks for and closes what it does not ask for any more", async () => {
    const [one, two] = [await freePort(), await freePort()];
    expect(await set.apply([spec(one)])).toEqual([]);
    expect(await answer(one)).toBe(`127.0.0.1_${one} 127.0.0.1`);
    expect(await set.apply([spec(two)])).toEqual([]);
    expect([await answer(one), await answer(two)]).toEqual(["ECONNREFUSED", `127.0.0.1_${two} 127.0.0.1`]);
  });

  it("opens an address again under another name", async () => {
    const port = await freePort();
    await set.apply([spec(port, "old")]);
    expect(await set.apply([spec(port, "new")])).toEqual([]);
    expect(await answer(port)).toBe("new 127.0.0.1");
  });

  it("says which it cannot have, opens the others, and tries again with the next snapshot", async () => {
    const taken = await occupy();
    const { port } = taken.address() as AddressInfo;
    const other = await freePort();
    const problems = await set.apply([spec(port), spec(other), { name: "nowhere", bind: { address: "192.0.2.1", port: other } }]);
    expect(problems).toEqual([
      expect.stringMatching(new RegExp(`^listener 127.0.0.1_${port} cannot bind 127.0.0.1:${port}: .*EADDRINUSE`)),
      expect.stringMatching(/^listener nowhere cannot bind .*EADDRNOTAVAIL/),
    ]);
    expect(await answer(other)).toContain("127.0.0.1");
    taken.close();
    await once(taken, "close");
    expect(await set.apply([spec(port), spec(other)])).toEqual([]);
  });

  it("takes snapshots one after the other", async () => {
    const port = await freePort();
    const [first, second, third] = [set.apply([spec(port)]), set.apply([]), set.apply([spec(port)])];
    expect(await Promise.all([first, second, third])).toEqual([[], [], []]);
    expect(await answer(port)).toContain("127.0.0.1");
  });

  it("leaves connections of a listener that is gone alone until it is told to cut them", async () => {
    const port = await freePort();
    const waiting = new ListenerSet({ reusePort: false, maxConnections: 10 }, (socket) => socket.write("hello"), SILENT);
    await waiting.apply([spec(port)]);
    const peer = new Peer(connect({ host: "127.0.0.1", port }));
    await peer.until(({ received }) => received === "hello");
    await waiting.apply([]);
    expect(peer.isClosed).toBe(false);
    waiting.destroyConnections();
    await peer.until(({ isClosed }) => isClosed);
  });

  it("opens nothing after it was closed, also what it was about to open", async () => {
    const port = await freePort();
    const pending = set.apply([spec(port)]);
    set.close();
    await pending;
    await set.apply([spec(port)]);
    expect(await answer(port)).toBe("ECONNREFUSED");
  });
});
