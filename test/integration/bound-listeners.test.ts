import { connect, type Socket } from "node:net";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { freePort } from "./free-port.ts";
import { ask } from "./http-client.ts";
import { meshClient } from "./mesh-client.ts";
import { meshConfig, networking, type Resource, service, yamlOf } from "./mesh-resources.ts";
import { STRICT } from "./proxy-pair.ts";
import { exchange, ProxyUnderTest, rawServer, statusOf } from "./proxy-under-test.ts";
import { TestApplication } from "./test-application.ts";

/* Sockets a Sidecar resource asks for where nothing is captured: `captureMode: NONE` and ingress entries. */

describe("listeners of a Sidecar resource", () => {
  let reviews: TestApplication;
  let ratings: TestApplication;
  let echo: Awaited<ReturnType<typeof rawServer>>;
  let proxy: ProxyUnderTest;
  const ports = { http: 0, tcp: 0, ingress: 0, opaque: 0 };

  beforeAll(async () => {
    [reviews, ratings] = await Promise.all([TestApplication.start("reviews"), TestApplication.start("ratings")]);
    echo = await rawServer((socket) => socket.pipe(socket));
    for (const name of Object.keys(ports) as (keyof typeof ports)[]) ports[name] = await freePort();
    proxy = await ProxyUnderTest.start({ yaml: yaml(), workload: { serviceAccount: "reviews" } });
  });

  afterAll(() => {
    proxy.stop();
    reviews.stop();
    ratings.stop();
    echo.close();
  });

  const yaml = (...more: readonly Resource[]): string => yamlOf(
    service({ name: "reviews", port: ports.http, endpoints: [{ port: reviews.port }] }),
    service({ name: "ratings", namespace: "shop", clusterIP: "10.96.0.20", port: ports.http, endpoints: [{ port: ratings.port }] }),
    service({ name: "db", clusterIP: "10.96.0.30", port: ports.tcp, portName: "tcp", endpoints: [{ port: echo.port }] }),
    networking("Sidecar", "default", {
      egress: [
        { port: { number: ports.http, protocol: "HTTP", name: "http" }, bind: "127.0.0.1", captureMode: "NONE", hosts: ["*/*"] },
        { port: { number: ports.tcp, protocol: "TCP", name: "tcp" }, bind: "127.0.0.1", captureMode: "NONE", hosts: ["./db.default.svc.cluster.local"] },
      ],
      ingress: [
        { port: { number: ports.ingress, protocol: "HTTP", name: "http" }, bind: "127.0.0.1", defaultEndpoint: `127.0.0.1:${reviews.port}` },
        { port: { number: ports.opaque, protocol: "TCP", name: "tcp" }, bind: "127.0.0.1", defaultEndpoint: `127.0.0.1:${echo.port}` },
      ],
    }), ...more,
  );

  const to = (port: number): Socket => connect({ port, host: "127.0.0.1", allowHalfOpen: true });

  it("routes HTTP by Host", async () => {
    expect((await ask(to(ports.http), { host: "reviews" })).body).toBe("reviews");
    expect((await ask(to(ports.http), { host: `ratings.shop.svc.cluster.local:${ports.http}` })).body).toBe("ratings");
    expect(proxy.accessLog.at(-1)).toMatchObject({ direction: "outbound", upstream_cluster: `outbound|${ports.http}||ratings.shop.svc.cluster.local` });
  });

  it("has no place to pass an unknown host through to", async () => {
    const answer = await ask(to(ports.http), { host: "unknown.example" });
    expect(answer.status).toBeGreaterThanOrEqual(500);
    await proxy.apply(yaml(meshConfig({ outboundTrafficPolicy: { mode: "REGISTRY_ONLY" } })));
    expect((await ask(to(ports.http), { host: "unknown.example" })).status).toBe(502);
    await proxy.apply(yaml());
  });

  it("sends opaque connections to the one service", async () => {
    expect(await exchange(to(ports.tcp), "\x00ping", (received) => received.endsWith("ping"))).toBe("\x00ping");
  });

  it("closes what is not HTTP on an HTTP port: there is nowhere to pass it to", async () => {
    expect(await exchange(to(ports.http), "\x00ping")).toBe("");
  });

  it("forwards what arrives to the endpoint of the entry", async () => {
    expect((await ask(to(ports.ingress), { host: "whatever" })).body).toBe("reviews");
    expect(proxy.accessLog.at(-1)).toMatchObject({ direction: "inbound", upstream_host: `127.0.0.1:${reviews.port}` });
    expect(await exchange(to(ports.opaque), "ping", (received) => received === "ping")).toBe("ping");
  });

  it("obeys PeerAuthentication there as on captured ports", async () => {
    await proxy.apply(yaml(STRICT));
    expect(await exchange(to(ports.ingress), "GET / HTTP/1.1\r\nHost: a\r\n\r\n")).toBe("");
    const secured = meshClient(to(ports.ingress));
    expect(statusOf(await exchange(secured, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))).toBe(200);
    expect(reviews.requests.at(-1)?.headers["x-forwarded-client-cert"]).toContain("URI=spiffe://cluster.local/ns/default/sa/productpage");
    await proxy.apply(yaml());
  });
});
