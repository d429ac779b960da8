import { connect, type Socket } from "node:net";
import { Duplex } from "node:stream";
import { connect as connectTls, createServer as createTlsServer, type Server, type TLSSocket } from "node:tls";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { seededRandom } from "../contract/load-balancer.ts";
import { freePort } from "./free-port.ts";
import { ask } from "./http-client.ts";
import { meshConfig, networking, portOf, type Resource, service, yamlOf } from "./mesh-resources.ts";
import { eventually, exchange, ProxyUnderTest, rawServer, testCa } from "./proxy-under-test.ts";
import { TestApplication } from "./test-application.ts";

/* TLS of applications, routed by the server name of its ClientHello and never opened: spec/02 2.5, spec/03 3.12. */

const REGISTRY_ONLY = meshConfig({ outboundTrafficPolicy: { mode: "REGISTRY_ONLY" } });

describe("TLS passthrough by server name", () => {
  const servers: Server[] = [];
  let plain: Awaited<ReturnType<typeof rawServer>>;
  let reviews: TestApplication;
  let proxy: ProxyUnderTest;
  let port = 0;

  /** Says its own name and the one it was asked for, then ends. */
  async function tlsServer(name: string): Promise<Server> {
    const issued = testCa.issue(`spiffe://cluster.local/ns/default/sa/${name}`);
    const server = createTlsServer({ cert: issued.certificateChainPem, key: issued.privateKeyPem }, (socket) => {
      socket.on("error", () => socket.destroy());
      socket.once("data", (chunk) => socket.end(`${name} for ${String(socket.servername)}: ${chunk.toString()}`));
    });
    server.on("tlsClientError", () => undefined);
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
    servers.push(server);
    return server;
  }

  const external = (host: string, at: number, change: Resource = {}): Resource => networking("ServiceEntry", host.replaceAll(/[*.]/g, "x"), {
    hosts: [host], location: "MESH_EXTERNAL", resolution: "STATIC", ports: [{ number: port, name: "tls", protocol: "TLS", targetPort: at }], endpoints: [{ address: "127.0.0.1" }], ...change,
  });
  const world = (...more: readonly Resource[]): string => yamlOf(
    external("api.example.com", portOf(servers[0] as Server)), external("*.example.com", portOf(servers[1] as Server)), ...more);

  beforeAll(async () => {
    for (const name of ["one", "two", "elsewhere"]) await tlsServer(name);
    plain = await rawServer((socket) => socket.end("plain"));
    reviews = await TestApplication.start("reviews");
    port = await freePort();
    proxy = await ProxyUnderTest.start({ yaml: world() });
  });

  afterAll(() => {
    proxy.stop();
    plain.close();
    reviews.stop();
    for (const server of servers) server.close();
  });

  /** Where the application believes it connects to; nothing listens there. */
  const somewhere = (address = "192.0.2.7") => ({ address, port });
  const client = (socket: Socket | Duplex, servername: string | undefined): TLSSocket =>
    connectTls({ socket, rejectUnauthorized: false, checkServerIdentity: () => undefined, ...(servername === undefined ? {} : { servername }) });

  /** What the server at the other end said; `refused` when the connection was cut instead. */
  function say(tls: TLSSocket): Promise<string> {
    return new Promise((resolve) => {
      let said = "";
      tls.on("data", (chunk: Buffer) => (said += chunk.toString()));
      tls.on("error", () => resolve("refused"));
      // The captured connection may stay half open: its owner closes it.
      tls.on("end", () => tls.end());
      tls.on("close", () => resolve(said === "" ? "refused" : said));
      tls.write("hello");
    });
  }
  const to = (servername: string | undefined, destination = somewhere()): Promise<string> => say(client(proxy.connectOutbound(destination), servername));
  const logged = async (expected: Record<string, unknown>): Promise<void> => {
    await eventually(() => proxy.activeCount() === 0, "the connection is over");
    // Connections are logged in the order they end, which need not be that of their beginning.
    expect(proxy.accessLog).toContainEqual(expect.objectContaining(expected));
    proxy.accessLog.length = 0;
  };

  it("finds the service by the name, whatever address was dialled: exact before wildcard, letters of any case", async () => {
    expect(await to("API.example.com")).toBe("one for API.example.com: hello");
    await logged({ requested_server_name: "api.example.com", upstream_cluster: `outbound|${port}||api.example.com`, response_flags: "-", direction: "outbound" });
    expect(await to("www.eu.example.com", somewhere("192.0.2.8"))).toBe("two for www.eu.example.com: hello");
    await logged({ requested_server_name: "www.eu.example.com", upstream_cluster: `outbound|${port}||*.example.com` });
  });

  it("reads a ClientHello that comes byte by byte, and cut by its client at any place", async () => {
    for (const size of [1, 3, 100]) {
      const through = new Trickle(proxy.connectOutbound(somewhere()), size);
      expect(await say(client(through, "api.example.com"))).toBe("one for api.example.com: hello");
      expect(through.pieces).toBeGreaterThan(1);
    }
  });

  it("passes other names through to where they were going, and refuses them with REGISTRY_ONLY, the name in the log", async () => {
    const target = portOf(servers[2] as Server);
    const at = { address: "127.0.0.1", port: target };
    const listened = (...more: readonly Resource[]): string =>
      yamlOf(external("api.example.com", portOf(servers[0] as Server), { ports: [{ number: target, name: "https", protocol: "HTTPS", targetPort: portOf(servers[0] as Server) }] }), ...more);
    await proxy.apply(listened());
    expect(await to("other.test", at)).toBe("elsewhere for other.test: hello");
    await logged({ requested_server_name: "other.test", upstream_cluster: "PassthroughCluster" });
    expect(await to(undefined, at)).toBe("elsewhere for false: hello");
    await logged({ requested_server_name: null, upstream_cluster: "PassthroughCluster" });

    await proxy.apply(listened(REGISTRY_ONLY));
    expect(await to("other.test", at)).toBe("refused");
    await logged({ requested_server_name: "other.test", upstream_cluster: "BlackHoleCluster", response_flags: "UH", bytes_sent: 0 });
    expect(await to(undefined, at)).toBe("refused");
    expect(await to("example.com", at)).toBe("refused");
    expect(await to("api.example.com", at)).toBe("one for api.example.com: hello");
  });

  it("obeys tls rules of a VirtualService, and a change of them for the next connection", async () => {
    const rule = (destination: string): Resource => networking("VirtualService", "egress", {
      hosts: ["*.example.com"], tls: [{ match: [{ sniHosts: ["www.example.com"] }], route: [{ destination: { host: destination } }] }],
    });
    await proxy.apply(world(rule("api.example.com"), REGISTRY_ONLY));
    expect([await to("www.example.com"), await to("eu.example.com")]).toEqual(["one for www.example.com: hello", "refused"]);
    await proxy.apply(world(rule("*.example.com"), REGISTRY_ONLY));
    expect(await to("www.example.com")).toBe("two for www.example.com: hello");
  });

  it("asks for the address before the name: the narrowest block that has it (spec/03 3.12)", async () => {
    const to = (host: string) => [{ destination: { host } }];
    const match = (sniHost: string, ...destinationSubnets: string[]) => [{ sniHosts: [sniHost], ...(destinationSubnets.length === 0 ? {} : { destinationSubnets }) }];
    const tls = [
      { match: match("www.example.com"), route: to("api.example.com") },
      { match: match("*.example.com", "198.51.100.0/24"), route: to("*.example.com") },
    ];
    await proxy.apply(world(networking("VirtualService", "egress", { hosts: ["*.example.com"], tls })));
    const at = (address: string): Promise<string> => say(client(proxy.connectOutbound(somewhere(address)), "www.example.com"));
    expect([await at("198.51.100.9"), await at("198.51.101.9")]).toEqual(["two for www.example.com: hello", "one for www.example.com: hello"]);
  });

  it("draws the destination by weight for each connection, the sum of weights being any", async () => {
    const route = [{ destination: { host: "api.example.com" }, weight: 1 }, { destination: { host: "*.example.com" }, weight: 3 }, { destination: { host: "nowhere.test" }, weight: 0 }];
    const rules = networking("VirtualService", "egress", { hosts: ["*.example.com"], tls: [{ match: [{ sniHosts: ["*.example.com"] }], route }] });
    const own = await ProxyUnderTest.start({ yaml: world(rules), random: seededRandom(5) });
    let first = 0;
    for (let round = 0; round < 80; round++) {
      const said = await say(client(own.connectOutbound(somewhere()), "www.example.com"));
      expect(said).toMatch(/^(one|two) for www/);
      if (said.startsWith("one")) first++;
    }
    own.stop();
    // Seeded; three standard deviations of 80 draws are 12.
    expect(Math.abs(first - 20)).toBeLessThan(12);
  });

  it("shares its port with HTTP and with an opaque service, and never lets a broken hello through to HTTP", async () => {
    const opaque = external("plain.test", plain.port, { ports: [{ number: port, name: "tcp", protocol: "TCP", targetPort: plain.port }] });
    const http = service({ name: "reviews", port, endpoints: [{ port: reviews.port }] });
    await proxy.apply(world(...http, opaque));
    expect(await to("api.example.com")).toBe("one for api.example.com: hello");
    expect((await ask(proxy.connectOutbound(somewhere()), { host: "reviews" })).body).toBe("reviews");
    expect(await exchange(proxy.connectOutbound(somewhere()), "SSH-2.0-x\r\n")).toBe("plain");
    const broken = Buffer.concat([Buffer.from([22, 3, 1, 0, 4, 1, 0, 0, 0]), Buffer.from("GET / HTTP/1.1\r\nHost: reviews\r\n\r\n")]);
    const before = reviews.requests.length;
    expect(await exchange(proxy.connectOutbound(somewhere()), broken)).toBe("plain");
    expect(reviews.requests.length).toBe(before);
  });

  it("finds services by name on a socket of its own, which passes nothing else on", async () => {
    await proxy.apply(world(networking("Sidecar", "default", {
      egress: [{ port: { number: port, name: "tls", protocol: "TLS" }, bind: "127.0.0.1", captureMode: "NONE", hosts: ["*/*"] }],
    })));
    const own = (servername: string): Promise<string> => say(client(connect({ port, host: "127.0.0.1", allowHalfOpen: true }), servername));
    expect([await own("api.example.com"), await own("b.example.com"), await own("other.test")])
      .toEqual(["one for api.example.com: hello", "two for b.example.com: hello", "refused"]);
    await logged({ requested_server_name: "other.test", upstream_cluster: "BlackHoleCluster" });
  });

  it("gives what begins TLS and stops there to the opaque service, with all it sent", async () => {
    let heard = Buffer.alloc(0);
    const listening = await rawServer((socket) => {
      socket.on("data", (chunk: Buffer) => (heard = Buffer.concat([heard, chunk])));
      socket.on("end", () => socket.end("heard"));
    });
    await proxy.apply(world(external("plain.test", listening.port, { ports: [{ number: port, name: "tcp", protocol: "TCP", targetPort: listening.port }] })));
    const socket = proxy.connectOutbound(somewhere());
    socket.write(Buffer.from([22, 3, 1, 2]));
    const answer = exchange(socket, Buffer.from([0, 1]));
    socket.end();
    expect([await answer, heard]).toEqual(["heard", Buffer.from([22, 3, 1, 2, 0, 1])]);
    listening.close();
  });
});

/** A connection whose first write goes out in pieces of `size` bytes, each in a packet of its own. */
class Trickle extends Duplex {
  pieces = 0;
  readonly #socket: Socket;
  #size: number;

  constructor(socket: Socket, size: number) {
    super();
    this.#socket = socket.setNoDelay(true);
    this.#size = size;
    socket.on("data", (chunk: Buffer) => this.push(chunk));
    socket.on("end", () => this.push(null));
    socket.on("error", (error) => this.destroy(error));
    socket.on("close", () => this.destroy());
  }

  override _read(): void {
    // Everything that comes is pushed at once.
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    const size = this.#size;
    this.#size = Number.MAX_SAFE_INTEGER;
    const next = (at: number): void => {
      this.pieces++;
      this.#socket.write(chunk.subarray(at, at + size), () => (at + size < chunk.length ? setImmediate(next, at + size) : done()));
    };
    next(0);
  }

  override _final(done: () => void): void {
    this.#socket.end(done);
  }

  override _destroy(_error: Error | null, done: () => void): void {
    this.#socket.destroy();
    done();
  }
}
