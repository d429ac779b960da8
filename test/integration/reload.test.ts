import { connect, createServer } from "node:net";

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { freePort } from "./free-port.ts";
import { ask } from "./http-client.ts";
import { Load } from "./load.ts";
import { httpRules, meshConfig, networking, portOf, type Resource, service, yamlOf } from "./mesh-resources.ts";
import { eventually, exchange, ProxyUnderTest, rawServer } from "./proxy-under-test.ts";
import { TestApplication } from "./test-application.ts";

/* A new configuration while requests run: faults F14, F15 and F29. */

const VIP = { address: "10.96.0.10", port: 9080 };

describe("a new configuration", () => {
  let applications: TestApplication[] = [];
  let proxy: ProxyUnderTest;

  beforeAll(async () => {
    applications = await Promise.all(["v1", "v2", "v3"].map((name) => TestApplication.start(name)));
  });

  beforeEach(async () => {
    proxy = await ProxyUnderTest.start({ yaml: weighted(90, 10) });
  });

  afterEach(() => proxy.stop());

  afterAll(() => {
    for (const application of applications) application.stop();
  });

  const endpoints = (...indexes: readonly number[]): Resource[] => service({
    name: "reviews", endpoints: indexes.map((index) => ({ port: applications[index]?.port ?? 0, labels: { version: `v${index + 1}` } })),
  });
  const subsets = (...names: readonly string[]): Resource => networking("DestinationRule", "reviews", {
    host: "reviews", subsets: names.map((name) => ({ name, labels: { version: name } })),
  });
  const weighted = (v1: number, v2: number): string => yamlOf(endpoints(0, 1, 2), subsets("v1", "v2"), httpRules("reviews", {
    route: [{ destination: { host: "reviews", subset: "v1" }, weight: v1 }, { destination: { host: "reviews", subset: "v2" }, weight: v2 }],
  }));
  const share = (results: readonly { body: string }[], body: string): number => results.filter((result) => result.body === body).length / results.length;

  it("is in force for the next request, and costs none", async () => {
    const load = new Load(() => proxy.connectOutbound(VIP));
    await load.more(400);
    const before = load.results.length;
    await proxy.apply(weighted(50, 50));
    await load.more(500);
    for (let round = 0; round < 20; round++) {
      await proxy.apply(weighted(50 + (round % 2), 50));
      await load.more(10);
    }
    await load.stop();
    expect(load.failures).toEqual([]);
    // Five standard deviations of so many draws.
    expect(Math.abs(share(load.results.slice(0, before), "v2") - 0.1)).toBeLessThan(0.08);
    expect(Math.abs(share(load.since(before), "v2") - 0.5)).toBeLessThan(0.11);
  });

  it("may take a subset away while requests to it run", async () => {
    const load = new Load(() => proxy.connectOutbound(VIP));
    await load.more(50);
    await proxy.apply(yamlOf(endpoints(0, 1, 2), subsets("v2"), httpRules("reviews", { route: [{ destination: { host: "reviews", subset: "v2" } }] })));
    const after = load.results.length;
    await load.more(100);
    await load.stop();
    expect(load.failures).toEqual([]);
    expect(share(load.since(after), "v2")).toBe(1);
    expect(proxy.clusters().outbound.map(({ name }) => name)).not.toContain("outbound|9080|v1|reviews.default.svc.cluster.local");
  });

  it("lets a request end under the configuration it began with", async () => {
    let finish: () => void = () => undefined;
    const slow = await TestApplication.start("slow", (_request, response) => (finish = () => response.end("slow")));
    await proxy.apply(yamlOf(service({ name: "reviews", endpoints: [{ port: slow.port }] })));
    const answer = ask(proxy.connectOutbound(VIP));
    await eventually(() => slow.requests.length === 1, "the request is at the application");
    await proxy.apply(yamlOf(endpoints(0)));
    expect((await ask(proxy.connectOutbound(VIP))).body).toBe("v1");
    finish();
    expect((await answer).body).toBe("slow");
    slow.stop();
  });

  it("takes an endpoint out without an error, and in again", async () => {
    await proxy.apply(yamlOf(endpoints(0, 1, 2)));
    const load = new Load(() => proxy.connectOutbound(VIP));
    await load.more(60);
    await proxy.apply(yamlOf(endpoints(0, 1)));
    const without = load.results.length;
    await load.more(100);
    const withAgain = load.results.length;
    expect(share(load.since(without), "v3")).toBe(0);
    await eventually(() => connectionsOf(applications[2] as TestApplication).then((count) => count === 0), "its idle connections closed");
    await proxy.apply(yamlOf(endpoints(0, 1, 2)));
    await load.more(150);
    await load.stop();
    expect(load.failures).toEqual([]);
    expect(share(load.since(withAgain), "v3")).toBeGreaterThan(0);
  });

  it("refuses at once when all endpoints are gone, and recovers with the first", async () => {
    await proxy.apply(yamlOf(endpoints()));
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask(proxy.connectOutbound(VIP))));
    expect(new Set(answers.map(({ status, body }) => `${status} ${body}`))).toEqual(new Set(["503 no healthy upstream"]));
    await proxy.apply(yamlOf(endpoints(1)));
    expect((await ask(proxy.connectOutbound(VIP))).body).toBe("v2");
  });

  it("spreads over a thousand endpoints as over three", async () => {
    const many = Array.from({ length: 1_000 }, (_, index) => ({ address: `127.1.${index >> 8}.${index & 255}`, port: applications[0]?.port ?? 0 }));
    const all = await rawServer((socket) => socket.once("data", () => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")), "0.0.0.0");
    await proxy.apply(yamlOf(
      service({ name: "reviews", endpoints: many.map(({ address }) => ({ address, port: all.port })) }),
      networking("DestinationRule", "reviews", { host: "reviews", trafficPolicy: { loadBalancer: { simple: "ROUND_ROBIN" } } }),
    ));
    for (let round = 0; round < 200; round++) await ask(proxy.connectOutbound(VIP));
    const used = proxy.clusters().outbound.flatMap(({ endpoints: known }) => known).filter(({ totalRequests }) => totalRequests > 0);
    expect(used).toHaveLength(200);
    all.close();
  });

  it("adds a listener of its own, moves it, and takes it away; connections outlive it", async () => {
    const port = await freePort();
    const other = await freePort();
    const listening = (...ports: readonly number[]): string => yamlOf(endpoints(0), ...ports.map((each) => ({
      apiVersion: "networking.istio.io/v1", kind: "Sidecar", metadata: { name: "default", namespace: "default" },
      spec: { egress: [{ port: { number: each, protocol: "HTTP", name: "http" }, bind: "127.0.0.1", captureMode: "NONE", hosts: ["./*"] }] },
    })));
    const get = (target: number): Promise<string> => ask(connect(target, "127.0.0.1"), { host: "reviews:9080" }).then(({ body }) => body);
    await proxy.apply(listening(port));
    expect(await get(port)).toBe("v1");
    const kept = connect(port, "127.0.0.1");
    let received = "";
    kept.on("data", (chunk: Buffer) => (received += chunk.toString("latin1")));
    kept.write("GET / HTTP/1.1\r\nHost: reviews:9080\r\n\r\n");
    await eventually(() => received.endsWith("v1"), "the connection works");
    await proxy.apply(listening(other));
    expect(await get(other)).toBe("v1");
    await expect(get(port)).rejects.toThrow(/ECONNREFUSED/);
    received = "";
    kept.write("GET / HTTP/1.1\r\nHost: reviews:9080\r\n\r\n");
    await eventually(() => received.includes("\r\n\r\n"), "the old connection is answered still");
    kept.destroy();
    await proxy.apply(listening());
    await expect(get(other)).rejects.toThrow(/ECONNREFUSED/);
  });

  it("keeps the rest when a port it asks for is taken, says so, and takes it once it is free", async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => {
      taken.listen(0, "127.0.0.1", resolve);
    });
    const text = yamlOf(endpoints(1), networking("Sidecar", "default", {
      egress: [
        { port: { number: portOf(taken), protocol: "HTTP", name: "http" }, bind: "127.0.0.1", captureMode: "NONE", hosts: ["./*"] },
        { hosts: ["./*"] },
      ],
    }));
    const problems = await proxy.tryApply(text);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(String(portOf(taken)));
    expect((await ask(proxy.connectOutbound(VIP))).body).toBe("v2");
    const port = portOf(taken);
    await new Promise((resolve) => {
      taken.close(resolve);
    });
    expect(await proxy.tryApply(text)).toEqual([]);
    expect((await ask(connect(port, "127.0.0.1"), { host: "reviews:9080" })).body).toBe("v2");
  });

  it("changes the catch-all for the next connection", async () => {
    const echo = await rawServer((socket) => socket.pipe(socket));
    const destination = { address: "127.0.0.1", port: echo.port };
    const say = (): Promise<string> => exchange(proxy.connectOutbound(destination), "ping", (received) => received === "ping");
    expect(await say()).toBe("ping");
    await proxy.apply(yamlOf(endpoints(0), meshConfig({ outboundTrafficPolicy: { mode: "REGISTRY_ONLY" } })));
    expect(await say()).toBe("");
    echo.close();
  });

  function connectionsOf(application: TestApplication): Promise<number> {
    return new Promise((resolve, reject) => {
      application.server.getConnections((error, count) => (error === null ? resolve(count) : reject(error)));
    });
  }
});
