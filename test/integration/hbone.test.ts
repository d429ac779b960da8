import { connect as connectHttp2, createServer as createHttp2Server } from "node:http2";
import type { Socket } from "node:net";

import { afterEach, describe, expect, it } from "vitest";

import { freePort } from "./free-port.ts";
import { asSocket, HboneClient, type HboneClientOptions } from "./hbone-client.ts";
import { ask } from "./http-client.ts";
import { portOf, security, service, yamlOf, type Resource } from "./mesh-resources.ts";
import { PatientWriter } from "./patient-writer.ts";
import { eventually, ProxyUnderTest, rawServer } from "./proxy-under-test.ts";
import { TestApplication } from "./test-application.ts";

/* Tunnels of ambient peers: spec/02 2.9, spec/05 5.9. */

const AMBIENT = "spiffe://cluster.local/ns/default/sa/ambient";
const BAGGAGE = "k8s.cluster.name=c1,k8s.namespace.name=shop,k8s.deployment.name=cart,service.name=cart-svc,service.version=v7";
const DENY_AMBIENT = security("AuthorizationPolicy", "no-ambient", { action: "DENY", rules: [{ from: [{ source: { principals: ["cluster.local/ns/default/sa/ambient"] } }] }] });

describe("HBONE inbound", () => {
  const stops: (() => void)[] = [];

  afterEach(() => {
    for (const stop of stops.splice(0).reverse()) stop();
  });

  async function proxyFor(port: number, portName: string, ...resources: Resource[]): Promise<ProxyUnderTest> {
    const proxy = await ProxyUnderTest.start({
      yaml: yamlOf(service({ name: "reviews", portName, targetPort: port, endpoints: [{ port, isMesh: true }] }), security("PeerAuthentication", "default", { mtls: { mode: "STRICT" } }), resources),
      workload: { podName: "reviews-1", serviceAccount: "reviews", labels: { app: "reviews" } },
    });
    stops.push(() => proxy.stop());
    return proxy;
  }

  function clientOf(proxy: ProxyUnderTest, options: HboneClientOptions = {}): HboneClient {
    const client = new HboneClient(proxy.hbonePort, options);
    stops.push(() => client.close());
    return client;
  }

  async function server(serve: (socket: Socket) => void): Promise<number> {
    const raw = await rawServer(serve);
    stops.push(() => raw.close());
    return raw.port;
  }

  it.each(["http", ""])("serves HTTP/1 inside a tunnel as from the tunnel's peer (port named %j)", async (portName) => {
    const application = await TestApplication.start("app");
    stops.push(() => application.stop());
    const proxy = await proxyFor(application.port, portName);
    const tunnel = await clientOf(proxy).open(`127.0.0.1:${application.port}`, { baggage: BAGGAGE, forwarded: "for=203.0.113.9" });
    expect(tunnel.status).toBe(200);
    const answer = await ask(asSocket(tunnel), { path: "/a", headers: { "x-forwarded-client-cert": "Hash=forged" } });
    expect([answer.status, answer.body]).toEqual([200, "app"]);
    expect(application.requests[0]?.headers["x-forwarded-client-cert"]).toMatch(new RegExp(`^By=spiffe://cluster.local/ns/default/sa/reviews;.*URI=${AMBIENT}$`));
    await eventually(() => proxy.accessLog.length > 0 && proxy.activeCount() === 0, "the request was logged");
    expect(proxy.accessLog.at(-1)).toMatchObject({ direction: "inbound", peer_principal: AMBIENT, path: "/a" });
    const metrics = await proxy.metrics();
    expect(metrics).toMatch(/istio_requests_total\{[^}]*source_workload="cart"[^}]*\} 1/);
    expect(metrics).toMatch(/istio_requests_total\{[^}]*connection_security_policy="mutual_tls"[^}]*\} 1/);
    expect(metrics).toContain('outrider_hbone_tunnels_total{outcome="accepted"} 1');
  });

  it("answers an HTTP/1 caller that has closed its half, as applications may", async () => {
    const application = await TestApplication.start("app", (_request, response) => setTimeout(() => response.end("late"), 50));
    stops.push(() => application.stop());
    const proxy = await proxyFor(application.port, "http");
    const { stream } = await clientOf(proxy).open(`127.0.0.1:${application.port}`);
    let text = "";
    stream.on("data", (chunk: Buffer) => (text += chunk.toString()));
    stream.end("GET / HTTP/1.1\r\nHost: reviews\r\nConnection: close\r\n\r\n");
    await eventually(() => stream.closed, "the tunnel closed");
    expect(text).toMatch(/^HTTP\/1\.1 200 [^]*late/);
    expect(stream.rstCode).toBe(0);
  });

  it.each(["http2", "grpc", ""])("serves HTTP/2 inside a tunnel (port named %j)", async (portName) => {
    const application = createHttp2Server((request, response) => response.end(`${request.method} ${request.url}`));
    await new Promise<void>((resolve) => {
      application.listen(0, "127.0.0.1", resolve);
    });
    stops.push(() => application.close());
    const proxy = await proxyFor(portOf(application), portName);
    const tunnel = await clientOf(proxy).open(`127.0.0.1:${portOf(application)}`);
    const inner = connectHttp2("http://reviews", { createConnection: () => tunnel.stream });
    stops.push(() => inner.destroy());
    inner.on("error", () => undefined);
    const texts = await Promise.all(["/a", "/b", "/c"].map((path) => new Promise<string>((resolve, reject) => {
      const stream = inner.request({ ":path": path });
      let text = "";
      stream.on("data", (chunk: Buffer) => (text += chunk.toString()));
      stream.on("end", () => resolve(text));
      stream.on("error", reject);
    })));
    expect(texts).toEqual(["GET /a", "GET /b", "GET /c"]);
  });

  it("passes each half's end of opaque bytes on by itself, and says 200 once the upstream is there", async () => {
    const port = await server((socket) => {
      let received = 0;
      // It speaks first.
      socket.write("hello ");
      socket.on("data", (chunk: Buffer) => (received += chunk.length));
      socket.on("end", () => socket.end(`got ${received}`));
    });
    const proxy = await proxyFor(port, "tcp");
    const { status, stream } = await clientOf(proxy).open(`127.0.0.1:${port}`, { baggage: BAGGAGE });
    let text = "";
    stream.on("data", (chunk: Buffer) => (text += chunk.toString()));
    stream.end("x".repeat(300_000));
    await eventually(() => stream.closed, "the tunnel closed");
    expect([status, text]).toEqual([200, "hello got 300000"]);
    await eventually(() => proxy.activeCount() === 0 && proxy.accessLog.length > 0, "the proxy is done with it");
    expect(proxy.accessLog.at(-1)).toMatchObject({ peer_principal: AMBIENT, method: null });
    expect(await proxy.metrics()).toMatch(/istio_tcp_connections_closed_total\{[^}]*source_workload="cart"[^}]*\} 1/);
  });

  it("401 for opaque bytes the policy forbids, 403 for such a request, and nothing reaches the application", async () => {
    const application = await TestApplication.start("app");
    stops.push(() => application.stop());
    const tcp = await proxyFor(application.port, "tcp", DENY_AMBIENT);
    expect((await clientOf(tcp).open(`127.0.0.1:${application.port}`)).status).toBe(401);
    expect((await clientOf(tcp, { spiffeId: "spiffe://cluster.local/ns/default/sa/other" }).open(`127.0.0.1:${application.port}`)).status).toBe(200);
    const http = await proxyFor(application.port, "http", DENY_AMBIENT);
    const answer = await ask(asSocket(await clientOf(http).open(`127.0.0.1:${application.port}`)));
    expect([answer.status, application.requests.length]).toEqual([403, 0]);
    expect(await tcp.metrics()).toContain('outrider_hbone_tunnels_total{outcome="refused"} 1');
  });

  it("503 where nobody listens", async () => {
    const port = await freePort();
    const proxy = await proxyFor(port, "tcp");
    expect((await clientOf(proxy).open(`127.0.0.1:${port}`)).status).toBe(503);
    await eventually(() => proxy.activeCount() === 0, "nothing is left");
    expect(proxy.accessLog.at(-1)).toMatchObject({ response_flags: "UF,URX" });
    expect(await proxy.metrics()).toContain('outrider_hbone_tunnels_total{outcome="unreachable"} 1');
  });

  it("400 for a destination that is not ours, 404 for what is no CONNECT; other tunnels live on", async () => {
    const application = await TestApplication.start("app");
    stops.push(() => application.stop());
    const proxy = await proxyFor(application.port, "http");
    const client = clientOf(proxy);
    const wrong = ["203.0.113.7:80", "localhost:80", "127.0.0.1", "127.0.0.1:0", `127.0.0.1:${proxy.inboundPort}`, `127.0.0.1:${proxy.hbonePort}`];
    for (const authority of wrong) expect([authority, (await client.open(authority)).status]).toEqual([authority, 400]);
    expect(await client.ask({ ":method": "GET", ":path": "/", ":authority": `127.0.0.1:${application.port}` })).toBe(404);
    expect((await ask(asSocket(await client.open(`127.0.0.1:${application.port}`)))).status).toBe(200);
    const reasons = proxy.logLines.join("\n");
    for (const reason of ["hbone_foreign_address", "hbone_bad_authority", "hbone_own_port", "hbone_not_connect"]) {
      expect(await proxy.metrics()).toContain(`outrider_connections_refused_total{direction="inbound",reason="${reason}"}`);
    }
    expect(reasons).toContain("CONNECT to 203.0.113.7:80, which is no address of this workload");
  });

  it.each<readonly [string, HboneClientOptions, string]>([
    ["without a client certificate", { spiffeId: null }, "tls_peer_no_certificate"],
    ["of a foreign trust domain", { spiffeId: "spiffe://foreign.example/ns/default/sa/ambient" }, "tls_peer_wrong_trust_domain"],
    ["that does not speak h2", { alpn: ["istio-h2"] }, "hbone_without_h2"],
  ])("refuses a peer %s, whatever PeerAuthentication says", async (_who, options, reason) => {
    const application = await TestApplication.start("app");
    stops.push(() => application.stop());
    const proxy = await proxyFor(application.port, "http");
    await proxy.apply(yamlOf(service({ name: "reviews", targetPort: application.port, endpoints: [{ port: application.port, isMesh: true }] }), security("PeerAuthentication", "default", { mtls: { mode: "DISABLE" } })));
    const client = clientOf(proxy, options);
    await expect(client.open(`127.0.0.1:${application.port}`)).rejects.toThrow();
    await eventually(() => proxy.logLines.some((line) => line.includes(`"reason":"${reason}"`)), "the refusal was logged");
    await eventually(async () => /envoy_listener_downstream_cx_active\{[^}]*\} 0/.test(await proxy.metrics()), "the connection was closed");
    expect(application.requests).toHaveLength(0);
  });

  it.each(["the server", "the client"])("passes on that %s cut the connection", async (who) => {
    const servers: Socket[] = [];
    const serverErrors: string[] = [];
    const port = await server((socket) => {
      servers.push(socket);
      socket.on("error", (error: NodeJS.ErrnoException) => serverErrors.push(error.code ?? ""));
      socket.pipe(socket);
    });
    const proxy = await proxyFor(port, "tcp");
    const client = clientOf(proxy);
    const { stream } = await client.open(`127.0.0.1:${port}`);
    let text = "";
    stream.on("data", (chunk: Buffer) => (text += chunk.toString()));
    stream.write("hello");
    await eventually(() => text === "hello", "the bytes came back");
    if (who === "the server") servers[0]?.resetAndDestroy();
    else client.socket.destroy();
    // A clean end would let the other side take what it has for all there is. CONNECT_ERROR: RFC 9113 section 8.5.
    if (who === "the server") await eventually(() => stream.rstCode === 10, "the stream was reset");
    else await eventually(() => serverErrors[0] === "ECONNRESET", "the server was reset");
    await eventually(() => proxy.activeCount() === 0, "the proxy is done with it");
  });

  it.each(["the server", "the client"])("holds the other side back when %s reads slowly", async (who) => {
    const total = 40 * 1024 * 1024;
    const sockets: Socket[] = [];
    const writers: PatientWriter[] = [];
    let taken = 0;
    const port = await server((socket) => {
      sockets.push(socket.pause());
      if (who === "the client") writers.push(new PatientWriter(socket, total));
      else socket.on("data", (chunk: Buffer) => (taken += chunk.length)).pause();
    });
    const proxy = await proxyFor(port, "tcp");
    const tunnel = await clientOf(proxy).open(`127.0.0.1:${port}`);
    if (who === "the client") tunnel.stream.on("data", (chunk: Buffer) => (taken += chunk.length)).pause();
    else writers.push(new PatientWriter(asSocket(tunnel), total));
    await eventually(() => sockets.length === 1 && writers.length === 1, "the server was reached");
    await writers[0]?.stalled();
    expect(writers[0]?.taken).toBeLessThan(total / 2);
    (who === "the client" ? tunnel.stream : sockets[0])?.resume();
    await eventually(() => taken === total, "all of it came through");
  });

  it("carries 100 tunnels on one connection, each its own bytes", async () => {
    const port = await server((socket) => socket.pipe(socket));
    const proxy = await proxyFor(port, "tcp");
    const client = clientOf(proxy);
    const echoes = await Promise.all(Array.from({ length: 100 }, async (_, number) => {
      const { stream } = await client.open(`127.0.0.1:${port}`);
      let text = "";
      stream.on("data", (chunk: Buffer) => (text += chunk.toString()));
      stream.end(`${number} `.repeat(2000));
      await eventually(() => stream.closed, `tunnel ${number} closed`);
      return text === `${number} `.repeat(2000);
    }));
    expect(echoes.filter(Boolean)).toHaveLength(100);
    await eventually(() => proxy.activeCount() === 0, "nothing is left");
    expect(await proxy.metrics()).toContain('outrider_hbone_tunnels_total{outcome="accepted"} 100');
  });

  it.each(["tcp", "http", ""])("leaves nothing of tunnels and connections that are aborted at any point (port named %j)", async (portName) => {
    const open = new Set<Socket>();
    const port = await server((socket) => {
      open.add(socket);
      socket.on("close", () => open.delete(socket));
      socket.pipe(socket);
    });
    const proxy = await proxyFor(port, portName);
    const head = portName === "tcp" ? "" : "POST / HTTP/1.1\r\nHost: reviews\r\nContent-Length: 40000\r\n\r\n";
    for (let round = 0; round < 40; round++) {
      const client = clientOf(proxy);
      const streams = Array.from({ length: 5 }, () => client.session.request({ ":method": "CONNECT", ":authority": `127.0.0.1:${port}` }, { endStream: false }));
      for (const [index, stream] of streams.entries()) {
        stream.on("error", () => undefined);
        stream.write(Buffer.concat([Buffer.from(head), Buffer.alloc((round * 997 + index * 4099) % 70_000)]));
        if (index % 2 === 0) stream.end();
        setTimeout(() => stream.close(8), (round * 3 + index) % 9);
      }
      // Every other connection is lost as a whole, at some point of its own.
      if (round % 2 === 0) setTimeout(() => client.close(), (round * 5) % 13);
    }
    await eventually(() => proxy.activeCount() === 0 && open.size === 0, "no connection to the server is left");
    expect(await proxy.metrics()).not.toContain("outrider_defects_total{");
    const { stream } = await clientOf(proxy).open(`127.0.0.1:${port}`);
    let text = "";
    stream.on("data", (chunk: Buffer) => (text += chunk.toString("latin1")));
    stream.write(`${head}still here`);
    // The server's echo is no answer to a request.
    await eventually(() => text.startsWith(head === "" ? "still here" : "HTTP/1.1 502"), "it serves on");
  });

  it("drains by GOAWAY: what is under way goes on", async () => {
    const port = await server((socket) => socket.pipe(socket));
    const proxy = await proxyFor(port, "tcp");
    const client = clientOf(proxy);
    const { stream } = await client.open(`127.0.0.1:${port}`);
    let goAways = 0;
    client.session.on("goaway", () => goAways++);
    proxy.drain();
    await eventually(() => goAways > 0, "the peer was told");
    let text = "";
    stream.on("data", (chunk: Buffer) => (text += chunk.toString()));
    stream.end("last words");
    await eventually(() => stream.closed && client.isClosed, "the connection closed behind the last tunnel");
    expect(text).toBe("last words");
  });
});
