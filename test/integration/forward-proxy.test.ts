import { createServer } from "node:http";
import type { Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";

import { networking, portOf, type Resource, yamlOf } from "./mesh-resources.ts";
import { eventually, exchange, ProxyUnderTest, rawServer } from "./proxy-under-test.ts";

/* What goes before the bytes of a connection: PROXY headers and tunnels through forward proxies (spec/04 4.8). */

type RawServer = Awaited<ReturnType<typeof rawServer>>;

describe("what is said before the first byte", () => {
  const servers: RawServer[] = [];
  let proxy: ProxyUnderTest;
  let received = "";

  afterEach(() => {
    proxy.stop();
    received = "";
    for (const server of servers.splice(0)) server.close();
  });

  /** Keeps what it gets, and says what `answer` makes of all of it so far, once it makes something. */
  const server = async (answer: (bytes: string) => string | null): Promise<RawServer> => {
    const started = await rawServer((socket: Socket) => {
      let bytes = "";
      let hasAnswered = false;
      socket.on("data", (chunk: Buffer) => {
        bytes += chunk.toString("latin1");
        received += chunk.toString("latin1");
        const said = hasAnswered ? null : answer(bytes);
        if (said === null) return;
        hasAnswered = true;
        socket.write(said, "latin1");
      });
      socket.on("end", () => socket.end());
    });
    servers.push(started);
    return started;
  };
  const world = (port: number, protocol: string, policy: Resource): string => yamlOf(
    networking("ServiceEntry", "proxy", {
      hosts: ["proxy.example.com"], addresses: ["192.0.2.9"], resolution: "STATIC", endpoints: [{ address: "127.0.0.1" }],
      ports: [{ number: 3128, name: protocol.toLowerCase(), protocol, targetPort: port }],
    }),
    networking("DestinationRule", "proxy", { host: "proxy.example.com", trafficPolicy: policy }));
  const through = (bytes: string, until: string): Promise<string> =>
    exchange(proxy.connectOutbound({ address: "192.0.2.9", port: 3128 }), bytes, (answer) => answer.includes(until));

  const TUNNEL = { tunnel: { targetHost: "db.internal", targetPort: 5432 } };
  const CONNECT = "CONNECT db.internal:5432 HTTP/1.1\r\nHost: db.internal:5432\r\n\r\n";

  it("tunnel: CONNECT first, then the bytes as they are, both ways", async () => {
    const forward = await server((bytes) => (bytes === CONNECT ? "HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\nfirst words " : null));
    proxy = await ProxyUnderTest.start({ yaml: world(forward.port, "TCP", TUNNEL) });
    expect(await through("hello", "first words ")).toBe("first words ");
    await eventually(() => received === `${CONNECT}hello`, "the bytes follow");
  });

  it.each([
    ["a refusal", "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"],
    ["no HTTP", "SSH-2.0-x\r\n"],
    ["another protocol", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"],
  ])("tunnel: %s closes the connection, and nothing of it was sent", async (_what, answer) => {
    const forward = await server(() => answer);
    proxy = await ProxyUnderTest.start({ yaml: world(forward.port, "TCP", TUNNEL) });
    expect(await through("secret", "never")).toBe("");
    await eventually(() => proxy.accessLog.some((line) => String(line["response_flags"]).split(",").includes("UF")), "logged as UF");
    expect(received).not.toContain("secret");
    expect(received).toContain(CONNECT);
  });

  const POST_TUNNEL = { tunnel: { ...TUNNEL.tunnel, protocol: "POST" } };
  const POST = "POST / HTTP/1.1\r\nHost: db.internal:5432\r\nTransfer-Encoding: chunked\r\n\r\n";

  it("tunnel: POST carries the bytes in its bodies, chunked both ways", async () => {
    const forward = await server((bytes) => (bytes === POST ? "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nfirst \r\n5\r\nwords\r\n" : null));
    proxy = await ProxyUnderTest.start({ yaml: world(forward.port, "TCP", POST_TUNNEL) });
    expect(await through("hello", "first words")).toBe("first words");
    await eventually(() => received.startsWith(`${POST}5\r\nhello\r\n`), "the bytes follow");
  });

  it("tunnel: POST in front of a real server: both ends end in order, and many bytes go both ways", async () => {
    const far = createServer((request, response) => {
      response.writeHead(200);
      response.flushHeaders();
      request.on("data", (chunk: Buffer) => response.write(chunk));
      request.on("end", () => response.end("over"));
    });
    await new Promise<void>((resolve) => {
      far.listen(0, "127.0.0.1", resolve);
    });
    proxy = await ProxyUnderTest.start({ yaml: world(portOf(far), "TCP", POST_TUNNEL) });
    const socket = proxy.connectOutbound({ address: "192.0.2.9", port: 3128 });
    const sent = Buffer.alloc(3_000_000, "0123456789abcdef");
    const chunks: Buffer[] = [];
    await new Promise<void>((resolve, reject) => {
      socket.on("data", (chunk: Buffer) => chunks.push(chunk));
      socket.on("end", resolve);
      socket.on("error", reject);
      socket.end(sent);
    });
    const echoed = Buffer.concat(chunks);
    expect(echoed.length).toBe(sent.length + 4);
    expect(echoed.subarray(0, sent.length).equals(sent)).toBe(true);
    expect(echoed.subarray(sent.length).toString()).toBe("over");
    await eventually(() => proxy.activeCount() === 0, "the connection is over");
    expect(proxy.accessLog[0]).toMatchObject({ response_flags: "-" });
    far.closeAllConnections();
    far.close();
  });

  it.each([
    ["a refusal", "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"],
    ["no HTTP", "SSH-2.0-x\r\n"],
  ])("tunnel: POST and %s: closed, and nothing of it was sent", async (_what, answer) => {
    const forward = await server(() => answer);
    proxy = await ProxyUnderTest.start({ yaml: world(forward.port, "TCP", POST_TUNNEL) });
    expect(await through("secret", "never")).toBe("");
    expect(received).not.toContain("secret");
  });

  it("tunnel: a POST that is cut in the middle of a body is a reset, not an end", async () => {
    const forward = await rawServer((socket) => {
      socket.once("data", () => {
        socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nfirst \r\n5\r\nwo");
        setTimeout(() => socket.end(), 50);
      });
    });
    servers.push(forward);
    proxy = await ProxyUnderTest.start({ yaml: world(forward.port, "TCP", POST_TUNNEL) });
    const socket = proxy.connectOutbound({ address: "192.0.2.9", port: 3128 });
    const end = await new Promise((resolve) => {
      socket.resume();
      socket.on("end", () => resolve("end"));
      socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code));
    });
    expect(end).toBe("ECONNRESET");
    socket.destroy();
  });

  it("tunnel: a TLS route goes through it, the ClientHello untouched", async () => {
    const forward = await server((bytes) => (bytes === CONNECT ? "HTTP/1.1 200 OK\r\n\r\n" : null));
    proxy = await ProxyUnderTest.start({ yaml: world(forward.port, "TLS", TUNNEL) });
    const socket = proxy.connectOutbound({ address: "192.0.2.9", port: 3128 });
    socket.on("error", () => undefined);
    socket.write(Buffer.from("160301000401000000", "hex"));
    await eventually(() => Buffer.from(received, "latin1").toString("hex").endsWith("160301000401000000"), "the bytes came");
    expect(received.startsWith(CONNECT)).toBe(true);
    socket.destroy();
  });

  it.each(["V1", undefined])("proxyProtocol %s: the application's connection is named", async (version) => {
    const named = await server((bytes) => (bytes.endsWith("hello") ? "ok" : null));
    proxy = await ProxyUnderTest.start({ yaml: world(named.port, "TCP", { proxyProtocol: version === undefined ? {} : { version } }) });
    expect(await through("hello", "ok")).toBe("ok");
    expect(received).toMatch(/^PROXY TCP4 127\.77\.\d+\.\d+ 192\.0\.2\.9 \d+ 3128\r\nhello$/);
  });

  it("proxyProtocol V2 is binary; over HTTP it names our own connection, which many requests share", async () => {
    const named = await server((bytes) => (bytes.endsWith("\r\n\r\n") ? "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" : null));
    const yaml = yamlOf(
      networking("ServiceEntry", "web", {
        hosts: ["web.example.com"], resolution: "STATIC", endpoints: [{ address: "127.0.0.1" }], ports: [{ number: 80, name: "http", protocol: "HTTP", targetPort: named.port }],
      }),
      networking("DestinationRule", "web", { host: "web.example.com", trafficPolicy: { proxyProtocol: { version: "V2" } } }));
    proxy = await ProxyUnderTest.start({ yaml });
    const answer = await exchange(proxy.connectOutbound({ address: "192.0.2.1", port: 80 }), "GET / HTTP/1.1\r\nHost: web.example.com\r\n\r\n", (text) => text.endsWith("ok"));
    expect(answer).toContain("200 OK");
    const bytes = Buffer.from(received, "latin1");
    expect(bytes.subarray(0, 24).toString("hex")).toMatch(/^0d0a0d0a000d0a515549540a2111000c7f0000017f000001$/);
    expect(bytes.readUInt16BE(26)).toBe(named.port);
    expect(bytes.subarray(28).toString("latin1")).toMatch(/^GET \/ HTTP\/1\.1\r\n/);
  });
});
