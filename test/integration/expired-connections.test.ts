import { type ClientHttp2Session, connect as connectHttp2 } from "node:http2";
import type { Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";

import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import type { Clock } from "../../src/core/clock.ts";
import { DevelopmentCa } from "../../src/identity/development-ca.ts";
import { HboneClient } from "./hbone-client.ts";
import { ISTIO_HTTP, ISTIO_TCP } from "./mesh-client.ts";
import { service, yamlOf } from "./mesh-resources.ts";
import { OffsetClock } from "./offset-clock.ts";
import { ProxyPair, STRICT } from "./proxy-pair.ts";
import { eventually, ProxyUnderTest, rawServer, testCa } from "./proxy-under-test.ts";
import { StandingClock } from "./standing-clock.ts";
import { TestApplication } from "./test-application.ts";

/* A connection outlives the certificate that proved its peer (istio#7630), unless --close-expired says otherwise; users.md 1.19. */

const REVIEWS = "spiffe://cluster.local/ns/default/sa/reviews";
const PRODUCTPAGE = "spiffe://cluster.local/ns/default/sa/productpage";
const HOUR_MS = 3_600_000;
const GET = "GET / HTTP/1.1\r\nHost: reviews\r\n\r\n";

let application: TestApplication;
let echo: Awaited<ReturnType<typeof rawServer>>;
const stops: (() => void)[] = [];

beforeAll(async () => {
  application = await TestApplication.start("app");
  echo = await rawServer((socket) => {
    socket.on("error", () => socket.destroy());
    socket.pipe(socket);
  });
});
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
});
afterAll(() => {
  application.stop();
  echo.close();
});

/** The CA of the tests by another clock: what it issues ends as long after that clock's time as it is to live, whenever that is. */
const caBy = (clock: Clock): DevelopmentCa => DevelopmentCa.load("cluster.local", testCa.certificatePem, testCa.privateKeyPem, clock);

/** A connection of which all that comes is kept. */
class Kept {
  received = "";
  isClosed = false;
  readonly socket: Socket;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => (this.received += chunk.toString("latin1")));
    socket.on("error", () => socket.destroy());
    socket.on("end", () => (this.isClosed = true));
    socket.on("close", () => (this.isClosed = true));
    stops.push(() => socket.destroy());
  }

  /** Sends, and resolves with what came from then on once it ends so. */
  async ask(bytes: string, end: string): Promise<string> {
    this.received = "";
    this.socket.write(bytes);
    await eventually(() => this.received.endsWith(end), `an answer that ends with ${end}`);
    return this.received;
  }
}

describe("inbound connections whose peer's certificate ends", () => {
  let proxy: ProxyUnderTest;
  let clock: StandingClock;

  async function start(closeExpired: boolean): Promise<void> {
    clock = new StandingClock();
    const workload = { podName: "reviews-1", serviceAccount: "reviews", labels: { app: "reviews" } };
    proxy = await ProxyUnderTest.start({
      yaml: yamlOf(
        service({ name: "reviews", endpoints: [{ port: application.port, isMesh: true }] }),
        service({ name: "echo", clusterIP: "10.96.0.11", portName: "tcp", selector: { app: "reviews" }, endpoints: [{ port: echo.port, isMesh: true }] }),
        STRICT),
      workload, clock, timers: clock.timers, closeExpired,
    });
    stops.push(() => proxy.stop());
  }

  /** It is so long after the start, and the proxy has looked at its clock, which it does once a second. */
  function setTime(offsetMs: number): void {
    clock.offsetMs = offsetMs;
    clock.pass(1_010);
  }

  /** Over mutual TLS with a certificate that lasts so long. */
  function connect(lifetimeMs: number, alpn: readonly string[] = ISTIO_HTTP, port = application.port): TLSSocket {
    const issued = caBy(clock).issue(PRODUCTPAGE, { lifetimeMs });
    return connectTls({ socket: proxy.connectInbound(port), rejectUnauthorized: false, ALPNProtocols: [...alpn], cert: issued.certificateChainPem, key: issued.privateKeyPem });
  }

  it("go on as in Istio when nobody asked for their end", async () => {
    await start(false);
    const http = new Kept(connect(HOUR_MS));
    const tcp = new Kept(connect(HOUR_MS, ISTIO_TCP, echo.port));
    await http.ask(GET, "app");
    await tcp.ask("ping", "ping");
    setTime(2 * HOUR_MS);
    expect(await http.ask(GET, "app")).toMatch(/^HTTP\/1\.1 200/);
    expect(await tcp.ask("pong", "pong")).toBe("pong");
  });

  it("of HTTP/1 are asked to end with a response, in time, and are closed at the end", async () => {
    await start(true);
    const [asked, idle, other] = [new Kept(connect(HOUR_MS)), new Kept(connect(HOUR_MS)), new Kept(connect(24 * HOUR_MS))];
    for (const connection of [asked, idle, other]) expect(await connection.ask(GET, "app")).not.toMatch(/connection: close/i);
    setTime(HOUR_MS - 7_000);
    expect(await asked.ask(GET, "app")).not.toMatch(/connection: close/i);
    setTime(HOUR_MS - 4_000);
    expect(await asked.ask(GET, "app")).toMatch(/^HTTP\/1\.1 200[\s\S]*connection: close/i);
    await eventually(() => asked.isClosed, "the connection was closed with a response");
    expect(idle.isClosed).toBe(false);
    setTime(HOUR_MS + 1_000);
    await eventually(() => idle.isClosed, "the idle connection was closed");
    expect(other.isClosed).toBe(false);
    expect(await other.ask(GET, "app")).toMatch(/^HTTP\/1\.1 200/);
    expect(proxy.logLines.join("\n")).toMatch(/tls_peer_expired.*the certificate that spiffe:\/\/cluster\.local\/ns\/default\/sa\/productpage came with expired at/);
  });

  it("of HTTP/2 are told by GOAWAY in time, and lose no stream that ends before", async () => {
    await start(true);
    const socket = connect(HOUR_MS, ["h2"]);
    const session: ClientHttp2Session = connectHttp2("http://reviews", { createConnection: () => socket });
    let isTold = false;
    session.on("error", () => undefined);
    session.on("goaway", () => (isTold = true));
    stops.push(() => session.destroy());
    const status = (): Promise<number> => new Promise((resolve, reject) => {
      const stream = session.request({ ":path": "/", ":authority": "reviews" });
      stream.on("response", (headers) => resolve(headers[":status"] ?? 0));
      stream.on("error", reject);
      stream.resume();
    });
    expect(await status()).toBe(200);
    setTime(HOUR_MS - 4_000);
    await eventually(() => isTold, "the peer was told");
    setTime(HOUR_MS + 1_000);
    await eventually(() => session.closed || socket.destroyed, "the connection is closed");
  });

  it("of opaque bytes are closed at the end, and the access log says why", async () => {
    await start(true);
    const [short, long] = [HOUR_MS, 24 * HOUR_MS].map((lifetimeMs) => new Kept(connect(lifetimeMs, ISTIO_TCP, echo.port))) as [Kept, Kept];
    for (const connection of [short, long]) expect(await connection.ask("ping", "ping")).toBe("ping");
    setTime(HOUR_MS + 1_000);
    await eventually(() => short.isClosed, "the connection was closed");
    await eventually(() => proxy.accessLog.length > 0, "it is in the access log");
    expect(proxy.accessLog.at(-1)).toMatchObject({ connection_termination_details: "tls_peer_expired", peer_principal: PRODUCTPAGE });
    expect(await long.ask("pong", "pong")).toBe("pong");
    // A clock that goes on finds the next.
    setTime(25 * HOUR_MS);
    await eventually(() => long.isClosed, "the other was closed at its own end");
  });

  it("of ambient peers are asked in time to open no more tunnels; what is in one goes on to the end", async () => {
    await start(true);
    const client = new HboneClient(proxy.hbonePort, { lifetimeMs: HOUR_MS, ca: caBy(clock) });
    stops.push(() => client.session.destroy());
    const { stream } = await client.open(`127.0.0.1:${echo.port}`);
    let received = "";
    let isTold = false;
    client.session.on("goaway", () => (isTold = true));
    stream.on("error", () => undefined);
    stream.on("data", (chunk: Buffer) => (received += chunk.toString()));
    stream.write("ping");
    await eventually(() => received === "ping", "the tunnel carries bytes");
    setTime(HOUR_MS - 4_000);
    await eventually(() => isTold, "the peer was told");
    stream.write("pong");
    await eventually(() => received === "pingpong", "the tunnel carries bytes still");
    expect(client.isClosed).toBe(false);
  });

  it("of ambient peers are closed, with what is in their tunnels", async () => {
    await start(true);
    const client = new HboneClient(proxy.hbonePort);
    stops.push(() => client.session.destroy());
    const { status, stream } = await client.open(`127.0.0.1:${echo.port}`);
    expect(status).toBe(200);
    let received = "";
    stream.on("error", () => undefined);
    stream.on("end", () => stream.end());
    stream.on("data", (chunk: Buffer) => (received += chunk.toString()));
    stream.write("ping");
    await eventually(() => received === "ping", "the tunnel carries bytes");
    setTime(100 * 24 * HOUR_MS);
    await eventually(() => client.isClosed, "the tunnel's connection was closed");
  });
});

describe("a caller whose own certificate has expired", () => {
  it("finds that in its access log, where else there would be a reset", async () => {
    const clock = new OffsetClock();
    const pair = await ProxyPair.start({ port: application.port, caller: { clock }, callee: { clock } });
    stops.push(() => pair.stop());
    pair.caller.useIssued(testCa.issue(PRODUCTPAGE, { lifetimeMs: HOUR_MS }));
    clock.offsetMs = 2 * HOUR_MS;
    const client = new Kept(pair.connect());
    expect(await client.ask(GET, "connection termination")).toMatch(/^HTTP\/1\.1 503/);
    expect(pair.caller.accessLog.at(-1)).toMatchObject({ upstream_transport_failure_reason: expect.stringMatching(/^127\.0\.0\.1:\d+ \(the certificate of this workload expired at 20.*Z\): /) as string });
    expect(pair.callee.logLines.join("\n")).toContain("tls_peer_expired");
  });
});

describe("outbound connections whose peer's certificate ends", () => {
  let pair: ProxyPair;
  let clock: OffsetClock;

  async function start(port: number, portName: string): Promise<void> {
    clock = new OffsetClock();
    pair = await ProxyPair.start({ port, portName, caller: { clock, closeExpired: true } });
    pair.caller.useIssued(testCa.issue(PRODUCTPAGE));
    stops.push(() => pair.stop());
    pair.callee.useIssued(caBy(clock).issue(REVIEWS, { lifetimeMs: HOUR_MS }));
  }

  const opened = async (): Promise<number> => {
    const line = (await pair.caller.metrics()).split("\n").find((each) => each.startsWith("envoy_cluster_upstream_cx_total") && each.includes("reviews"));
    return Number(line?.split(" ").at(-1) ?? 0);
  };

  it("carry no further request: the next one goes over a connection to the renewed peer", async () => {
    await start(application.port, "http");
    const client = new Kept(pair.connect());
    await client.ask(GET, "app");
    await client.ask(GET, "app");
    expect(await opened()).toBe(1);
    clock.offsetMs = HOUR_MS + 1_000;
    // Whoever did not renew is refused by its name, and the old connection is no way around it.
    expect(await client.ask(GET, "late, as little as clocks that differ explain; this workload is spiffe://cluster.local/ns/default/sa/productpage")).toMatch(/^HTTP\/1\.1 503[\s\S]*tls_peer_expired/);
    pair.callee.useIssued(testCa.issue(REVIEWS, { lifetimeMs: 24 * HOUR_MS }));
    expect(await client.ask(GET, "app")).toMatch(/^HTTP\/1\.1 200/);
    expect(client.isClosed).toBe(false);
  });

  it("are closed when they carry opaque bytes, by the name of the reason", async () => {
    await start(echo.port, "tcp");
    const client = new Kept(pair.connect());
    expect(await client.ask("ping", "ping")).toBe("ping");
    clock.offsetMs = HOUR_MS + 1_000;
    await eventually(() => client.isClosed, "the connection was closed");
    await eventually(() => pair.caller.accessLog.length > 0, "it is in the access log");
    expect(pair.caller.accessLog.at(-1)).toMatchObject({ connection_termination_details: "tls_peer_expired", peer_principal: REVIEWS });
    expect(pair.caller.logLines.join("\n")).toContain(`the certificate that ${REVIEWS} showed expired at`);
  });

  it("are cut in the end, whatever is under way", async () => {
    const slow = await TestApplication.start("slow", (_request, response) => response.write("begun"));
    stops.push(() => slow.stop());
    await start(slow.port, "http");
    const client = new Kept(pair.connect());
    client.socket.write(GET);
    await eventually(() => client.received.includes("begun"), "the response has begun");
    clock.offsetMs = HOUR_MS + 2_000;
    await new Promise((resolve) => {
      setTimeout(resolve, 1_500);
    });
    expect(client.isClosed).toBe(false);
    clock.offsetMs = HOUR_MS + 10_000;
    await eventually(() => client.isClosed, "the response was cut");
  });
});
