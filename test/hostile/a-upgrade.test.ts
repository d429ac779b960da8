import type { Socket } from "node:net";

import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { eventually, statusOf } from "../integration/proxy-under-test.ts";
import { ADDED, canonical, HostileProxy, SIDES } from "./hostile-proxy.ts";
import { answerOk } from "./raw-backend.ts";

const UPGRADE = "GET /chat HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCH = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const EXPECT = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n";

/** A connection and what came back on it so far. */
interface Client {
  readonly socket: Socket;
  received: string;
  isClosed: boolean;
}

let hostile: HostileProxy;
beforeAll(async () => {
  hostile = await HostileProxy.start();
});
beforeEach(() => hostile.backend.forget());
afterAll(() => hostile.stop());

describe.each(SIDES)("upgrades and expectations, %s", (side) => {
  function open(bytes: string): Client {
    const client: Client = { socket: hostile.connect(side), received: "", isClosed: false };
    client.socket.on("error", () => undefined);
    client.socket.on("data", (chunk: Buffer) => {
      client.received += chunk.toString("latin1");
    });
    client.socket.on("end", () => client.socket.end());
    client.socket.on("close", () => {
      client.isClosed = true;
    });
    client.socket.write(bytes, "latin1");
    return client;
  }
  const upgradeHead = `GET /chat HTTP/1.1\r\nHost: a.test\r\n${ADDED[side]}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n`;

  it("101 opens a tunnel both ways, and each half ends by itself", async () => {
    const { backend } = hostile;
    backend.answer = (connection) => connection.socket.write(`${SWITCH}first`);
    const client = open(UPGRADE);
    await eventually(() => client.received.endsWith("first"), "the tunnel is open");
    backend.onData = () => true;
    client.socket.end("last words");
    await eventually(() => backend.received.endsWith("last words"), "the bytes arrived");
    expect(canonical(backend.received)).toBe(`${upgradeHead}last words`);
    await eventually(() => client.isClosed && hostile.proxy.activeCount() === 0, "the tunnel closed");
  });

  it("A50 200 with Upgrade is no tunnel (CVE-2024-23326)", async () => {
    const { backend } = hostile;
    backend.answer = (connection) => connection.socket.write("HTTP/1.1 200 OK\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nok");
    const client = open(UPGRADE);
    await eventually(() => client.received.endsWith("ok"), "the response came");
    client.socket.write("GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n");
    await eventually(() => client.isClosed, "the connection closed");
    expect(client.received).not.toMatch(/\r\nupgrade:/i);
    expect(client.received).toMatch(/\r\nconnection: close\r\n/i);
    await hostile.sentinel(side);
    expect(backend.received).not.toContain("smuggled");
  });

  it("A51 bytes behind an upgrade wait for 101, then go into the tunnel (CVE-2025-64763)", async () => {
    const { backend } = hostile;
    let release: () => void = () => undefined;
    backend.answer = (connection) => {
      release = () => connection.socket.write(SWITCH);
    };
    const client = open(`${UPGRADE}EARLY`);
    await eventually(() => backend.received.includes("\r\n\r\n"), "the upgrade arrived");
    client.socket.write("MORE");
    await hostile.proxy.metrics();
    expect(canonical(backend.received)).toBe(upgradeHead);
    backend.onData = () => true;
    release();
    await eventually(() => backend.received.endsWith("EARLYMORE"), "the held bytes arrived");
    client.socket.destroy();
  });

  it.each(["200 OK", "403 Forbidden"])("A51 bytes behind an upgrade that is answered %s never leave (CVE-2025-64763)", async (status) => {
    const { backend } = hostile;
    backend.answer = (connection) => connection.socket.write(`HTTP/1.1 ${status}\r\nContent-Length: 2\r\n\r\nok`);
    const client = open(`${UPGRADE}GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n`);
    await eventually(() => client.isClosed, "the connection closed");
    expect(client.received.match(/HTTP\/1\.1 \d{3} /g)).toHaveLength(1);
    backend.answer = answerOk;
    await hostile.sentinel(side);
    expect(backend.received).not.toContain("smuggled");
  });

  it("101 that nobody asked for, and 101 to something else, are 502", async () => {
    const { backend } = hostile;
    backend.answer = (connection) => connection.socket.write(SWITCH);
    expect(statusOf(await hostile.ask(side, "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"))).toBe(502);
    backend.answer = (connection) => connection.socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
    expect(statusOf(await hostile.ask(side, UPGRADE))).toBe(502);
  });

  it("A53 an answer before the body: relayed, and neither connection is used again", async () => {
    const { backend } = hostile;
    backend.onData = (connection) => {
      connection.socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
      return true;
    };
    const client = open(`${EXPECT}\r\n`);
    await eventually(() => client.received.endsWith("ok"), "the response came");
    // What a client that does not wait would send now must not be read as a request.
    client.socket.write("GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n");
    await eventually(() => client.isClosed, "the connection closed");
    expect(client.received).toMatch(/\r\nconnection: close\r\n/i);
    const used = backend.connections.find((connection) => connection.received.includes("Expect"));
    await eventually(() => used?.isGone ?? false, "the upstream connection was discarded");
    backend.onData = () => false;
    await hostile.sentinel(side);
    expect(backend.received).not.toContain("smuggled");
  });

  it("a valid expectation: 100, then the body", async () => {
    const { backend } = hostile;
    backend.onData = (connection) => {
      if (connection.received.endsWith("\r\n\r\n")) connection.socket.write("HTTP/1.1 100 Continue\r\n\r\n");
      return false;
    };
    const client = open(`${EXPECT}\r\n`);
    await eventually(() => client.received.includes("100 Continue"), "told to go on");
    client.socket.write("hello");
    await eventually(() => client.received.endsWith("ok"), "the response came");
    expect(canonical(backend.received)).toBe(`POST / HTTP/1.1\r\nHost: a.test\r\n${ADDED[side]}Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello`);
    client.socket.destroy();
  });
});
