import type { Socket } from "node:net";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { freePort } from "./free-port.ts";
import { ManualTime } from "./manual-time.ts";
import { ISTIO_TCP, meshClient } from "./mesh-client.ts";
import { type Resource, security, service, yamlOf } from "./mesh-resources.ts";
import { ProxyPair } from "./proxy-pair.ts";
import { eventually, ProxyUnderTest, rawServer } from "./proxy-under-test.ts";

/*
 * Ports whose protocol nobody declared, and applications that speak first (users 1.8, spec/02 2.2 and 2.7). The clock
 * stands still but where a test moves it: what works here works without any time-out.
 */

const GREETING = "220 ready\r\n";
const HTTP = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhttp";
const OWN = { workload: { podName: "reviews-1", labels: { app: "reviews" }, serviceAccount: "reviews" } };

/** One end of a connection, with what it heard. */
interface Heard {
  readonly socket: Socket;
  text: string;
  isClosed: boolean;
}

let time: ManualTime;
let stops: (() => void)[];
/** Connections the application got, in order. */
let arrived: Heard[];
let applicationPort: number;

beforeEach(() => {
  time = new ManualTime();
  arrived = [];
  stops = [];
});
afterEach(() => {
  for (const stop of stops) stop();
});

function listen(socket: Socket): Heard {
  const heard: Heard = { socket, text: "", isClosed: false };
  socket.on("data", (chunk: Buffer) => (heard.text += chunk.toString("latin1")));
  socket.on("error", () => undefined);
  socket.on("end", () => socket.end());
  socket.on("close", () => (heard.isClosed = true));
  return heard;
}

/** An application that says `greeting` on its own accord, and answers what it hears. */
async function application(greeting: string | null): Promise<number> {
  const server = await rawServer((socket) => {
    const heard = listen(socket);
    arrived.push(heard);
    if (greeting !== null) socket.write(greeting);
    socket.on("data", (chunk: Buffer) => socket.write(chunk.includes("HTTP/1.1\r\n") ? HTTP : `heard ${chunk.toString("latin1")}`));
  });
  stops.push(() => server.close());
  applicationPort = server.port;
  return server.port;
}

async function pair(greeting: string | null, ...resources: readonly Resource[]): Promise<ProxyPair> {
  const port = await application(greeting);
  const parts = { clock: time, timers: time.timers };
  const opened = await ProxyPair.start({ port, portName: "something", caller: parts, callee: parts, ...(resources.length > 0 ? { resources } : {}) });
  stops.push(() => opened.stop());
  return opened;
}

async function inbound(greeting: string | null, mode: string, portName: string, ...resources: readonly Resource[]): Promise<ProxyUnderTest> {
  const port = await application(greeting);
  const proxy = await ProxyUnderTest.start({
    yaml: yamlOf(service({ name: "reviews", portName, endpoints: [{ port, isMesh: true }] }), security("PeerAuthentication", "default", { mtls: { mode } }), ...resources),
    clock: time, timers: time.timers, ...OWN,
  });
  stops.push(() => proxy.stop());
  return proxy;
}

const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 30; turn++) await new Promise((resolve) => setImmediate(resolve));
};
const detections = async (proxy: ProxyUnderTest): Promise<string[]> =>
  [...(await proxy.metrics()).matchAll(/^outrider_protocol_detections_total\{direction="(\w+)",outcome="(\w+)"\} (\d+)$/gm)].map(([, ...of]) => of.join(" "));

describe("from sidecar to sidecar, by mutual TLS", () => {
  it("a server that speaks first is heard at once, and the connection is opaque", async () => {
    const { caller, callee, connect } = bound(await pair(GREETING));
    const client = listen(connect());
    await eventually(() => client.text === GREETING, "the greeting arrived");
    client.socket.write("GET / HTTP/1.1\n");
    await eventually(() => client.text === `${GREETING}heard GET / HTTP/1.1\n`, "bytes go both ways, unread");
    client.socket.end();
    await eventually(() => client.isClosed && arrived.every(({ isClosed }) => isClosed), "the end came through");
    expect(arrived).toHaveLength(1);
    expect(await detections(caller)).toEqual(["outbound server_first 1"]);
    expect(await detections(callee)).toEqual(["inbound tls 1"]);
    await eventually(() => caller.accessLog.length === 1 && callee.accessLog.length === 1, "both logged it");
    expect(callee.accessLog[0]).toMatchObject({ peer_principal: "spiffe://cluster.local/ns/default/sa/productpage", bytes_sent: client.text.length });
  });

  it("HTTP that comes late is HTTP, and what was dialled meanwhile is closed unused", async () => {
    const { caller, callee, connect } = bound(await pair(null));
    const client = listen(connect());
    await eventually(() => arrived.length === 1, "it was dialled");
    client.socket.write("GET / HTTP/1.1\r\nHost: reviews\r\n\r\n");
    await eventually(() => client.text.endsWith("http"), "it was answered");
    await eventually(() => arrived[0]?.isClosed === true, "the first connection was closed");
    expect([arrived.length, arrived[0]?.text]).toEqual([2, ""]);
    expect(await detections(caller)).toEqual(["outbound http1 1"]);
    await eventually(() => callee.accessLog.some(({ method }) => method === "GET"), "the callee served HTTP");
    client.socket.destroy();
  });

  it("a client that speaks first needs no time either", async () => {
    const { caller, connect } = bound(await pair(null));
    const client = listen(connect());
    client.socket.write("SSH-2.0-x\r\n");
    await eventually(() => client.text === "heard SSH-2.0-x\r\n", "it was answered");
    expect([arrived.length, await detections(caller)]).toEqual([1, ["outbound opaque 1"]]);
    client.socket.destroy();
  });

  it("where both keep silent it is opaque after ten seconds, on the connection that is there", async () => {
    const { caller, connect } = bound(await pair(null));
    const client = listen(connect());
    await eventually(() => arrived.length === 1, "it was dialled");
    time.pass(9_900);
    expect(await detections(caller)).toEqual([]);
    time.pass(200);
    arrived[0]?.socket.write("late");
    await eventually(() => client.text === "late", "the server is heard");
    expect([arrived.length, await detections(caller)]).toEqual([1, ["outbound timeout 1"]]);
    client.socket.destroy();
  });

  it("a server that hangs up without a word decides nothing: HTTP is served still", async () => {
    const { connect } = bound(await pair(null));
    const client = listen(connect());
    await eventually(() => arrived.length === 1, "it was dialled");
    arrived[0]?.socket.destroy();
    await settle();
    client.socket.write("GET / HTTP/1.1\r\nHost: reviews\r\n\r\n");
    await eventually(() => client.text.endsWith("http"), "it was answered");
    client.socket.destroy();
  });

  it("a client that leaves while it is waited for takes what was dialled with it", async () => {
    const opened = await pair(null);
    const client = listen(opened.connect());
    await eventually(() => arrived.length === 1, "it was dialled");
    client.socket.resetAndDestroy();
    await eventually(() => arrived[0]?.isClosed === true && opened.activeCount() === 0, "nothing is left");
  });
});

/** The parts of a pair that a test names. */
function bound(opened: ProxyPair): { caller: ProxyUnderTest; callee: ProxyUnderTest; connect: () => Socket } {
  return { caller: opened.caller, callee: opened.callee, connect: () => opened.connect() };
}

describe("in plaintext, to a sidecar", () => {
  it.each(["something", "tcp"])("under PERMISSIVE the greeting comes after a moment in which a mesh peer could begin TLS (port %s)", async (portName) => {
    const proxy = await inbound(GREETING, "PERMISSIVE", portName);
    const client = listen(proxy.connectInbound(applicationPort));
    await eventually(() => arrived.length === 1, "the application was dialled");
    await settle();
    expect(client.text).toBe("");
    // Twice, since the words of the application may arrive after the first.
    await eventually(() => {
      time.pass(200);
      return client.text === GREETING;
    }, "the greeting arrived");
    expect(await detections(proxy)).toEqual(["inbound server_first 1"]);
    client.socket.destroy();
  });

  it("with mTLS off nothing is waited for", async () => {
    const proxy = await inbound(GREETING, "DISABLE", "something");
    const client = listen(proxy.connectInbound(applicationPort));
    await eventually(() => client.text === GREETING, "the greeting arrived");
    client.socket.destroy();
  });

  it("a mesh peer that is slow with its ClientHello gets mutual TLS, and the greeting inside it", async () => {
    const proxy = await inbound(GREETING, "PERMISSIVE", "tcp");
    const raw = proxy.connectInbound(applicationPort);
    raw.on("error", () => undefined);
    let plaintext = 0;
    const count = (chunk: Buffer): void => {
      plaintext += chunk.length;
    };
    raw.on("data", count);
    await eventually(() => arrived.length === 1, "the application was dialled");
    await settle();
    raw.off("data", count);
    raw.pause();
    const client = listen(meshClient(raw, { alpn: ISTIO_TCP }));
    await eventually(() => client.text === GREETING, "the greeting arrived");
    expect(plaintext).toBe(0);
    await eventually(() => arrived[0]?.isClosed === true, "what was dialled for plaintext is closed");
    client.socket.destroy();
  });

  it("under STRICT the application never hears of a peer that keeps silent", async () => {
    const proxy = await inbound(GREETING, "STRICT", "tcp");
    const client = listen(proxy.connectInbound(applicationPort));
    await settle();
    time.pass(11_000);
    await eventually(() => client.isClosed, "it was refused");
    expect([client.text, arrived.length]).toEqual(["", 0]);
    expect(await detections(proxy)).toEqual(["inbound timeout 1"]);
  });

  it.each([["PERMISSIVE", "tcp"], ["DISABLE", "something"]])("nothing is dialled for a peer that policy denies (%s)", async (mode, portName) => {
    const deny = security("AuthorizationPolicy", "mesh-only", { action: "ALLOW", rules: [{ from: [{ source: { principals: ["*"] } }] }] });
    const proxy = await inbound(GREETING, mode, portName, deny);
    const client = listen(proxy.connectInbound(applicationPort));
    await settle();
    time.pass(11_000);
    await eventually(() => client.isClosed, "it was refused");
    expect([client.text, arrived.length]).toEqual(["", 0]);
    expect(await proxy.metrics()).toContain('outrider_connections_refused_total{direction="inbound",reason="rbac_access_denied"} 1');
  });
});

describe("outbound, to a server without a sidecar", () => {
  it("which is down: a client that waits for its greeting is reset when the time for it is over", async () => {
    const proxy = await ProxyUnderTest.start({
      yaml: yamlOf(service({ name: "db", portName: "something", endpoints: [{ port: await freePort() }] })), clock: time, timers: time.timers,
    });
    stops.push(() => proxy.stop());
    const client = listen(proxy.connectOutbound({ address: "10.96.0.10", port: 9080 }));
    await settle();
    expect(client.isClosed).toBe(false);
    time.pass(10_100);
    await eventually(() => client.isClosed, "it was reset");
    expect(proxy.accessLog.at(-1)).toMatchObject({ response_flags: "UF,URX" });
  });

  it("which speaks first: it is heard at once, on the one connection it gets", async () => {
    const port = await application(GREETING);
    const proxy = await ProxyUnderTest.start({ yaml: yamlOf(service({ name: "db", portName: "something", endpoints: [{ port }] })), clock: time, timers: time.timers });
    stops.push(() => proxy.stop());
    for (let round = 1; round <= 3; round++) {
      const client = listen(proxy.connectOutbound({ address: "10.96.0.10", port: 9080 }));
      await eventually(() => client.text === GREETING, "the greeting arrived");
      expect(arrived).toHaveLength(round);
      client.socket.destroy();
    }
    await eventually(() => proxy.activeCount() === 0 && arrived.every(({ isClosed }) => isClosed), "nothing is left");
  });
});
