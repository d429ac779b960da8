import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { ask, type HttpAnswer, type HttpQuestion } from "./http-client.ts";
import { networking, service, yamlOf } from "./mesh-resources.ts";
import { examplesOf } from "./page-examples.ts";
import { eventually, exchange, ProxyUnderTest, rawServer } from "./proxy-under-test.ts";
import { TestApplication } from "./test-application.ts";

/* docs/routing.md and docs/tcp-routing.md: their examples, in force on a real proxy, do what the pages say. */

const VIP = { address: "10.96.0.10", port: 9080 };

describe("docs/routing.md", () => {
  let application: TestApplication;
  let proxy: ProxyUnderTest;
  const examples = examplesOf("docs/routing.md");

  beforeAll(async () => {
    application = await TestApplication.start("app");
    proxy = await ProxyUnderTest.start({ yaml: yamlOf(), workload: { namespace: "shop" } });
  });

  afterAll(() => {
    proxy.stop();
    application.stop();
  });

  /** The example that holds a text, with the service it is about. */
  async function use(text: string, name: string): Promise<void> {
    const example = examples.find(({ yaml }) => yaml.includes(text));
    const endpoints = ["v1", "v2"].map((version) => ({ port: application.port, labels: { version } }));
    await proxy.apply([yamlOf(
      service({ name, namespace: "shop", endpoints }), networking("DestinationRule", name, { host: name, subsets: ["v1", "v2"].map((version) => ({ name: version, labels: { version } })) }, "shop"),
    ), example?.yaml ?? "no such example"].join("\n---\n"));
  }

  const get = (path: string, host: string, question: HttpQuestion = {}): Promise<HttpAnswer> => ask(proxy.connectOutbound(VIP), { path, host, ...question });

  it("chooses by header, and by weight", async () => {
    await use("old-app", "reviews");
    for (let round = 0; round < 20; round++) await get("/reviews/1", "reviews", { headers: { "user-agent": "ShopApp/1.4" } });
    await eventually(() => proxy.accessLog.length === 20, "all are logged");
    expect(new Set(proxy.accessLog.map((line) => `${String(line["route_name"])} ${String(line["upstream_cluster"])}`))).toEqual(new Set(["old-app outbound|9080|v1|reviews.shop.svc.cluster.local"]));
    let canary: HttpAnswer | null = null;
    for (let round = 0; canary === null && round < 2_000; round++) {
      const answer = await get("/reviews/1", "reviews");
      if (answer.headers["x-canary"] === "yes") canary = answer;
    }
    expect(canary).not.toBeNull();
  });

  it("rewrites path and authority", async () => {
    await use("uriRegexRewrite", "catalogue");
    await get("/api/x?a=1", "catalogue");
    expect([application.requests.at(-1)?.url, application.requests.at(-1)?.headers["x-envoy-original-path"]]).toEqual(["/x?a=1", "/api/x?a=1"]);
    await get("/items/42?b=2", "catalogue");
    expect([application.requests.at(-1)?.url, application.requests.at(-1)?.headers.host]).toEqual(["/v2/item/42?b=2", "catalogue.legacy.example"]);
  });

  it("changes headers", async () => {
    await use("x-trail", "orders");
    const answer = await get("/", "orders", { headers: { "x-debug": "1", "x-tenant-id": "t".repeat(50), "x-trail": "before" } });
    expect(application.requests.at(-1)?.headers).toMatchObject({ "x-client": expect.stringMatching(/^127\./) as string, "x-trail": `before, ${"t".repeat(40)}` });
    expect(application.requests.at(-1)?.headers["x-debug"]).toBeUndefined();
    expect(answer.headers).toMatchObject({ "x-served-by": "outbound|9080||orders.shop.svc.cluster.local", "x-discount": "100%" });
  });

  it("answers by itself", async () => {
    await use("robots.txt", "shop");
    const before = application.requests.length;
    const redirect = await get("/old/a?b=1", "shop:9080");
    expect([redirect.status, redirect.headers.location, redirect.body]).toEqual([308, "https://shop/new/a?b=1", ""]);
    const robots = await get("/robots.txt", "shop");
    expect([robots.status, robots.headers["content-type"], robots.body]).toEqual([200, "text/plain", "User-agent: *\nDisallow: /\n"]);
    const closed = await get("/closed", "shop");
    expect([closed.status, closed.headers["content-type"], closed.headers["retry-after"], closed.body]).toEqual([503, "application/json", "60", '{"error":"closed"}']);
    expect(application.requests).toHaveLength(before);
    expect((await get("/", "shop")).body).toBe("app");
  });
});

describe("docs/tcp-routing.md", () => {
  it("chooses by the address that was dialled, and by who dials", async () => {
    const servers = await Promise.all(["one", "two"].map((name) => rawServer((socket) => socket.once("data", () => socket.end(name)))));
    // The page's endpoints, where they can be had here.
    let yaml = examplesOf("docs/tcp-routing.md")[0]?.yaml ?? "";
    servers.forEach(({ port }, index) => {
      yaml = yaml.replace(`address: 192.0.2.${index + 1}0,`, `address: 127.0.0.1, ports: { tcp-postgres: ${port}, tls: ${port} },`);
    });
    const talk = async (proxy: ProxyUnderTest, address: string): Promise<string> => exchange(proxy.connectOutbound({ address, port: 5432 }), "hello");
    const shop = await ProxyUnderTest.start({ yaml, workload: { namespace: "shop" }, random: () => 0.5 });
    expect([await talk(shop, "198.51.100.9"), await talk(shop, "203.0.113.1")]).toEqual(["two", "one"]);
    const reports = await ProxyUnderTest.start({ yaml, workload: { namespace: "shop", labels: { app: "reports" } } });
    expect(await talk(reports, "203.0.113.1")).toBe("two");
    shop.stop();
    reports.stop();
    for (const server of servers) server.close();
  });
});
