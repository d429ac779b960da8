import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import { freePort } from "./free-port.ts";
import { ask } from "./http-client.ts";
import { meshConfig, networking, type Resource, yamlOf } from "./mesh-resources.ts";
import { eventually, exchange, ProxyUnderTest, rawServer } from "./proxy-under-test.ts";
import { TestApplication } from "./test-application.ts";

/* Calls that leave the mesh: spec/02 2.1 to 2.5, users 1.18. */

const REGISTRY_ONLY = meshConfig({ outboundTrafficPolicy: { mode: "REGISTRY_ONLY" } });

describe("egress", () => {
  let web: TestApplication;
  let greeter: Awaited<ReturnType<typeof rawServer>>;
  let proxy: ProxyUnderTest;
  let port = 0;

  beforeAll(async () => {
    web = await TestApplication.start("web");
    greeter = await rawServer((socket) => socket.end("greetings"));
    port = await freePort();
  });
  afterEach(() => proxy.stop());
  afterAll(() => {
    web.stop();
    greeter.close();
  });

  const entry = (name: string, spec: Resource): Resource => networking("ServiceEntry", name, { location: "MESH_EXTERNAL", ...spec });
  const start = async (...resources: readonly Resource[]): Promise<void> => {
    proxy = await ProxyUnderTest.start({ yaml: yamlOf(...resources) });
  };
  const greeting = (address: string, at = port): Promise<string> => exchange(proxy.connectOutbound({ address, port: at }), "", () => false);
  const logged = (line: Record<string, unknown>): Promise<void> =>
    eventually(() => proxy.accessLog.some((entry_) => Object.entries(line).every(([key, value]) => entry_[key] === value)), JSON.stringify(line));

  const block = (address: string, at: number, host: string, protocol = "TCP"): Resource => entry(host.replaceAll(".", "-"), {
    hosts: [host], addresses: [address], resolution: "STATIC", endpoints: [{ address: "127.0.0.1" }], ports: [{ number: port, name: protocol.toLowerCase(), protocol, targetPort: at }],
  });

  it("spec/02 2.1: addresses may be blocks; the exact address counts first, then the narrowest block", async () => {
    const [one, two, three] = [await named("one"), await named("two"), await named("three")];
    await start(REGISTRY_ONLY, block("203.0.113.0/24", one.port, "wide.example.com"), block("203.0.113.64/26", two.port, "narrow.example.com"), block("203.0.113.65", three.port, "exact.example.com"));
    expect(await greeting("203.0.113.1")).toBe("one");
    expect(await greeting("203.0.113.66")).toBe("two");
    expect(await greeting("203.0.113.65")).toBe("three");
    expect(await greeting("203.0.114.1")).toBe("");
    await logged({ upstream_cluster: "BlackHoleCluster", response_flags: "UH" });
    for (const server of [one, two, three]) server.close();
  });

  it("resolution NONE goes wherever the application dialled, for a block only within it", async () => {
    await start(REGISTRY_ONLY, entry("any", { hosts: ["any.example.com"], addresses: ["127.0.0.0/8"], resolution: "NONE", ports: [{ number: greeter.port, name: "tcp", protocol: "TCP" }] }));
    expect(await greeting("127.0.0.1", greeter.port)).toBe("greetings");
    expect(await greeting("192.0.2.1", greeter.port)).toBe("");
    await logged({ upstream_cluster: `outbound|${greeter.port}||any.example.com` });
  });

  it("REGISTRY_ONLY: unknown hosts are answered 502, unknown addresses closed without a byte", async () => {
    await start(REGISTRY_ONLY, entry("api", { hosts: ["api.example.com"], resolution: "STATIC", endpoints: [{ address: "127.0.0.1" }], ports: [{ number: 80, name: "http", protocol: "HTTP", targetPort: web.port }] }));
    expect((await ask(proxy.connectOutbound({ address: "192.0.2.1", port: 80 }), { host: "api.example.com" })).status).toBe(200);
    expect(await ask(proxy.connectOutbound({ address: "192.0.2.1", port: 80 }), { host: "other.example.com" })).toMatchObject({ status: 502, body: "" });
    await logged({ authority: "other.example.com", upstream_cluster: "BlackHoleCluster" });
    expect(await greeting("127.0.0.1", greeter.port)).toBe("");
  });

  it("ALLOW_ANY: unknown hosts and addresses go to the address that was dialled", async () => {
    await start(entry("api", { hosts: ["api.example.com"], resolution: "STATIC", endpoints: [{ address: "127.0.0.9" }], ports: [{ number: web.port, name: "http", protocol: "HTTP" }] }));
    expect((await ask(proxy.connectOutbound({ address: "127.0.0.1", port: web.port }), { host: "other.example.com" })).status).toBe(200);
    await logged({ authority: "other.example.com", upstream_cluster: "PassthroughCluster" });
    expect(await greeting("127.0.0.1", greeter.port)).toBe("greetings");
  });

  it("a wildcard host stands for the names below it, and for no other", async () => {
    await start(REGISTRY_ONLY, entry("wild", { hosts: ["*.example.com"], resolution: "STATIC", endpoints: [{ address: "127.0.0.1" }], ports: [{ number: 80, name: "http", protocol: "HTTP", targetPort: web.port }] }));
    const to = async (host: string): Promise<number> => (await ask(proxy.connectOutbound({ address: "192.0.2.1", port: 80 }), { host })).status;
    expect(await Promise.all([to("a.example.com"), to("a.b.example.com"), to("A.EXAMPLE.com:80")])).toEqual([200, 200, 200]);
    expect(await Promise.all([to("example.com"), to("notexample.com"), to("example.com.evil")])).toEqual([502, 502, 502]);
  });

  async function named(name: string): Promise<Awaited<ReturnType<typeof rawServer>>> {
    return rawServer((socket) => socket.end(name));
  }
});
