import { createSocket } from "node:dgram";
import { Resolver } from "node:dns/promises";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { decode } from "dns-packet";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import type { NameTable } from "../../src/config/compile/name-table.ts";
import { DnsProxy, type DnsProxyOptions } from "../../src/dns/dns-proxy.ts";
import { frame } from "../../src/dns/message-frames.ts";
import { exposition } from "../../src/telemetry/exposition.ts";
import { Logger } from "../../src/telemetry/log.ts";
import { SeriesReader } from "../../src/telemetry/series-reader.ts";
import { SeriesWriter } from "../../src/telemetry/series-writer.ts";
import { addressesOf, askUdp, DnsConnection, dnsQuery } from "./dns-client.ts";
import { FakeNameServer, textAnswer, textOf } from "./fake-name-server.ts";
import { ManualTime } from "./manual-time.ts";

const NAMES: NameTable = new Map([
  ["reviews.default.svc.cluster.local", { v4: ["10.0.0.9"], v6: ["fd00::9"] }],
  ["reviews.default", { v4: ["10.0.0.9"], v6: ["fd00::9"] }],
  ["db.example", { v4: ["240.240.1.1"], v6: [] }],
  ["*.wild.example", { v4: ["192.0.2.7"], v6: [] }],
  ["pods.example", { v4: Array.from({ length: 100 }, (_, at) => `10.1.0.${at}`), v6: [] }],
]);

describe("the local resolver", () => {
  let time: ManualTime;
  let first: FakeNameServer;
  let second: FakeNameServer;
  let reader: SeriesReader;
  let log: string[];
  const open: DnsProxy[] = [];

  /** Starts a resolver in front of both name servers, the first of them asked first. */
  async function start(options: Partial<DnsProxyOptions> = {}, names: NameTable | null = NAMES): Promise<number> {
    const proxy = new DnsProxy({
      port: 0,
      resolvConf: { nameServers: [first.address, second.address], searchDomains: ["default.svc.cluster.local"] },
      serverPort: first.port,
      ownAddresses: ["127.0.0.2"],
      clock: time,
      timers: time.timers,
      // Shuffling that changes nothing.
      random: () => 0.999,
      log: new Logger({ write: (line) => log.push(line) }, time, time.timers),
      metrics: new SeriesWriter((batch) => reader.accept("control", batch)),
      ...options,
    });
    open.push(proxy);
    const port = await proxy.listen();
    if (names !== null) proxy.use(names);
    return port;
  }

  const ask = async (port: number, ...message: Parameters<typeof dnsQuery>): Promise<Buffer> => (await askUdp(port, [dnsQuery(...message)]))[0] as Buffer;
  const seen = (server: FakeNameServer): number => server.queries.length;

  beforeEach(async () => {
    time = new ManualTime();
    reader = new SeriesReader();
    log = [];
    first = await FakeNameServer.start("127.0.0.2");
    second = await FakeNameServer.start("127.0.0.3", first.port);
  });

  afterEach(async () => {
    await Promise.all(open.splice(0).map((proxy) => proxy.close()));
    first.stop();
    second.stop();
  });

  /** Waits until something is so, without a limit of its own. */
  async function until(isSo: () => boolean): Promise<void> {
    while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 5));
  }

  describe("names of the mesh", () => {
    it.each(["127.0.0.1", "::1"])("are answered on %s, by UDP and TCP", async (address) => {
      const port = await start();
      const [reply] = await askUdp(port, [dnsQuery("Reviews.Default")], { address });
      expect(addressesOf(reply)).toEqual(["10.0.0.9"]);
      const connection = new DnsConnection(port, address);
      connection.send(dnsQuery("reviews.default", "AAAA"));
      expect(addressesOf((await connection.waitFor(1))[0])).toEqual(["fd00::9"]);
      connection.socket.destroy();
      expect(seen(first) + seen(second)).toBe(0);
    });

    it("no address of that family: no error, and nobody else is asked", async () => {
      expect(decode(await ask(await start(), "db.example", "AAAA"))).toMatchObject({ rcode: "NOERROR", flag_aa: true, answers: [] });
      expect(seen(first)).toBe(0);
    });

    it("with the search domain appended, as an alias", async () => {
      const { answers } = decode(await ask(await start(), "db.example.default.svc.cluster.local"));
      expect(answers).toMatchObject([{ type: "CNAME", data: "db.example" }, { name: "db.example", type: "A", data: "240.240.1.1" }]);
    });

    it("below a wildcard, under the name asked for", async () => {
      expect(decode(await ask(await start(), "a.b.wild.example")).answers).toMatchObject([{ name: "a.b.wild.example", data: "192.0.2.7" }]);
    });

    it("in a random order", async () => {
      const port = await start({ random: () => 0 }, new Map([["a.example", { v4: ["10.0.0.1", "10.0.0.2", "10.0.0.3"], v6: [] }]]));
      expect(addressesOf(await ask(port, "a.example"))).toEqual(["10.0.0.2", "10.0.0.3", "10.0.0.1"]);
    });

    it("more than a datagram holds: a client gets all of them by TCP", async () => {
      const port = await start();
      expect(decode(await ask(port, "pods.example"))).toMatchObject({ flag_tc: true });
      const resolver = new Resolver();
      resolver.setServers([`127.0.0.1:${port}`]);
      expect(await resolver.resolve4("pods.example")).toHaveLength(100);
    });

    it("are unknown until there is a table, and then the newest counts", async () => {
      const port = await start({}, null);
      expect(addressesOf(await ask(port, "db.example"))).toEqual(["SERVFAIL"]);
      expect(addressesOf(await ask(port, "elsewhere.example"))).toEqual(["SERVFAIL"]);
      expect(seen(first)).toBe(0);
      open[0]?.use(NAMES);
      expect(addressesOf(await ask(port, "db.example"))).toEqual(["240.240.1.1"]);
      open[0]?.use(new Map([["db.example", { v4: ["240.240.1.2"], v6: [] }]]));
      expect(addressesOf(await ask(port, "db.example"))).toEqual(["240.240.1.2"]);
      expect(textOf(await ask(port, "reviews.default"))).toBe("127.0.0.2");
    });
  });

  describe("everything else goes to the name servers", () => {
    it("byte by byte but for the id, and the answer comes back as it is", async () => {
      const port = await start();
      const query = dnsQuery("WWW.Elsewhere.example", "A", 0xbeef);
      const [reply] = await askUdp(port, [query]);
      expect(first.queries).toMatchObject([{ protocol: "udp" }]);
      expect(first.queries[0]?.bytes.subarray(2)).toEqual(query.subarray(2));
      expect(reply?.readUInt16BE(0)).toBe(0xbeef);
      expect(reply?.subarray(2)).toEqual(textAnswer(query, "127.0.0.2").subarray(2));
    });

    it.each(["TXT", "SRV", "MX"] as const)("%s of a name of the mesh", async (type) => {
      expect(textOf(await ask(await start(), "reviews.default", type))).toBe("127.0.0.2");
    });

    it("a failure is an answer: nobody else is asked", async () => {
      first.answer = (query) => {
        const reply = Buffer.from(query);
        reply.writeUInt16BE(0x8183, 2);
        return reply;
      };
      expect(textOf(await ask(await start(), "nowhere.example"))).toBe("NXDOMAIN");
      expect(seen(second)).toBe(0);
    });

    it("in a random order", async () => {
      expect(textOf(await ask(await start({ random: () => 0 }), "elsewhere.example"))).toBe("127.0.0.3");
      expect(seen(first)).toBe(0);
    });

    it("the next one after five seconds of silence, none before", async () => {
      first.answer = () => null;
      const port = await start();
      const reply = ask(port, "elsewhere.example");
      await until(() => seen(first) === 1);
      time.pass(4900);
      expect(seen(second)).toBe(0);
      time.pass(200);
      expect(textOf(await reply)).toBe("127.0.0.3");
      expect(log.join("\n")).toMatch(/name server failed.*127\.0\.0\.2.*no answer in time/);
    });

    it("the next one at once where nobody listens", async () => {
      const port = await start({ resolvConf: { nameServers: ["127.0.0.9", "127.0.0.3"], searchDomains: [] } });
      expect(textOf(await ask(port, "elsewhere.example"))).toBe("127.0.0.3");
      const connection = new DnsConnection(port);
      connection.send(dnsQuery("elsewhere.example"));
      expect(textOf((await connection.waitFor(1))[0] as Buffer)).toBe("127.0.0.3");
      connection.socket.destroy();
    });

    it("SERVFAIL when all fail, and when there is none", async () => {
      const deaf = await start({ resolvConf: { nameServers: ["127.0.0.8", "127.0.0.9"], searchDomains: [] } });
      expect(addressesOf(await ask(deaf, "elsewhere.example"))).toEqual(["SERVFAIL"]);
      const none = await start({ resolvConf: { nameServers: [], searchDomains: [] } });
      expect(addressesOf(await ask(none, "elsewhere.example"))).toEqual(["SERVFAIL"]);
      expect(addressesOf(await ask(none, "db.example"))).toEqual(["240.240.1.1"]);
    });

    it("by TCP when the client uses it: what was cut short by UDP comes whole", async () => {
      const long = "x".repeat(200);
      first.answer = (query, protocol) => {
        const reply = textAnswer(query, protocol === "udp" ? "" : long);
        if (protocol === "udp") reply.writeUInt16BE(0x8380, 2);
        return reply;
      };
      const port = await start();
      expect(decode(await ask(port, "long.example", "TXT"))).toMatchObject({ flag_tc: true });
      const resolver = new Resolver();
      resolver.setServers([`127.0.0.1:${port}`]);
      expect(await resolver.resolveTxt("long.example")).toEqual([[long]]);
      expect(first.queries.map(({ protocol }) => protocol)).toEqual(["udp", "udp", "tcp"]);
    });

    it("an answer longer than the client can take becomes the sign that it is", async () => {
      first.answer = (query) => Buffer.concat([textAnswer(query, "a"), Buffer.alloc(600)]);
      expect(decode(await ask(await start(), "long.example"))).toMatchObject({ flag_tc: true, answers: [] });
    });

    it("zone transfers do not", async () => {
      const connection = new DnsConnection(await start());
      connection.send(dnsQuery("example", "AXFR"));
      expect(addressesOf((await connection.waitFor(1))[0])).toEqual(["REFUSED"]);
      connection.socket.destroy();
      expect(seen(first)).toBe(0);
    });
  });

  describe("answers of strangers", () => {
    it("from another port, under another id, to another question: none is believed", async () => {
      const stranger = createSocket("udp4");
      first.answer = (query, _protocol, from, socket) => {
        const otherId = textAnswer(query, "other id");
        otherId.writeUInt16BE((query.readUInt16BE(0) + 1) & 0xffff, 0);
        const otherName = textAnswer(query, "other name");
        otherName.write("X", 13);
        const { port = 0, address = "" } = from ?? {};
        stranger.send(textAnswer(query, "stranger"), port, address, () => {
          socket.send(otherId, port, address);
          socket.send(otherName, port, address);
          socket.send(query, port, address);
          socket.send(Buffer.from("no message"), port, address);
          socket.send(textAnswer(query, "right"), port, address);
        });
        return null;
      };
      expect(textOf(await ask(await start(), "elsewhere.example"))).toBe("right");
      stranger.close();
    });

    it("a server that sends nothing else is given up", async () => {
      first.answer = (query, _protocol, from, socket) => {
        const wrong = textAnswer(query, "wrong");
        wrong.write("X", 13);
        for (let sent = 0; sent < 80; sent++) socket.send(wrong, from?.port ?? 0, from?.address ?? "");
        return null;
      };
      expect(textOf(await ask(await start(), "elsewhere.example"))).toBe("127.0.0.3");
    });
  });

  describe("limits", () => {
    it("a name server that is the resolver itself is left out", async () => {
      const port = await start();
      await open.pop()?.close();
      const again = await start({ port, serverPort: port, resolvConf: { nameServers: ["127.0.0.1", "127.0.0.2", "::1", "0.0.0.0"], searchDomains: [] } });
      expect(again).toBe(port);
      expect(addressesOf(await ask(port, "elsewhere.example"))).toEqual(["SERVFAIL"]);
      expect(log.filter((line) => line.includes("it is this proxy itself"))).toHaveLength(4);
    });

    it("256 queries under way, further ones fail at once; names of the mesh do not", async () => {
      first.answer = () => null;
      const port = await start({ resolvConf: { nameServers: ["127.0.0.2"], searchDomains: [] } });
      const socket = createSocket("udp4");
      const replies: Buffer[] = [];
      socket.on("message", (reply) => replies.push(reply));
      // In portions that no socket's buffer loses.
      for (let sent = 0; sent < 256; sent += 32) {
        for (let at = sent; at < sent + 32; at++) socket.send(dnsQuery("elsewhere.example", "A", at), port, "127.0.0.1");
        await until(() => seen(first) === sent + 32);
      }
      expect(replies).toEqual([]);
      expect(addressesOf(await ask(port, "elsewhere.example"))).toEqual(["SERVFAIL"]);
      expect(addressesOf(await ask(port, "db.example"))).toEqual(["240.240.1.1"]);
      time.pass(5100);
      await until(() => replies.length === 256);
      expect(new Set(replies.map((reply) => reply.readUInt16BE(0))).size).toBe(256);
      first.answer = (query) => textAnswer(query, "back");
      expect(textOf(await ask(port, "elsewhere.example"))).toBe("back");
      socket.close();
    });

    it("what is no query gets no answer, what is none of ours a refusal", async () => {
      const port = await start();
      const response = dnsQuery("db.example");
      response.writeUInt16BE(0x8180, 2);
      const update = dnsQuery("db.example", "A", 2);
      update.writeUInt16BE(5 << 11, 2);
      const replies = await askUdp(port, [response, Buffer.from("short"), dnsQuery("db.example", "A", 1).subarray(0, 20), update, dnsQuery("db.example", "A", 3)], { count: 3 });
      expect(replies.map((reply) => [reply.readUInt16BE(0), addressesOf(reply)])).toEqual([[1, ["FORMERR"]], [2, ["NOTIMP"]], [3, ["240.240.1.1"]]]);
    });

    it("an EDNS version from the future", async () => {
      const query = Buffer.concat([dnsQuery("db.example"), Buffer.from("0000291000000100000000", "hex")]);
      query.writeUInt16BE(1, 10);
      const [reply] = await askUdp(await start(), [query]);
      expect(decode(reply as Buffer)).toMatchObject({ answers: [], additionals: [{ extendedRcode: 1 }] });
    });

    it("a port that is taken is an error that names it", async () => {
      const port = await start();
      await expect(start({ port })).rejects.toMatchObject({ code: "EADDRINUSE" });
    });
  });

  describe("connections", () => {
    it("carry many queries, in pieces too, answered as answers come", async () => {
      const connection = new DnsConnection(await start({ resolvConf: { nameServers: ["127.0.0.9", "127.0.0.2"], searchDomains: [] } }));
      connection.send(dnsQuery("elsewhere.example", "A", 1), dnsQuery("db.example", "A", 2), dnsQuery("reviews.default", "A", 3));
      const replies = await connection.waitFor(3);
      expect(replies.map((reply) => reply.readUInt16BE(0))).toEqual([2, 3, 1]);
      for (const byte of frame(dnsQuery("db.example", "A", 4))) {
        await new Promise<void>((resolve) => {
          connection.socket.write(Buffer.from([byte]), () => resolve());
        });
      }
      expect((await connection.waitFor(4))[3]?.readUInt16BE(0)).toBe(4);
      connection.socket.destroy();
    });

    it("more queries than are taken at once are all answered", async () => {
      const connection = new DnsConnection(await start());
      connection.send(...Array.from({ length: 200 }, (_, id) => dnsQuery(id % 2 === 0 ? "elsewhere.example" : "pods.example", "A", id)));
      const replies = await connection.waitFor(200);
      expect(new Set(replies.map((reply) => reply.readUInt16BE(0))).size).toBe(200);
      connection.socket.destroy();
    });

    it("are not taken for our own where their port is that of a query of ours to another address", async () => {
      const asked: Socket[] = [];
      const silent = createServer((socket) => asked.push(socket.on("error", () => undefined)));
      await new Promise<void>((resolve) => {
        silent.listen(0, "127.0.0.4", resolve);
      });
      const port = await start({ resolvConf: { nameServers: ["127.0.0.4"], searchDomains: [] }, serverPort: (silent.address() as AddressInfo).port });
      const waiting = new DnsConnection(port);
      waiting.send(dnsQuery("elsewhere.example"));
      await until(() => asked.length === 1 && (asked[0]?.bytesRead ?? 0) > 0);
      const client = new DnsConnection(port, "127.0.0.1", { localAddress: "127.0.0.7", localPort: asked[0]?.remotePort ?? 0 });
      client.send(dnsQuery("db.example"));
      expect(addressesOf((await client.waitFor(1))[0])).toEqual(["240.240.1.1"]);
      for (const socket of [waiting.socket, client.socket, ...asked]) socket.destroy();
      silent.close();
    });

    it("are answered after the client has ended its side, then closed", async () => {
      const connection = new DnsConnection(await start());
      connection.send(dnsQuery("elsewhere.example"), dnsQuery("db.example"));
      connection.socket.end();
      await connection.closed;
      expect(connection.replies).toHaveLength(2);
    });

    it("are closed when idle", async () => {
      const idle = new DnsConnection(await start());
      idle.send(dnsQuery("db.example"));
      await idle.waitFor(1);
      time.pass(9800);
      expect(idle.socket.destroyed).toBe(false);
      time.pass(400);
      await idle.closed;
    });

    it("are not closed while a query is under way", async () => {
      first.answer = () => null;
      const silent = first.address;
      const busy = new DnsConnection(await start({ resolvConf: { nameServers: [silent, silent, silent, second.address], searchDomains: [] } }));
      busy.send(dnsQuery("elsewhere.example"));
      for (const attempt of [1, 2, 3]) {
        await until(() => seen(first) === attempt);
        time.pass(5100);
      }
      expect(textOf((await busy.waitFor(1))[0] as Buffer)).toBe("127.0.0.3");
      busy.socket.destroy();
    });

    it("are closed at what is no query, or too long", async () => {
      const port = await start();
      for (const bytes of ["ffff", "000400000000", "000c123480000001000000000000"]) {
        const connection = new DnsConnection(port);
        connection.socket.write(Buffer.from(bytes, "hex"));
        await connection.closed;
        expect(connection.replies).toEqual([]);
      }
    });

    it("are cut when the resolver ends, with queries under way", async () => {
      first.answer = () => null;
      const connection = new DnsConnection(await start());
      connection.send(dnsQuery("elsewhere.example"));
      await until(() => seen(first) === 1);
      await open.pop()?.close();
      await connection.closed;
    });
  });

  it("counts what it does", async () => {
    const port = await start();
    await ask(port, "db.example");
    await ask(port, "elsewhere.example");
    await askUdp(port, [dnsQuery("db.example").subarray(0, 20)]);
    const metrics = await exposition(reader);
    expect(metrics).toContain("istio_agent_dns_requests_total 3");
    expect(metrics).toContain("istio_agent_dns_upstream_requests_total 1");
    expect(metrics).toContain("istio_agent_dns_upstream_failures_total 0");
    expect(metrics).toContain("istio_agent_dns_upstream_request_duration_seconds_count 1");
    expect(metrics).toContain('outrider_dns_answers_total{source="mesh"} 1');
    expect(metrics).toContain('outrider_dns_answers_total{source="upstream"} 1');
    expect(metrics).toContain('outrider_dns_dropped_total{reason="malformed"} 1');
    expect(metrics).toContain("outrider_dns_names 5");
  });
});
