import { connect as connectHttp2 } from "node:http2";
import { connect as connectTcp, type Socket } from "node:net";
import type { Duplex } from "node:stream";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { DevelopmentCa } from "../../src/identity/development-ca.ts";
import { systemClock } from "../../src/core/clock.ts";
import { HboneClient } from "./hbone-client.ts";
import { HeldHandshake } from "./held-handshake.ts";
import { ManualTime } from "./manual-time.ts";
import { ISTIO_HTTP, ISTIO_TCP, meshClient } from "./mesh-client.ts";
import { meshConfig, type Resource, security, service, yamlOf } from "./mesh-resources.ts";
import { eventually, ProxyUnderTest, rawServer } from "./proxy-under-test.ts";

/* Live connections obey a tightened PeerAuthentication within a second (hostile.md B24). The proxy's clock stands still: what closes without it closed at once. */

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: reviews\r\n\r\n`;
const WEBSOCKET = "GET /upgrade HTTP/1.1\r\nHost: reviews\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/** A connection and what came of it. */
class Client {
  readonly socket: Duplex;
  received = "";
  hasEnded = false;
  isClosed = false;

  constructor(socket: Duplex) {
    this.socket = socket;
    socket.on("error", () => undefined);
    socket.on("data", (chunk: Buffer) => (this.received += chunk.toString("latin1")));
    socket.on("end", () => (this.hasEnded = true));
    socket.on("close", () => (this.isClosed = true));
  }

  /** Sends and waits until what is expected has come. */
  async say(bytes: string, ending: string): Promise<void> {
    this.received = "";
    this.socket.write(bytes, "latin1");
    await eventually(() => this.received.endsWith(ending), `${JSON.stringify(ending)} in answer to ${JSON.stringify(bytes)}`);
  }

  get isGone(): boolean {
    return this.hasEnded || this.isClosed;
  }
}

let time: ManualTime;
let application: Awaited<ReturnType<typeof rawServer>>;
let other: Awaited<ReturnType<typeof rawServer>>;
let proxy: ProxyUnderTest;
/** The application's ends, in the order of their last requests. */
let serving: Socket[];

beforeEach(async () => {
  time = new ManualTime();
  serving = [];
  application = await rawServer((socket) => {
    let isTunnel = false;
    socket.on("data", (chunk: Buffer) => {
      const path = isTunnel ? null : /^GET (\S+) /.exec(chunk.toString("latin1"))?.[1];
      serving.push(socket);
      isTunnel ||= path === "/upgrade";
      if (path === "/upgrade") socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
      else if (path === "/slow") socket.write("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc");
      else if (path === "/silent") return;
      else socket.write(path === "/ok" ? OK : chunk);
    });
  });
  other = await rawServer((socket) => void socket.on("data", (chunk: Buffer) => socket.write(chunk)));
  proxy = await ProxyUnderTest.start({
    yaml: yaml("PERMISSIVE"), clock: time, timers: time.timers, workload: { podName: "reviews-1", labels: { app: "reviews" }, serviceAccount: "reviews" },
  });
});
afterEach(() => {
  proxy.stop();
  application.close();
  other.close();
});

const yaml = (mode: string, ...more: readonly Resource[]): string => yamlOf(
  service({ name: "reviews", portName: "http", targetPort: application.port, endpoints: [{ port: application.port }] }),
  security("PeerAuthentication", "default", { mtls: { mode } }), more,
);
const plain = (port = application.port): Client => new Client(proxy.connectInbound(port));
const mesh = (port = application.port, alpn = ISTIO_HTTP, spiffeId = "spiffe://cluster.local/ns/default/sa/productpage"): Client => new Client(meshClient(proxy.connectInbound(port), { alpn, spiffeId }));
const warnings = (): string => proxy.logLines.filter((line) => line.includes("it was open when that came into force")).join("\n");
const counted = async (reason: string): Promise<number> => Number(new RegExp(`outrider_connections_refused_total\\{[^}]*reason="${reason}"[^}]*\\} (\\d+)`).exec(await proxy.metrics())?.[1] ?? 0);
const gone = (...clients: readonly Client[]): Promise<void> => eventually(() => clients.every((client) => client.isGone), "the connections were closed");

describe("B24: when a port becomes STRICT", () => {
  it("plaintext that is idle or opaque is closed at once, and told in log and metric; mutual TLS stays", async () => {
    const idle = plain();
    const opaque = plain(other.port);
    const secure = mesh();
    const secureOpaque = mesh(other.port, ISTIO_TCP);
    await Promise.all([idle.say(get("/ok"), "ok"), secure.say(get("/ok"), "ok"), opaque.say("\x00hello", "hello"), secureOpaque.say("\x00hello", "hello")]);
    await proxy.apply(yaml("STRICT"));
    await gone(idle, opaque);
    expect(warnings()).toMatch(new RegExp(`plaintext to port ${application.port}, where PeerAuthentication is STRICT`));
    expect(warnings()).toMatch(new RegExp(`plaintext to port ${other.port}, where`));
    await eventually(async () => (await counted("plaintext_on_strict_port")) === 2, "both were counted");
    expect(await proxy.metrics()).not.toMatch(/^envoy_listener_no_filter_chain_match\{[^}]*\} [1-9]/m);
    await eventually(() => proxy.accessLog.some((line) => line["connection_termination_details"] === "plaintext_on_strict_port"), "the access log tells of the opaque one");
    await Promise.all([secure.say(get("/ok"), "ok"), secureOpaque.say("\x00again", "again")]);
  });

  it("a response under way is finished, and no further request is served on its connection", async () => {
    const client = plain();
    await client.say(get("/slow"), "abc");
    await proxy.apply(yaml("STRICT"));
    // Whatever else asks about open connections meanwhile.
    proxy.useIdentity("spiffe://cluster.local/ns/default/sa/reviews");
    const before = serving.length;
    client.socket.write(get("/ok"));
    serving.at(-1)?.write("def");
    await gone(client);
    expect(await counted("plaintext_on_strict_port"), "told once").toBe(1);
    expect(client.received.endsWith("\r\n\r\nabcdef")).toBe(true);
    expect(serving.length).toBe(before);
  });

  it("a response that has not begun is given, with the word that the connection closes", async () => {
    const client = plain();
    client.socket.write(get("/silent"));
    await eventually(() => serving.length === 1, "the application has the request");
    await proxy.apply(yaml("STRICT"));
    serving[0]?.write(OK);
    await gone(client);
    expect(client.received).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*connection: close[^]*ok$/i);
  });

  it("a response that does not end is cut before the second is over, so that nobody takes it for whole", async () => {
    const client = plain();
    await client.say(get("/slow"), "abc");
    await proxy.apply(yaml("STRICT"));
    time.pass(700);
    await new Promise(setImmediate);
    expect(client.isGone).toBe(false);
    time.pass(200);
    await eventually(() => client.isClosed, "it was cut");
    expect(client.hasEnded).toBe(false);
    await eventually(() => proxy.accessLog.length > 0, "it was logged");
    expect(proxy.accessLog.at(-1)).toMatchObject({ path: "/slow", response_code: 200, response_flags: "LR", response_code_details: "connection_no_longer_accepted" });
    await eventually(() => proxy.activeCount() === 0, "nothing is left");
  });

  it("an upgraded connection is cut at once", async () => {
    const client = plain();
    await client.say(WEBSOCKET, "\r\n\r\n");
    await client.say("ping", "ping");
    await proxy.apply(yaml("STRICT"));
    await eventually(() => client.isClosed, "it was cut");
    expect(proxy.accessLog.at(-1)).toMatchObject({ path: "/upgrade", response_code: 101, response_flags: "LR" });
  });

  it("HTTP/2 takes no further stream, finishes those under way, and is cut if they do not end", async () => {
    const session = connectHttp2("http://reviews", { createConnection: () => proxy.connectInbound(application.port) });
    session.on("error", () => undefined);
    const lasts = [-1];
    session.on("goaway", (_code, last) => lasts.push(last));
    const ask = (path: string) => {
      const stream = session.request({ ":path": path });
      const seen = { body: "", isClosed: false, code: -1 };
      stream.on("error", () => undefined);
      stream.on("data", (chunk: Buffer) => (seen.body += chunk.toString("latin1")));
      stream.on("close", () => Object.assign(seen, { isClosed: true, code: stream.rstCode }));
      return seen;
    };
    const ending = ask("/slow");
    await eventually(() => ending.body === "abc", "the first response began");
    const applicationEnd = serving.at(-1);
    const endless = ask("/slow");
    await eventually(() => endless.body === "abc", "the second response began");
    await proxy.apply(yaml("STRICT"));
    await eventually(() => lasts.at(-1) === 3, "the peer heard which stream was the last");
    applicationEnd?.write("def");
    await eventually(() => ending.isClosed, "the first response ended");
    expect([ending.body, ending.code, endless.isClosed]).toEqual(["abcdef", 0, false]);
    time.pass(900);
    await eventually(() => session.destroyed, "the connection was cut");
    await eventually(() => proxy.accessLog.some((line) => line["response_code_details"] === "connection_no_longer_accepted"), "the log tells of the second");
  });

  it("a connection that has not shown what it is is judged by the new mode, and its application is not heard", async () => {
    const quiet = time.timers.count;
    const client = plain(other.port);
    client.socket.write("GET / HT");
    await eventually(() => time.timers.count > quiet, "the first bytes are waited for");
    await proxy.apply(yaml("STRICT"));
    client.socket.write("TP/1.1\r\nHost: x\r\n\r\n");
    await gone(client);
    expect(client.received).toBe("");
    expect(await counted("plaintext_on_strict_port")).toBe(1);
  });

  it("only the port that became STRICT is meant, and to loosen a port closes nothing", async () => {
    const selected = (mode: string): Resource => security("PeerAuthentication", "reviews", { selector: { matchLabels: { app: "reviews" } }, mtls: { mode: "PERMISSIVE" }, portLevelMtls: { [String(other.port)]: { mode } } });
    const http = plain();
    const opaque = plain(other.port);
    await Promise.all([http.say(get("/ok"), "ok"), opaque.say("\x00hello", "hello")]);
    await proxy.apply(yaml("PERMISSIVE", selected("STRICT")));
    await gone(opaque);
    await http.say(get("/ok"), "ok");
    const secure = mesh(other.port, ISTIO_TCP);
    await secure.say("\x00hello", "hello");
    await proxy.apply(yaml("PERMISSIVE", selected("DISABLE")));
    const loosened = plain(other.port);
    await loosened.say("\x00hello", "hello");
    await proxy.apply(yaml("PERMISSIVE"));
    await Promise.all([http.say(get("/ok"), "ok"), secure.say("\x00again", "again"), loosened.say("\x00again", "again")]);
  });

  it("what came through a tunnel of mutual TLS stays", async () => {
    const ambient = new HboneClient(proxy.hbonePort);
    const { stream } = await ambient.open(`127.0.0.1:${other.port}`);
    const inside = new Client(stream);
    await inside.say("\x00hello", "hello");
    await proxy.apply(yaml("STRICT"));
    await inside.say("\x00again", "again");
    ambient.close();
  });
});

describe("B24: when a trust domain is not accepted any more", () => {
  const aliased = (...aliases: readonly string[]): string => yaml("STRICT", meshConfig({ trustDomainAliases: aliases }));
  const FORMER = "spiffe://old.example/ns/default/sa/productpage";

  it("connections of its peers are closed, of whatever kind; those of others stay", async () => {
    await proxy.apply(aliased("old.example"));
    const former = mesh(application.port, ISTIO_HTTP, FORMER);
    const formerOpaque = mesh(other.port, ISTIO_TCP, FORMER);
    const kept = mesh();
    const ambient = new HboneClient(proxy.hbonePort, { spiffeId: FORMER });
    const { stream } = await ambient.open(`127.0.0.1:${other.port}`);
    const inside = new Client(stream);
    await Promise.all([former.say(get("/ok"), "ok"), formerOpaque.say("\x00hello", "hello"), kept.say(get("/ok"), "ok"), inside.say("\x00hello", "hello")]);
    await proxy.apply(aliased());
    await gone(former, formerOpaque, inside);
    const told = await counted("tls_peer_wrong_trust_domain");
    proxy.useIdentity("spiffe://cluster.local/ns/default/sa/reviews");
    expect(await counted("tls_peer_wrong_trust_domain"), "told once").toBe(told);
    // Its peer does not end the tunnel, which would end the connection.
    expect(ambient.isClosed).toBe(false);
    time.pass(900);
    await eventually(() => ambient.isClosed, "the tunnel's connection was closed");
    expect(warnings()).toMatch(/spiffe:\/\/old\.example\/ns\/default\/sa\/productpage is of trust domain old\.example, which is not accepted any more/);
    expect(told).toBe(4);
    await kept.say(get("/ok"), "ok");
    ambient.close();
  });

  it("peers that are in the middle of their handshake are refused as well, in a tunnel's too", async () => {
    await proxy.apply(aliased("old.example"));
    const relays = await Promise.all([proxy.inboundPort, proxy.hbonePort].map((port) => HeldHandshake.start(port)));
    const [direct, tunnels] = relays as [HeldHandshake, HeldHandshake];
    proxy.destination = { address: "127.0.0.1", port: application.port };
    const client = new Client(meshClient(connectTcp(direct.port, "127.0.0.1"), { alpn: ISTIO_HTTP, spiffeId: FORMER }));
    client.socket.write(get("/ok"));
    const ambient = new HboneClient(tunnels.port, { spiffeId: FORMER });
    const answer = ambient.open(`127.0.0.1:${other.port}`).then(({ status }) => status, () => 0);
    await eventually(() => relays.every((relay) => relay.isHolding), "the proxy waits for certificates");
    await proxy.apply(aliased());
    for (const relay of relays) relay.goOn();
    await gone(client);
    expect([client.received, await answer]).toEqual(["", 0]);
    await eventually(async () => (await counted("tls_peer_wrong_trust_domain")) === 2, "both were counted");
    ambient.close();
    for (const relay of relays) relay.stop();
  });

  it("new roots of our own domain close nothing", async () => {
    const client = mesh();
    await client.say(get("/ok"), "ok");
    proxy.useIdentity("spiffe://cluster.local/ns/default/sa/reviews", DevelopmentCa.create("cluster.local", systemClock));
    await client.say(get("/ok"), "ok");
  });
});
