import { connect } from "node:net";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { ask, type HttpAnswer } from "./http-client.ts";
import { httpRules, meshConfig, networking, type Resource, service, yamlOf } from "./mesh-resources.ts";
import { exchange, ProxyUnderTest, rawServer, statusOf } from "./proxy-under-test.ts";
import { TestApplication } from "./test-application.ts";

/* Which service a request is for, by `Host` and by where it was going: spec/02 2.1 and 2.3. */

const VIP = { address: "10.96.0.10", port: 9080 };
const REGISTRY_ONLY = meshConfig({ outboundTrafficPolicy: { mode: "REGISTRY_ONLY" } });

describe("hosts of outbound requests", () => {
  let reviews: TestApplication;
  let ratings: TestApplication;
  let elsewhere: TestApplication;
  let proxy: ProxyUnderTest;
  let services: Resource[] = [];

  beforeAll(async () => {
    [reviews, ratings, elsewhere] = await Promise.all([TestApplication.start("reviews"), TestApplication.start("ratings"), TestApplication.start("elsewhere")]);
    services = [
      ...service({ name: "reviews", endpoints: [{ port: reviews.port }] }),
      // The same port in another namespace: the two share a listener and are told apart by Host alone.
      ...service({ name: "ratings", namespace: "shop", clusterIP: "10.96.0.20", endpoints: [{ port: ratings.port }] }),
      // A listener for the port on which the foreign application is.
      ...service({ name: "other", clusterIP: "10.96.0.30", port: elsewhere.port, endpoints: [{ port: reviews.port }] }),
    ];
    proxy = await ProxyUnderTest.start({ yaml: yamlOf(services) });
  });

  afterAll(() => {
    proxy.stop();
    for (const application of [reviews, ratings, elsewhere]) application.stop();
  });

  const get = (host: string, destination = VIP): Promise<HttpAnswer> => ask(proxy.connectOutbound(destination), { host });

  it.each([
    "reviews", "reviews:9080", "reviews.default", "reviews.default.svc", "reviews.default.svc.cluster.local", "reviews.default.svc.cluster.local.",
    "REVIEWS", "Reviews.Default.Svc.Cluster.Local:9080", "10.96.0.10", "10.96.0.10:9080", "reviews:1",
  ])("knows the service in its own namespace as %s", async (host) => {
    expect((await get(host)).body).toBe("reviews");
  });

  it.each([
    "ratings.shop", "ratings.shop.svc", "ratings.shop.svc.cluster.local", "ratings.shop.svc.cluster.local.:9080", "10.96.0.20",
  ])("knows the service of another namespace as %s", async (host) => {
    expect((await get(host)).body).toBe("ratings");
  });

  it("forwards Host as it came", async () => {
    await get("Reviews.Default:9080");
    expect(reviews.requests.at(-1)?.headers.host).toBe("Reviews.Default:9080");
  });

  it("takes the authority of an absolute request target over Host", async () => {
    const request = "GET http://ratings.shop/x HTTP/1.1\r\nHost: reviews\r\nConnection: close\r\n\r\n";
    const answer = await exchange(proxy.connectOutbound(VIP), request);
    expect(answer).toMatch(/ratings$/);
    expect(ratings.requests.at(-1)?.url).toBe("/x");
    expect(ratings.requests.at(-1)?.headers.host).toBe("ratings.shop");
  });

  it("passes an unknown host through to where it was going (ALLOW_ANY)", async () => {
    // The short name of a service of another namespace is unknown here.
    const destination = { address: "127.0.0.1", port: elsewhere.port };
    for (const host of ["unknown.example", "ratings"]) expect((await get(host, destination)).body).toBe("elsewhere");
    expect(proxy.accessLog.at(-1)).toMatchObject({ upstream_cluster: "PassthroughCluster", route_name: "allow_any" });
  });

  it("passes a destination nobody knows through unread (ALLOW_ANY)", async () => {
    const echo = await rawServer((socket) => socket.pipe(socket));
    const socket = proxy.connectOutbound({ address: "127.0.0.1", port: echo.port });
    expect(await exchange(socket, "\x00\x01 not HTTP\n", (received) => received.endsWith("\n"))).toBe("\x00\x01 not HTTP\n");
    echo.close();
  });

  it("passes what is not HTTP on an HTTP port through as well", async () => {
    const echo = await rawServer((socket) => socket.pipe(socket));
    const own = service({ name: "echo-port", clusterIP: "10.96.0.40", port: echo.port, endpoints: [{ port: reviews.port }] });
    await proxy.apply(yamlOf(services, own));
    const socket = proxy.connectOutbound({ address: "127.0.0.1", port: echo.port });
    expect(await exchange(socket, "\x00\x01 not HTTP\n", (received) => received.endsWith("\n"))).toBe("\x00\x01 not HTTP\n");
    await proxy.apply(yamlOf(services));
    echo.close();
  });

  it("answers 502 for an unknown host and closes unknown destinations (REGISTRY_ONLY)", async () => {
    await proxy.apply(yamlOf(services, REGISTRY_ONLY));
    const answer = await get("unknown.example", { address: "127.0.0.1", port: elsewhere.port });
    expect([answer.status, answer.body]).toEqual([502, ""]);
    expect(proxy.accessLog.at(-1)).toMatchObject({ upstream_cluster: "BlackHoleCluster", response_code_details: "direct_response", response_flags: "-" });
    const echo = await rawServer((socket) => socket.pipe(socket));
    expect(await exchange(proxy.connectOutbound({ address: "127.0.0.1", port: echo.port }), "hello")).toBe("");
    expect(proxy.accessLog.at(-1)).toMatchObject({ upstream_cluster: "BlackHoleCluster", response_flags: "UH", method: null });
    expect((await get("reviews")).body).toBe("reviews");
    echo.close();
    await proxy.apply(yamlOf(services));
  });

  it("refuses a connection made to the capture port itself, which would loop", async () => {
    const port = proxy.outboundPort;
    proxy.destination = { address: "127.0.0.1", port };
    expect(await exchange(connect(port, "127.0.0.1"), "GET / HTTP/1.1\r\nHost: reviews\r\n\r\n")).toBe("");
  });

  it("honours a VirtualService for a host of no registry on port 80 only", async () => {
    const rule = httpRules("virtual.example", { directResponse: { status: 299, body: { string: "virtual" } } });
    const web = service({ name: "web", clusterIP: "10.96.0.50", port: 80, endpoints: [{ port: reviews.port }] });
    await proxy.apply(yamlOf(services, web, rule, REGISTRY_ONLY));
    expect((await get("virtual.example", { address: "10.96.0.50", port: 80 })).status).toBe(299);
    expect((await get("virtual.example")).status).toBe(502);
    await proxy.apply(yamlOf(services));
  });

  it("reaches a ServiceEntry by its host, at its endpoints", async () => {
    const entry = networking("ServiceEntry", "ext", {
      hosts: ["api.example"], ports: [{ number: 9080, name: "http", protocol: "HTTP" }], resolution: "STATIC", location: "MESH_EXTERNAL",
      endpoints: [{ address: "127.0.0.1", ports: { http: elsewhere.port } }],
    });
    await proxy.apply(yamlOf(services, entry, REGISTRY_ONLY));
    expect((await get("api.example")).body).toBe("elsewhere");
    await proxy.apply(yamlOf(services));
  });

  it("detects the protocol of a port that declares none, and any Host is for its service", async () => {
    const both = await rawServer((socket) => {
      socket.once("data", (chunk: Buffer) => socket.end(chunk.toString("latin1").startsWith("GET") ? "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nhttp" : "opaque"));
    });
    const auto = service({ name: "auto", clusterIP: "10.96.0.60", port: 7000, portName: "", endpoints: [{ port: both.port }] });
    await proxy.apply(yamlOf(services, auto));
    const destination = { address: "10.96.0.60", port: 7000 };
    expect((await get("whatever.example", destination)).body).toBe("http");
    expect(proxy.accessLog.at(-1)).toMatchObject({ upstream_cluster: "outbound|7000||auto.default.svc.cluster.local", method: "GET" });
    expect(await exchange(proxy.connectOutbound(destination), "\x16\x03 binary")).toBe("opaque");
    both.close();
    await proxy.apply(yamlOf(services));
  });

  it("refuses a Host that is none before anything is routed", async () => {
    const answer = await exchange(proxy.connectOutbound(VIP), "GET / HTTP/1.1\r\nHost: re views\r\n\r\n");
    expect(statusOf(answer)).toBe(400);
  });
});
