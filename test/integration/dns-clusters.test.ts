import { createServer, type Server } from "node:http";
import { decode, encode, type Answer, type Question } from "dns-packet";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { addressLookup } from "../../src/upstream/address-lookup.ts";
import { FakeNameServer } from "./fake-name-server.ts";
import { freePort } from "./free-port.ts";
import { ask, type HttpAnswer } from "./http-client.ts";
import { networking, type Resource, yamlOf } from "./mesh-resources.ts";
import { eventually, ProxyUnderTest } from "./proxy-under-test.ts";

/*
 * Clusters whose endpoints are names, over real sockets and a real (fake) name server: spec/04, Envoy's STRICT_DNS and
 * LOGICAL_DNS. The servers listen on one port of several loopback addresses, so that an answer decides who serves.
 */

const TTL_SECONDS = 1;

describe("clusters of host names", () => {
  const servers: Server[] = [];
  let nameServer: FakeNameServer;
  let proxy: ProxyUnderTest;
  let port = 0;
  /** What the name server says of each name: addresses, or a response code. */
  const zone = new Map<string, readonly string[] | "SERVFAIL" | "NXDOMAIN" | "silence">();

  beforeAll(async () => {
    port = await freePort();
    for (const address of ["127.0.0.11", "127.0.0.12", "127.0.0.13"]) {
      const server = createServer((_request, response) => response.end(address));
      await new Promise<void>((resolve) => {
        server.listen(port, address, resolve);
      });
      servers.push(server);
    }
    nameServer = await FakeNameServer.start("127.0.0.1");
    nameServer.answer = (query) => {
      const { id = 0, questions = [] } = decode(query);
      const { name, type } = questions[0] as Question;
      const said = zone.get(name.toLowerCase()) ?? "NXDOMAIN";
      if (said === "silence") return null;
      const answers: Answer[] = typeof said === "string" || type !== "A" ? [] : said.map((data) => ({ type: "A", name, ttl: TTL_SECONDS, data }));
      const code = said === "SERVFAIL" ? 2 : said === "NXDOMAIN" ? 3 : 0;
      return encode({ type: "response", id, flags: 0x0180 | code, questions, answers });
    };
  });

  afterAll(() => {
    nameServer.stop();
    for (const server of servers) {
      server.closeAllConnections();
      server.close();
    }
  });

  beforeEach(() => {
    zone.clear();
    nameServer.queries.length = 0;
  });
  afterEach(() => proxy.stop());

  const entry = (resolution: string, change: Resource = {}): Resource => networking("ServiceEntry", "api", {
    hosts: ["api.example.com"], location: "MESH_EXTERNAL", resolution, ports: [{ number: 80, name: "http", protocol: "HTTP", targetPort: port }], ...change,
  });
  const start = async (...resources: readonly Resource[]): Promise<void> => {
    const lookup = addressLookup({ nameServers: [`127.0.0.1:${nameServer.port}`], hostsFile: "/nowhere", resolvConf: "/nowhere" });
    proxy = await ProxyUnderTest.start({ yaml: yamlOf(...resources), names: { lookup, minTtlMs: 200 } });
  };
  const get = (host = "api.example.com"): Promise<HttpAnswer> => ask(proxy.connectOutbound({ address: "192.0.2.1", port: 80 }), { host });
  const endpoints = (): string[] => proxy.clusters().outbound.find(({ name }) => name === "outbound|80||api.example.com")?.endpoints.map(({ address }) => address) ?? [];
  const askedFor = (name: string): number => nameServer.queries.filter(({ bytes }) => decode(bytes).questions?.[0]?.name === name).length;

  it("resolution DNS: every address is an endpoint, and no request looks the name up", async () => {
    zone.set("api.example.com", ["127.0.0.11", "127.0.0.12"]);
    await start(entry("DNS"));
    const bodies = new Set<string>();
    // The first of them may come before the first answer: it waits for it.
    for (let index = 0; index < 40; index++) bodies.add((await get()).body);
    expect([...bodies].toSorted()).toEqual(["127.0.0.11", "127.0.0.12"]);
    expect(endpoints()).toEqual([`127.0.0.11:${port}`, `127.0.0.12:${port}`]);
    // As often as answers ran out meanwhile, never once for each request.
    expect(askedFor("api.example.com")).toBeLessThan(20);
  });

  it("follows the answers as they run out; what stays keeps its connections", async () => {
    zone.set("api.example.com", ["127.0.0.11", "127.0.0.12"]);
    await start(entry("DNS"));
    await eventually(async () => (await get()).body === "127.0.0.12", "the second address serves");
    const kept = (): number => proxy.clusters().outbound.flatMap((cluster) => cluster.endpoints).find(({ address }) => address === `127.0.0.12:${port}`)?.totalRequests ?? 0;
    const before = kept();
    expect(before).toBeGreaterThan(0);
    zone.set("api.example.com", ["127.0.0.12", "127.0.0.13"]);
    await eventually(() => endpoints().join() === `127.0.0.12:${port},127.0.0.13:${port}`, "the new answer is in force");
    // The endpoint is the object it was: it goes on counting.
    expect(kept()).toBeGreaterThanOrEqual(before);
    expect((await proxy.metrics())).toMatch(/envoy_cluster_update_success\{[^}]*cluster_name="outbound\|80\|\|api\.example\.com"[^}]*\} [1-9]/);
  });

  it.each(["SERVFAIL", "silence"] as const)("serves the last good answer while the name servers give %s", async (failure) => {
    zone.set("api.example.com", ["127.0.0.11"]);
    await start(entry("DNS"));
    expect((await get()).body).toBe("127.0.0.11");
    zone.set("api.example.com", failure);
    const asked = askedFor("api.example.com");
    await eventually(() => askedFor("api.example.com") > asked, "it is looked up again");
    if (failure === "SERVFAIL") await eventually(() => proxy.logLines.some((line) => line.includes("name not resolved") && line.includes("127.0.0.11")), "the failure is logged with what is kept");
    expect((await get()).body).toBe("127.0.0.11");
    expect(endpoints()).toEqual([`127.0.0.11:${port}`]);
  });

  it("a name that is gone for good loses its endpoints; requests are refused with 503 UH and the reason", async () => {
    zone.set("api.example.com", ["127.0.0.11"]);
    await start(entry("DNS"));
    expect((await get()).status).toBe(200);
    zone.set("api.example.com", "NXDOMAIN");
    await eventually(() => endpoints().length === 0, "it is believed when said again");
    const refused = await get();
    expect(refused.status).toBe(503);
    await eventually(() => proxy.accessLog.some((line) => line["response_flags"] === "UH"), "logged");
    expect(JSON.stringify(proxy.accessLog.findLast((line) => line["response_flags"] === "UH"))).toContain("api.example.com: no such name");
    zone.set("api.example.com", ["127.0.0.12"]);
    await eventually(async () => (await get()).body === "127.0.0.12", "and comes back");
  });

  it("resolution DNS_ROUND_ROBIN: new connections go to the first address of the newest answer, old ones live on", async () => {
    zone.set("api.example.com", ["127.0.0.12", "127.0.0.11"]);
    await start(entry("DNS_ROUND_ROBIN"));
    expect((await get()).body).toBe("127.0.0.12");
    expect(endpoints()).toEqual([`api.example.com:${port}`]);
    // The log has the address that served.
    await eventually(() => proxy.accessLog.some((line) => line["upstream_host"] === `127.0.0.12:${port}`), "the address is logged");
    const first = servers[1] as Server;
    zone.set("api.example.com", ["127.0.0.13"]);
    const asked = askedFor("api.example.com");
    await eventually(() => askedFor("api.example.com") > asked + 1, "it was looked up again");
    // The connection that is open serves on.
    expect((await get()).body).toBe("127.0.0.12");
    first.closeAllConnections();
    await eventually(async () => (await get()).body === "127.0.0.13", "a new connection goes to the new address");
  });

  it("endpoints of an entry may be names and addresses, with ports of their own", async () => {
    zone.set("db.example.com", ["127.0.0.13"]);
    await start(entry("DNS", { endpoints: [{ address: "db.example.com" }, { address: "127.0.0.11" }] }));
    const bodies = new Set<string>();
    await eventually(async () => {
      bodies.add((await get()).body);
      return bodies.size === 2;
    }, "both are used");
    expect([...bodies].toSorted()).toEqual(["127.0.0.11", "127.0.0.13"]);
    expect(askedFor("api.example.com")).toBe(0);
  });

  it("opaque connections go to resolved addresses too", async () => {
    zone.set("api.example.com", ["127.0.0.12"]);
    await start(entry("DNS", { addresses: ["192.0.2.9"], ports: [{ number: 80, name: "tcp", protocol: "TCP", targetPort: port }] }));
    expect((await ask(proxy.connectOutbound({ address: "192.0.2.9", port: 80 }), { host: "whatever" })).body).toBe("127.0.0.12");
  });

  it("a name is looked up once somebody calls it, and not any more when its cluster has left the configuration", async () => {
    zone.set("api.example.com", ["127.0.0.11"]);
    zone.set("other.example.com", ["127.0.0.12"]);
    await start(entry("DNS"));
    expect(nameServer.queries).toEqual([]);
    expect((await get()).body).toBe("127.0.0.11");
    const other = networking("ServiceEntry", "other", { hosts: ["other.example.com"], resolution: "DNS", ports: [{ number: 80, name: "http", protocol: "HTTP", targetPort: port }] });
    await proxy.apply(yamlOf(other));
    const asked = askedFor("api.example.com");
    expect((await get("other.example.com")).body).toBe("127.0.0.12");
    await eventually(() => askedFor("other.example.com") >= 3, "the other one is looked up again and again");
    expect(askedFor("api.example.com")).toBeLessThanOrEqual(asked + 1);
  });

  it("requests that wait for the first answer are refused when it does not come", async () => {
    zone.set("api.example.com", "SERVFAIL");
    await start(entry("DNS"));
    const answers = await Promise.all([get(), get(), get()]);
    expect(answers.map(({ status }) => status)).toEqual([503, 503, 503]);
    expect(proxy.accessLog.map((line) => line["response_flags"])).toEqual(["UH", "UH", "UH"]);
  });
});
