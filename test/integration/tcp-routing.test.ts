import type { Socket } from "node:net";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { seededRandom } from "../contract/load-balancer.ts";
import { freePort } from "./free-port.ts";
import { ManualTime } from "./manual-time.ts";
import { networking, type Resource, service, yamlOf } from "./mesh-resources.ts";
import { PatientWriter } from "./patient-writer.ts";
import { eventually, exchange, ProxyUnderTest, rawServer } from "./proxy-under-test.ts";

/* Opaque connections outbound: spec/02 2.5, faults F05 and F44. */

const VIP = { address: "10.96.0.11", port: 6379 };

describe("TCP routing", () => {
  const servers: Awaited<ReturnType<typeof rawServer>>[] = [];
  let proxy: ProxyUnderTest;

  const database = (ports: readonly number[], ...rules: readonly Resource[]): string => yamlOf(
    service({ name: "db", clusterIP: VIP.address, port: VIP.port, portName: "tcp", endpoints: ports.map((port, index) => ({ port, labels: { version: `v${index + 1}` } })) }),
    networking("DestinationRule", "db", { host: "db", subsets: ["v1", "v2"].map((version) => ({ name: version, labels: { version } })) }),
    ...rules,
  );

  beforeAll(async () => {
    for (const name of ["one", "two"]) {
      // The server speaks first, as many databases do.
      servers.push(await rawServer((socket) => {
        socket.write(`${name}:`);
        socket.pipe(socket);
      }));
    }
    proxy = await ProxyUnderTest.start({ yaml: database(servers.map(({ port }) => port)), random: seededRandom(3) });
  });

  afterAll(() => {
    proxy.stop();
    for (const server of servers) server.close();
  });

  const talk = (): Promise<string> => exchange(proxy.connectOutbound(VIP), "ping\n", (received) => received.endsWith("ping\n"));

  it("goes to the endpoints of the service, whoever speaks first", async () => {
    const seen = new Set<string>();
    for (let round = 0; round < 20; round++) seen.add(await talk());
    expect([...seen].toSorted()).toEqual(["one:ping\n", "two:ping\n"]);
    await eventually(() => proxy.activeCount() === 0, "connections were given up");
    expect(proxy.accessLog.at(-1)).toMatchObject({ upstream_cluster: "outbound|6379||db.default.svc.cluster.local", method: null });
  });

  it("draws the destination by weight for each connection", async () => {
    const route = ["v1", "v2"].map((subset, index) => ({ destination: { host: "db", subset }, weight: index === 0 ? 90 : 10 }));
    await proxy.apply(database(servers.map(({ port }) => port), networking("VirtualService", "db", { hosts: ["db"], tcp: [{ route }] })));
    const counts: Record<string, number> = {};
    for (let round = 0; round < 200; round++) {
      const answer = await talk();
      counts[answer] = (counts[answer] ?? 0) + 1;
    }
    // Seeded; three standard deviations of 200 draws are 13.
    expect(Math.abs((counts["two:ping\n"] ?? 0) - 20)).toBeLessThan(13);
    expect((counts["one:ping\n"] ?? 0) + (counts["two:ping\n"] ?? 0)).toBe(200);
  });

  it("chooses by the address that was dialled, the narrowest block first (spec/03 3.12)", async () => {
    const to = (subset: string) => [{ destination: { host: "db", subset } }];
    // No address of its own: whatever is dialled on the port is its.
    const entry = networking("ServiceEntry", "anywhere", { hosts: ["anywhere.test"], resolution: "STATIC", ports: [{ number: VIP.port, name: "tcp", targetPort: servers[0]?.port ?? 0 }], endpoints: [{ address: "127.0.0.1" }] });
    const rules = networking("VirtualService", "anywhere", {
      hosts: ["anywhere.test"],
      tcp: [{ match: [{ destinationSubnets: ["198.51.100.0/24"] }], route: to("v1") }, { match: [{ destinationSubnets: ["198.51.100.7", "2001:db8::/32"] }], route: to("v2") }],
    });
    await proxy.apply(yamlOf(entry, rules) + "\n---\n" + database(servers.map(({ port }) => port)));
    const ask = (address: string): Promise<string> => exchange(proxy.connectOutbound({ address, port: VIP.port }), "ping\n", (received) => received.endsWith("ping\n"));
    const asked: [string, string, string][] = [
      ["198.51.100.6", "one:ping\n", "outbound|6379|v1|db.default.svc.cluster.local"],
      ["198.51.100.7", "two:ping\n", "outbound|6379|v2|db.default.svc.cluster.local"],
      ["2001:db8::7", "two:ping\n", "outbound|6379|v2|db.default.svc.cluster.local"],
      ["198.51.101.7", "one:ping\n", "outbound|6379||anywhere.test"],
    ];
    for (const [address, answer, cluster] of asked) {
      expect(await ask(address)).toBe(answer);
      await eventually(() => proxy.activeCount() === 0, "the connection is over");
      expect(proxy.accessLog.at(-1)).toMatchObject({ upstream_cluster: cluster });
    }
  });

  it("knows a service by the block of addresses it has, and passes others through (spec/02 2.1)", async () => {
    const ports = (at: number) => [{ number: VIP.port, name: "tcp", targetPort: at }];
    const entries = servers.map(({ port }, index) => networking("ServiceEntry", `range-${index}`, {
      hosts: [`range-${index}.test`], addresses: [`198.51.${100 + index}.0/24`, "127.0.0.3"].slice(0, index + 1), resolution: "STATIC", ports: ports(port), endpoints: [{ address: "127.0.0.1" }],
    }));
    const elsewhere = await rawServer((socket) => socket.end("elsewhere:"), "127.0.0.4");
    const atElsewhere = { address: "127.0.0.4", port: elsewhere.port };
    const other = networking("ServiceEntry", "other", { hosts: ["other.test"], addresses: ["198.51.102.0/24"], resolution: "STATIC", ports: [{ number: elsewhere.port, name: "tcp" }], endpoints: [{ address: "127.0.0.1" }] });
    await proxy.apply(yamlOf(entries, other));
    const ask = (address: string): Promise<string> => exchange(proxy.connectOutbound({ address, port: VIP.port }), "ping\n", (received) => received.endsWith("ping\n"));
    expect([await ask("198.51.100.9"), await ask("198.51.101.9"), await ask("127.0.0.3")]).toEqual(["one:ping\n", "two:ping\n", "two:ping\n"]);
    expect(await exchange(proxy.connectOutbound(atElsewhere), "ping\n")).toBe("elsewhere:");
    elsewhere.close();
  });

  it("takes all that goes to such a block for its service, HTTP services on the port or not", async () => {
    const [server] = servers;
    const web = service({ name: "web", clusterIP: "10.96.0.77", port: VIP.port, endpoints: [] });
    const range = networking("ServiceEntry", "range", { hosts: ["range.test"], addresses: ["198.51.100.0/24"], resolution: "STATIC", ports: [{ number: VIP.port, name: "tcp", targetPort: server?.port ?? 0 }], endpoints: [{ address: "127.0.0.1" }] });
    await proxy.apply(yamlOf(web, range));
    const ask = (address: string): Promise<string> => exchange(proxy.connectOutbound({ address, port: VIP.port }), "GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n", (received) => received.endsWith("\r\n\r\n"));
    expect(await ask("198.51.100.9")).toMatch(/^one:GET/);
    expect(await ask("203.0.113.1")).toMatch(/^HTTP\/1.1 503/);
  });

  it("tries another endpoint when one refuses, before a byte was sent", async () => {
    const refusing = { port: await freePort() };
    await proxy.apply(database([refusing.port, servers[0]?.port ?? 0]));
    for (let round = 0; round < 10; round++) expect(await talk()).toBe("one:ping\n");
  });

  it("closes without a byte when no endpoint can be had, and says why", async () => {
    const refusing = { port: await freePort() };
    await proxy.apply(database([refusing.port]));
    expect(await talk()).toBe("");
    await eventually(() => proxy.accessLog.at(-1)?.["response_flags"] === "UF,URX", "the failure was logged");
    await proxy.apply(database([]));
    expect(await talk()).toBe("");
    await eventually(() => proxy.accessLog.at(-1)?.["response_flags"] === "UH", "the failure was logged");
  });

  it("passes each half's end on by itself, in both directions", async () => {
    const waiting = await rawServer((socket) => {
      let received = "";
      socket.on("data", (chunk: Buffer) => (received += chunk.toString()));
      // It answers only after the client has ended: the client's FIN must come through, and ours must not cut it.
      socket.on("end", () => socket.end(`got ${received.length}`));
    });
    await proxy.apply(database([waiting.port]));
    const socket = proxy.connectOutbound(VIP);
    const answer = exchange(socket, "x".repeat(100_000));
    socket.end();
    expect(await answer).toBe("got 100000");

    const first = await rawServer((down) => {
      down.end("bye");
      down.on("data", (chunk: Buffer) => heard.push(chunk));
      down.on("end", () => heard.push(Buffer.from("end")));
    });
    const heard: Buffer[] = [];
    await proxy.apply(database([first.port]));
    const talker = proxy.connectOutbound(VIP);
    await new Promise((resolve) => {
      talker.once("end", resolve);
      talker.resume();
    });
    talker.write("still talking,");
    talker.end();
    await eventually(() => Buffer.concat(heard).toString() === "still talking,end", "the server heard all of it");
    await eventually(() => proxy.activeCount() === 0, "the connection was given up");
    waiting.close();
    first.close();
  });

  it("closes on both sides what stands still for as long as its DestinationRule allows", async () => {
    const time = new ManualTime();
    let isUpstreamGone = false;
    let heard = "";
    const silent = await rawServer((socket) => {
      socket.on("data", (chunk: Buffer) => (heard += chunk.toString()));
      for (const event of ["end", "close"]) socket.on(event, () => (isUpstreamGone = true));
    });
    const patient = networking("DestinationRule", "db", { host: "db", trafficPolicy: { connectionPool: { tcp: { idleTimeout: "60s" }, http: { idleTimeout: "1s" } } } });
    const yaml = yamlOf(service({ name: "db", clusterIP: VIP.address, port: VIP.port, portName: "tcp", endpoints: [{ port: silent.port }] }), patient);
    const own = await ProxyUnderTest.start({ yaml, clock: time, timers: time.timers });
    const ended = exchange(own.connectOutbound(VIP), "hello");
    await eventually(() => heard === "hello", "it is connected");
    time.pass(59_000);
    expect(own.activeCount()).toBe(1);
    time.pass(12_000);
    expect(await ended).toBe("");
    await eventually(() => isUpstreamGone && own.activeCount() === 0, "both sides are closed");
    expect(own.accessLog.at(-1)).toMatchObject({ response_flags: "SI", connection_termination_details: "tcp_session_idle_timeout", bytes_received: 5 });
    expect(await own.metrics()).toContain('envoy_tcp_idle_timeout{tcp_prefix="outbound|6379||db.default.svc.cluster.local"} 1');
    own.stop();
    silent.close();
  });

  it("closes on both sides what is as old as its DestinationRule allows, and lets others in (spec/04 4.3)", async () => {
    const time = new ManualTime();
    const talking = await rawServer((socket) => socket.pipe(socket));
    const aged = networking("DestinationRule", "db", { host: "db", trafficPolicy: { connectionPool: { tcp: { maxConnectionDuration: "90s", maxConnections: 1 } } } });
    const yaml = yamlOf(service({ name: "db", clusterIP: VIP.address, port: VIP.port, portName: "tcp", endpoints: [{ port: talking.port }] }), aged);
    const own = await ProxyUnderTest.start({ yaml, clock: time, timers: time.timers });
    const socket = own.connectOutbound(VIP);
    let heard = "";
    const ended = exchange(socket, "hello ", (received) => {
      heard = received;
      return false;
    });
    await eventually(() => heard === "hello ", "it is connected");
    time.pass(60_000);
    socket.write("again");
    await eventually(() => heard === "hello again", "it is open still");
    expect(await exchange(own.connectOutbound(VIP), "too many")).toBe("");
    await eventually(() => own.accessLog.some(({ response_flags: flag }) => flag === "UO"), "the second was refused");
    time.pass(31_000);
    expect(await ended).toBe("hello again");
    await eventually(() => own.activeCount() === 0, "both sides are closed");
    expect(own.accessLog.at(-1)).toMatchObject({ response_flags: "DT", connection_termination_details: "max_connection_duration_reached", bytes_received: 11 });
    expect(await own.metrics()).toContain('envoy_tcp_max_downstream_connection_duration{tcp_prefix="outbound|6379||db.default.svc.cluster.local"} 1');
    expect(await exchange(own.connectOutbound(VIP), "next", (received) => received === "next")).toBe("next");
    own.stop();
    talking.close();
  });

  it("passes a reset on as a reset", async () => {
    const cutting = await rawServer((socket) => {
      socket.write("half");
      socket.once("data", () => socket.resetAndDestroy());
    });
    await proxy.apply(database([cutting.port]));
    const socket = proxy.connectOutbound(VIP);
    const error = new Promise<string>((resolve) => {
      socket.on("error", (cause: NodeJS.ErrnoException) => resolve(cause.code ?? ""));
      socket.on("end", () => resolve("a clean end"));
    });
    socket.once("data", () => socket.write("go on"));
    expect(await error).toBe("ECONNRESET");
    await eventually(() => proxy.accessLog.at(-1)?.["response_flags"] === "UC", "the cut was logged");
    cutting.close();
  });

  it("holds the writer back when the reader is slow", async () => {
    const total = 40 * 1024 * 1024;
    let taken = 0;
    let reader: Socket | null = null;
    const slow = await rawServer((socket) => {
      reader = socket.pause();
      socket.on("data", (chunk: Buffer) => (taken += chunk.length));
    });
    await proxy.apply(database([slow.port]));
    const writer = new PatientWriter(proxy.connectOutbound(VIP), total);
    await writer.stalled();
    // The kernel's buffers of both connections and ours; without back-pressure it would be all there is.
    expect(writer.taken).toBeLessThan(total / 2);
    (reader as Socket | null)?.resume();
    await eventually(() => taken === total, "all of it came through");
    slow.close();
  });
});
