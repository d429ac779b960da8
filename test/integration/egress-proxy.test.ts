import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import { ask } from "./http-client.ts";
import { networking, type Resource, yamlOf } from "./mesh-resources.ts";
import { eventually, exchange, ProxyUnderTest, rawServer } from "./proxy-under-test.ts";
import { TestApplication } from "./test-application.ts";

/* `outboundTrafficPolicy.egressProxy` of a Sidecar: spec/02 2.1, row 4. */

describe("what nobody knows, with an egress proxy", () => {
  let gateway: TestApplication;
  let direct: Awaited<ReturnType<typeof rawServer>>;
  let proxy: ProxyUnderTest;
  let reached = 0;

  const world = (mode: string, proxyOf: Resource | null): string => yamlOf(
    networking("ServiceEntry", "gateway", {
      hosts: ["egress.example.com"], resolution: "STATIC", endpoints: [{ address: "127.0.0.1" }], ports: [{ number: 8443, name: "tcp", protocol: "TCP", targetPort: gateway.port }],
    }),
    networking("ServiceEntry", "known", {
      hosts: ["known.example.com"], resolution: "STATIC", endpoints: [{ address: "127.0.0.1" }], ports: [{ number: 80, name: "http", protocol: "HTTP", targetPort: gateway.port }],
    }),
    networking("Sidecar", "default", { outboundTrafficPolicy: { mode, ...(proxyOf === null ? {} : { egressProxy: proxyOf }) }, egress: [{ hosts: ["*/known.example.com"] }] }));
  const GATEWAY = { host: "egress.example.com", port: { number: 8443 } };

  beforeAll(async () => {
    gateway = await TestApplication.start("gateway");
    direct = await rawServer((socket) => {
      reached++;
      socket.end("direct");
    });
  });
  afterEach(() => proxy.stop());
  afterAll(() => {
    gateway.stop();
    direct.close();
  });

  const start = async (yaml: string): Promise<void> => {
    reached = 0;
    proxy = await ProxyUnderTest.start({ yaml });
  };
  const logged = (cluster: string): Promise<void> => eventually(() => proxy.accessLog.some((line) => line["upstream_cluster"] === cluster), cluster);

  it("goes to the gateway, opaque bytes and HTTP alike, although the Sidecar does not import it", async () => {
    await start(world("ALLOW_ANY", GATEWAY));
    const opaque = await exchange(proxy.connectOutbound({ address: "127.0.0.1", port: direct.port }), "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    expect(opaque).toContain("200 OK");
    await logged("outbound|8443||egress.example.com");
    expect((await ask(proxy.connectOutbound({ address: "192.0.2.1", port: 80 }), { host: "unknown.example.com" })).status).toBe(200);
    await eventually(() => proxy.accessLog.some((line) => line["authority"] === "unknown.example.com" && line["upstream_cluster"] === "outbound|8443||egress.example.com"), "HTTP too");
    expect(reached).toBe(0);
  });

  it("goes where it was sent without one", async () => {
    await start(world("ALLOW_ANY", null));
    expect(await exchange(proxy.connectOutbound({ address: "127.0.0.1", port: direct.port }), "")).toBe("direct");
  });

  it("a gateway that is not there: refused, never sent past it", async () => {
    await start(world("ALLOW_ANY", { host: "missing.example.com", port: { number: 8443 } }));
    expect(await exchange(proxy.connectOutbound({ address: "127.0.0.1", port: direct.port }), "")).toBe("");
    await logged("outbound|8443||missing.example.com");
    expect(reached).toBe(0);
  });
});
