import { connect as connectHttp2 } from "node:http2";
import type { Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls } from "node:tls";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { type ClientHello, inspectClientHello } from "../../src/connection/client-hello.ts";
import { ask } from "./http-client.ts";
import { ISTIO_HTTP, ISTIO_TCP } from "./mesh-client.ts";
import { meshConfig, networking, type Resource, security, service, yamlOf } from "./mesh-resources.ts";
import { eventually, ProxyUnderTest, rawServer, testCa } from "./proxy-under-test.ts";
import { TestApplication } from "./test-application.ts";

/* TLS between sidecars: what a server of the mesh takes (spec/02 2.7), and what a client of it offers, and to whom (spec/05 5.3 and 5.4). */

const FQDN = "reviews.default.svc.cluster.local";

describe("as server", () => {
  let application: TestApplication;
  let proxy: ProxyUnderTest;
  const yaml = (portName: string, ...more: readonly Resource[]): string => yamlOf(
    service({ name: "reviews", portName, targetPort: application.port, endpoints: [{ port: application.port }] }),
    security("PeerAuthentication", "default", { mtls: { mode: "STRICT" } }), more,
  );
  const ONLY_13 = meshConfig({ meshMTLS: { minProtocolVersion: "TLSV1_3" } });

  beforeAll(async () => {
    application = await TestApplication.start("application");
    proxy = await ProxyUnderTest.start({ yaml: yaml("http"), workload: { podName: "reviews-1", labels: { app: "reviews" }, serviceAccount: "reviews" } });
  });
  afterAll(() => {
    proxy.stop();
    application.stop();
  });

  /** Version, suite and ALPN name that were agreed on, with what the answer was; or why there is none. */
  function agreed(options: ConnectionOptions): Promise<{ version: string | null; suite: string; alpn: string | false | null } | string> {
    const issued = testCa.issue("spiffe://cluster.local/ns/default/sa/productpage");
    return new Promise((resolve) => {
      const raw = proxy.connectInbound(application.port);
      raw.on("error", () => raw.destroy());
      const socket = connectTls({ socket: raw, rejectUnauthorized: false, cert: issued.certificateChainPem, key: issued.privateKeyPem, ALPNProtocols: [...ISTIO_HTTP], ...options });
      socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
      socket.on("close", () => resolve("closed"));
      socket.on("data", () => {
        resolve({ version: socket.getProtocol(), suite: socket.getCipher().name, alpn: socket.alpnProtocol });
        socket.destroy();
      });
      socket.on("secureConnect", () => socket.write("GET / HTTP/1.1\r\nHost: reviews\r\n\r\n"));
    });
  }

  it.each(["ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256"])("takes TLS 1.2 with %s", async (ciphers) => {
    expect(await agreed({ maxVersion: "TLSv1.2", ciphers })).toMatchObject({ version: "TLSv1.2", suite: ciphers });
  });

  it("takes TLS 1.3, and no suite of CBC or of plain RSA", async () => {
    expect(await agreed({})).toMatchObject({ version: "TLSv1.3" });
    for (const ciphers of ["ECDHE-ECDSA-AES128-SHA256", "AES128-GCM-SHA256"]) expect(await agreed({ maxVersion: "TLSv1.2", ciphers })).toBeTypeOf("string");
  });

  it("takes nothing before TLS 1.2", async () => {
    expect(await agreed({ minVersion: "TLSv1.1", maxVersion: "TLSv1.1", ciphers: "ALL:@SECLEVEL=0" })).toBeTypeOf("string");
  });

  it("takes TLS 1.3 alone where meshMTLS.minProtocolVersion says so, whatever was taken before", async () => {
    await proxy.apply(yaml("http", ONLY_13));
    expect(await agreed({ maxVersion: "TLSv1.2" })).toBeTypeOf("string");
    await eventually(() => proxy.logLines.some((line) => line.includes("tls_handshake_failed")), "the refusal was told");
    expect(await agreed({})).toMatchObject({ version: "TLSv1.3" });
    proxy.useIdentity("spiffe://cluster.local/ns/default/sa/reviews");
    expect(await agreed({ maxVersion: "TLSv1.2" })).toBeTypeOf("string");
    await proxy.apply(yaml("http"));
    expect(await agreed({ maxVersion: "TLSv1.2" })).toMatchObject({ version: "TLSv1.2" });
  });

  it.each<readonly [portName: string, offered: readonly string[], chosen: string | false]>([
    ["http", ISTIO_HTTP, "http/1.1"],
    ["http", ISTIO_TCP, false],
    ["http", ["http/1.1"], "http/1.1"],
    ["http", ["istio-http/1.1", "istio"], false],
    ["http", [], false],
    // Never istio-peer-exchange, which would oblige both sides to its preamble.
    ["tcp", ISTIO_TCP, "istio"],
    ["tcp", ["http/1.1"], "http/1.1"],
    ["tcp", ["http/1.1", "h2"], "h2"],
    ["tcp", ["unheard-of"], false],
  ])("on a port %s, offered %j, agrees on %s and serves", async (portName, offered, chosen) => {
    await proxy.apply(yaml(portName));
    expect(await agreed({ ALPNProtocols: [...offered] })).toMatchObject({ alpn: chosen });
  });

  it("prefers h2 on an HTTP port, by its own order", async () => {
    await proxy.apply(yaml("http"));
    const issued = testCa.issue("spiffe://cluster.local/ns/default/sa/productpage");
    const socket = connectTls({
      socket: proxy.connectInbound(application.port), rejectUnauthorized: false, cert: issued.certificateChainPem, key: issued.privateKeyPem, ALPNProtocols: ["http/1.1", "h2"],
    });
    const session = connectHttp2("https://reviews", { createConnection: () => socket });
    const stream = session.request({ ":path": "/" });
    expect(await new Promise((resolve) => stream.on("response", (head) => resolve([head[":status"], socket.alpnProtocol])))).toEqual([200, "h2"]);
    session.destroy();
  });

  it.each(["http", "tcp"])("refuses who shows no certificate (port %s)", async (portName) => {
    await proxy.apply(yaml(portName));
    const refused = async (): Promise<number> => Number(/^outrider_connections_refused_total\{direction="inbound",reason="tls_peer_no_certificate"\} (\d+)/m.exec(await proxy.metrics())?.[1] ?? 0);
    const before = await refused();
    const { cert, key }: ConnectionOptions = {};
    expect(await agreed({ cert, key })).toBeTypeOf("string");
    await eventually(async () => (await refused()) === before + 1, "the refusal was counted");
  });
});

describe("as client", () => {
  /** The first bytes each endpoint was sent, read as a ClientHello; null: they were none. */
  const hellos: { readonly endpoint: string; readonly hello: ClientHello | null; readonly text: string }[] = [];
  const listen = (endpoint: string, host = "127.0.0.1") => rawServer((socket: Socket) => {
    let bytes = Buffer.alloc(0);
    socket.on("data", (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk]);
      const seen = inspectClientHello(bytes);
      if (seen.kind === "incomplete") return;
      hellos.push({ endpoint, hello: seen.kind === "hello" ? seen : null, text: bytes.toString("latin1") });
      socket.end(seen.kind === "hello" ? "" : "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    });
  }, host);
  let first: Awaited<ReturnType<typeof rawServer>>;
  let second: Awaited<ReturnType<typeof rawServer>>;
  let proxy: ProxyUnderTest;

  beforeAll(async () => {
    first = await listen("first");
    second = await listen("second");
    proxy = await ProxyUnderTest.start({ yaml: yamlOf(reviews()) });
  });
  afterAll(() => {
    proxy.stop();
    first.close();
    second.close();
  });

  const reviews = (portName = "http", isSecondMesh = true): Resource[] => service({
    name: "reviews", portName,
    endpoints: [{ port: first.port, isMesh: true, labels: { version: "v1" } }, { port: second.port, isMesh: isSecondMesh, labels: { version: "v2" } }],
  });
  const connect = (address = "10.96.0.10", port = 9080): Socket => proxy.connectOutbound({ address, port });

  /** What endpoints saw of a few requests, or opaque connections, under a configuration. */
  async function seen(yaml: string, how: "HTTP/1.1" | "HTTP/2" | "bytes" = "HTTP/1.1", times = 1): Promise<typeof hellos> {
    await proxy.apply(yaml);
    hellos.length = 0;
    for (let at = 0; at < times; at++) {
      if (how === "HTTP/1.1") await ask(connect(), { host: "reviews:9080" });
      else await hear(connect(), how);
    }
    await eventually(() => hellos.length >= times, "the endpoints were asked");
    return [...hellos];
  }

  /** Until the connection ends. */
  function hear(socket: Socket, how: "HTTP/2" | "bytes"): Promise<void> {
    return new Promise((resolve) => {
      socket.on("error", () => undefined);
      if (how === "bytes") {
        socket.on("close", () => resolve());
        socket.on("end", () => socket.end());
        socket.resume();
        socket.write("\x00\x01 opaque\n");
        return;
      }
      const session = connectHttp2("http://reviews:9080", { createConnection: () => socket });
      const stream = session.request({ ":path": "/" });
      session.on("error", () => undefined);
      stream.on("error", () => undefined);
      stream.on("response", () => {
        session.destroy();
        resolve();
      });
    });
  }

  it.each<readonly [how: "HTTP/1.1" | "HTTP/2" | "bytes", portName: string, alpn: readonly string[]]>([
    // Ours, which another sidecar does not know, goes before Istio's.
    ["HTTP/1.1", "http", ["outrider", "istio-http/1.1", "istio", "http/1.1"]],
    ["HTTP/2", "http2", ["istio-h2", "istio", "h2"]],
    // Not istio-peer-exchange: who offers it has to speak its preamble.
    ["bytes", "tcp", ["istio"]],
  ])("%s, port %s: offers %j, and the cluster's name as server name", async (how, portName, alpn) => {
    const [{ hello } = { hello: null }] = await seen(yamlOf(reviews(portName)), how);
    expect(hello).toMatchObject({ alpn, serverName: `outbound_.9080_._.${FQDN}` });
  });

  it("names the subset in the server name", async () => {
    const [{ hello } = { hello: null }] = await seen(yamlOf(
      reviews(), networking("DestinationRule", "reviews", { host: "reviews", subsets: [{ name: "v2", labels: { version: "v2" } }] }),
      networking("VirtualService", "reviews", { hosts: ["reviews"], http: [{ route: [{ destination: { host: "reviews", subset: "v2" } }] }] }),
    ));
    expect(hello?.serverName).toBe(`outbound_.9080_.v2_.${FQDN}`);
  });

  /** The same by endpoint, with as many requests as it takes until both were asked. */
  async function seenByBoth(yaml: string): Promise<Partial<Record<string, typeof hellos>>> {
    await seen(yaml);
    await eventually(async () => {
      await ask(connect(), { host: "reviews:9080" });
      return new Set(hellos.map(({ endpoint }) => endpoint)).size === 2;
    }, "both endpoints were asked");
    return Object.groupBy(hellos, ({ endpoint }) => endpoint);
  }

  it("mixed endpoints: each as it can", async () => {
    const by = await seenByBoth(yamlOf(reviews("http", false)));
    expect(by["first"]?.every(({ hello }) => hello !== null)).toBe(true);
    expect(by["second"]?.every(({ text }) => text.startsWith("GET / HTTP/1.1\r\n"))).toBe(true);
  });

  it("a workload port whose PeerAuthentication is DISABLE gets plaintext, STRICT or not elsewhere", async () => {
    const policy = (port: number) => security("PeerAuthentication", "p", { selector: { matchLabels: { app: "reviews" } }, mtls: { mode: "STRICT" }, portLevelMtls: { [String(port)]: { mode: "DISABLE" } } });
    const by = await seenByBoth(yamlOf(reviews(), policy(second.port)));
    expect([by["first"]?.every(({ hello }) => hello !== null), by["second"]?.every(({ hello }) => hello === null)]).toEqual([true, true]);
  });

  it.each<readonly [what: string, more: Resource]>([
    ["tls.mode DISABLE, even where the server is STRICT", networking("DestinationRule", "reviews", { host: "reviews", trafficPolicy: { tls: { mode: "DISABLE" } } })],
    ["enableAutoMtls false", meshConfig({ enableAutoMtls: false })],
  ])("%s: plaintext", async (_what, more) => {
    const all = await seen(yamlOf(reviews(), security("PeerAuthentication", "default", { mtls: { mode: "STRICT" } }), more), "HTTP/1.1", 2);
    expect(all.every(({ hello }) => hello === null)).toBe(true);
  });

  it("ISTIO_MUTUAL written out: TLS to all, labelled or not", async () => {
    const all = await seen(yamlOf(reviews("http", false), networking("DestinationRule", "reviews", { host: "reviews", trafficPolicy: { tls: { mode: "ISTIO_MUTUAL" } } })), "HTTP/1.1", 4);
    expect(all.every(({ hello }) => hello !== null)).toBe(true);
  });

  it("a service outside of the mesh gets plaintext", async () => {
    const [{ text } = { text: "" }] = await seen(yamlOf(networking("ServiceEntry", "reviews", {
      hosts: ["reviews.default.svc.cluster.local"], addresses: ["10.96.0.10"], location: "MESH_EXTERNAL", resolution: "STATIC", ports: [{ number: 9080, name: "tcp-db", targetPort: first.port }],
      endpoints: [{ address: "127.0.0.1", labels: { "security.istio.io/tlsMode": "istio" } }],
    })), "bytes");
    expect(text).toBe("\x00\x01 opaque\n");
  });

  it("a headless service: mutual TLS only if every endpoint takes it", async () => {
    const pod = await listen("pod", "127.0.0.2");
    const headless = (isOtherMesh: boolean): string => yamlOf(service({
      name: "reviews", portName: "tcp", clusterIP: "None", port: pod.port,
      endpoints: [{ port: pod.port, address: "127.0.0.2", isMesh: true }, { port: pod.port, address: "127.0.0.3", isMesh: isOtherMesh }],
    }));
    const hello = async (isOtherMesh: boolean): Promise<boolean> => {
      await proxy.apply(headless(isOtherMesh));
      hellos.length = 0;
      await hear(connect("127.0.0.2", pod.port), "bytes");
      return hellos[0]?.hello !== null;
    };
    expect([await hello(true), await hello(false)]).toEqual([true, false]);
    pod.close();
  });
});
