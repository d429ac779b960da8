import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { connect as connectHttp2, createServer as createHttp2Server, sensitiveHeaders } from "node:http2";
import { afterEach, describe, expect, it } from "vitest";

import { AUTHORIZER_HOST, AuthorizationStage, type StageOptions } from "./authorization-stage.ts";
import { freePort } from "./free-port.ts";
import { HttpAuthorizer } from "./http-authorizer.ts";
import { ask } from "./http-client.ts";
import { meshConfig, networking, portOf, type Resource, security, service, yamlOf } from "./mesh-resources.ts";
import { eventually, ProxyUnderTest } from "./proxy-under-test.ts";
import { RunningProxy } from "./running-proxy.ts";
import { TestApplication } from "./test-application.ts";

/*
 * A question to an external authorizer is a request of the mesh: identities, balancing, limits and scopes are those of
 * any other.
 */

const CLUSTER = `outbound|8000||${AUTHORIZER_HOST}`;
const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

async function staged(options: StageOptions): Promise<AuthorizationStage> {
  const stage = await AuthorizationStage.start(options);
  stops.push(() => stage.stop());
  return stage;
}

describe("an authorizer in the mesh", () => {
  it("is asked over mTLS, by the identity of the workload", async () => {
    const stage = await staged({ isMesh: true });
    expect((await stage.ask("/ask")).status).toBe(200);
    expect(stage.authorizer.last.headers["x-forwarded-client-cert"]).toContain("URI=spiffe://cluster.local/ns/default/sa/reviews");
    expect(stage.guard?.accessLog[0]).toMatchObject({ peer_principal: "spiffe://cluster.local/ns/default/sa/reviews", path: "/ask" });
    stage.authorizer.says = () => ({ status: 401, headers: { "x-why": "w" }, body: "no" });
    const { status, headers, body, rawHeaders } = await stage.ask("/ask");
    expect([status, headers["x-why"], body]).toEqual([401, "w", "no"]);
    expect(rawHeaders.join(" ")).not.toContain("peer-metadata");
  });

  it("that is somebody else is not believed", async () => {
    const stage = await staged({ isMesh: true });
    stage.guard?.useIdentity("spiffe://cluster.local/ns/security/sa/impostor");
    expect((await stage.ask("/ask")).status).toBe(403);
    expect(stage.authorizer.questions).toEqual([]);
    await eventually(() => stage.callee.logLines.some((line) => line.includes("external authorizer not asked") && line.includes("impostor")), "the log says who it was");
  });

  it("that policy denies to be asked denies", async () => {
    const stage = await staged({ isMesh: true });
    await stage.guard?.apply(yamlOf(
      service({ name: "authz", namespace: "security", port: 8000, endpoints: [{ port: stage.authorizer.port, isMesh: true }] }),
      security("AuthorizationPolicy", "closed", {}, "security")));
    const { status, body, headers } = await stage.ask("/ask");
    expect([status, body]).toEqual([403, "RBAC: access denied"]);
    const id = /^deny; id=(.{12})$/.exec(String(headers["x-outrider-authz"]))?.[1] ?? "";
    expect(stage.callee.denial(id)?.said, "the record is the workload's own").toBe('provider "opa" denied it with 403');
    expect(stage.authorizer.questions).toEqual([]);
  });

  it("is asked with what its DestinationRule says of it", async () => {
    const rule = (trafficPolicy: Resource): Resource => networking("DestinationRule", "authz", { host: AUTHORIZER_HOST, trafficPolicy }, "security");
    const stage = await staged({ isMesh: true, more: [rule({ tls: { mode: "DISABLE" } })] });
    expect((await stage.ask("/ask")).status, "plaintext meets a sidecar that is STRICT").toBe(403);
    await stage.apply({ isMesh: true, more: [rule({ connectionPool: { http: { http1MaxPendingRequests: 1, maxRequestsPerConnection: 1 }, tcp: { maxConnections: 1 } } })] });
    expect((await stage.ask("/ask")).status).toBe(200);
  });

  it("is asked though a Sidecar hides it from the application", async () => {
    const sidecar = networking("Sidecar", "own", { workloadSelector: { labels: { app: "reviews" } }, egress: [{ hosts: ["./*"] }], outboundTrafficPolicy: { mode: "REGISTRY_ONLY" } });
    const stage = await staged({ more: [sidecar] });
    expect((await stage.ask("/ask")).status).toBe(200);
    expect(stage.authorizer.questions).toHaveLength(1);
    await expect(ask(stage.callee.connectOutbound({ address: "10.96.0.99", port: 8000 }), { host: AUTHORIZER_HOST }), "the application does not get there").rejects.toThrow();
    expect(stage.authorizer.questions).toHaveLength(1);
  });

  it("keeps its connection, and is counted as any cluster", async () => {
    const stage = await staged({});
    for (let round = 0; round < 5; round++) expect((await stage.ask("/ask")).status).toBe(200);
    expect(await stage.count("envoy_cluster_upstream_rq_total", `cluster_name="${CLUSTER}"`)).toBe(5);
    expect(await stage.count("envoy_cluster_upstream_cx_total", `cluster_name="${CLUSTER}"`)).toBe(1);
    expect(stage.callee.clusters().outbound.find(({ name }) => name === CLUSTER)?.endpoints).toHaveLength(1);
    expect(stage.callee.clusters().inbound.map(({ name }) => name)).not.toContain(CLUSTER);
  });

  it("is asked within the limits of its service, and a question leaves the queue with its client", async () => {
    const limits = (http1MaxPendingRequests: number): Resource => networking("DestinationRule", "authz", { host: AUTHORIZER_HOST, trafficPolicy: { connectionPool: { tcp: { maxConnections: 1 }, http: { http1MaxPendingRequests } } } }, "security");
    const stage = await staged({ isPermissive: true, more: [limits(1)] });
    const held: ServerResponse[] = [];
    stage.authorizer.says = () => (response) => held.push(response);
    const pending = () => stage.callee.clusters().outbound.find(({ name }) => name === CLUSTER)?.limits.pendingRequests.count;
    const first = stage.ask("/ask");
    await eventually(() => held.length === 1, "one is asked about");
    const leaves = stage.connectPlain();
    leaves.write("GET /ask HTTP/1.1\r\nHost: reviews\r\n\r\n");
    await eventually(() => pending() === 1, "another one waits");
    expect((await stage.ask("/ask")).status, "as many as may wait do").toBe(403);
    leaves.resetAndDestroy();
    await eventually(() => pending() === 0, "it has left");
    held[0]?.end();
    expect((await first).status).toBe(200);
    expect(stage.authorizer.questions).toHaveLength(1);
  });

  it("that fails is put aside while another one answers", async () => {
    const [good, bad, application] = await Promise.all([HttpAuthorizer.start(), HttpAuthorizer.start(), TestApplication.start("application")]);
    bad.says = () => ({ status: 503 });
    const { port } = application;
    const proxy = await ProxyUnderTest.start({
      workload: { podName: "reviews-1", serviceAccount: "reviews", labels: { app: "reviews" } },
      yaml: yamlOf(
        service({ name: "reviews", targetPort: port, endpoints: [{ port }] }),
        service({ name: "authz", namespace: "security", port: 8000, endpoints: [{ port: good.port }, { port: bad.port }] }),
        networking("DestinationRule", "authz", { host: AUTHORIZER_HOST, trafficPolicy: { loadBalancer: { simple: "ROUND_ROBIN" }, outlierDetection: { consecutive5xxErrors: 2, baseEjectionTime: "60s", maxEjectionPercent: 100 } } }, "security"),
        meshConfig({ extensionProviders: [{ name: "opa", envoyExtAuthzHttp: { service: AUTHORIZER_HOST, port: 8000 } }] }),
        security("AuthorizationPolicy", "ask", { action: "CUSTOM", provider: { name: "opa" }, rules: [{}] }),
      ),
    });
    stops.push(() => proxy.stop(), () => good.stop(), () => bad.stop(), () => application.stop());
    const statuses: number[] = [];
    for (let round = 0; round < 20; round++) statuses.push((await ask(proxy.connectInbound(port))).status);
    expect(statuses.filter((status) => status === 403)).toHaveLength(2);
    expect(statuses.slice(-10)).toEqual(Array.from({ length: 10 }, () => 200));
    expect(bad.questions).toHaveLength(2);
  });

  it("that cannot be connected to is passed over for another one", async () => {
    const [good, application] = await Promise.all([HttpAuthorizer.start(), TestApplication.start("application")]);
    const { port } = application;
    const gone = [await freePort(), await freePort()];
    const proxy = await ProxyUnderTest.start({
      workload: { podName: "reviews-1", labels: { app: "reviews" } },
      yaml: yamlOf(
        service({ name: "reviews", targetPort: port, endpoints: [{ port }] }),
        service({ name: "authz", namespace: "security", port: 8000, endpoints: [{ port: gone[0] as number }, { port: good.port }, { port: gone[1] as number }] }),
        meshConfig({ extensionProviders: [{ name: "opa", envoyExtAuthzHttp: { service: AUTHORIZER_HOST, port: 8000 } }] }),
        security("AuthorizationPolicy", "ask", { action: "CUSTOM", provider: { name: "opa" }, rules: [{}] }),
      ),
    });
    stops.push(() => proxy.stop(), () => good.stop(), () => application.stop());
    for (let round = 0; round < 10; round++) expect((await ask(proxy.connectInbound(port))).status).toBe(200);
    expect(good.questions, "asked once each").toHaveLength(10);
  });

  it("is asked over HTTP/2 where its port says so", async () => {
    const versions: string[] = [];
    let neverIndexed: unknown = null;
    const server = createHttp2Server((request, response) => {
      neverIndexed = (request.headers as Record<symbol, unknown>)[sensitiveHeaders];
      versions.push(`${request.httpVersion} ${request.method} ${request.url} ${request.authority}`);
      response.writeHead(200, { "x-user": "alice" });
      response.end();
    });
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
    const application = await TestApplication.start("application");
    const { port } = application;
    const proxy = await ProxyUnderTest.start({
      workload: { podName: "reviews-1", labels: { app: "reviews" } },
      yaml: yamlOf(
        service({ name: "reviews", targetPort: port, endpoints: [{ port }] }),
        service({ name: "authz", namespace: "security", port: 8000, portName: "http2", endpoints: [{ port: portOf(server) }] }),
        meshConfig({ extensionProviders: [{ name: "opa", envoyExtAuthzHttp: { service: AUTHORIZER_HOST, port: 8000, headersToUpstreamOnAllow: ["x-user"], includeRequestHeadersInCheck: ["x-pin", "x-tag"] } }] }),
        security("AuthorizationPolicy", "ask", { action: "CUSTOM", provider: { name: "opa" }, rules: [{}] }),
      ),
    });
    stops.push(() => proxy.stop(), () => server.close(), () => application.stop());
    expect((await ask(proxy.connectInbound(port), { method: "PUT", path: "/a?b", body: "body" })).status).toBe(200);
    expect(versions).toEqual(["2.0 PUT /a?b reviews"]);
    expect(application.requests[0]?.headers["x-user"]).toBe("alice");

    const session = connectHttp2("http://reviews", { createConnection: () => proxy.connectInbound(port) });
    const stream = session.request({ ":path": "/", "x-pin": "1234", "x-tag": "t", "x-other": "o", [sensitiveHeaders]: ["x-pin", "x-other"] });
    await once(stream.resume(), "close");
    session.destroy();
    expect(neverIndexed, "what its sender does not want compressed is not (RFC 7541 section 6.2.3)").toEqual(["x-pin"]);
  });

  it("may be outside, under a name", async () => {
    const [authorizer, application] = await Promise.all([HttpAuthorizer.start(), TestApplication.start("application")]);
    const { port } = application;
    const proxy = await ProxyUnderTest.start({
      workload: { podName: "reviews-1", labels: { app: "reviews" } },
      names: { lookup: () => Promise.resolve({ kind: "found", addresses: ["127.0.0.1"], ttlMs: 60_000 }), minTtlMs: 1000 },
      yaml: yamlOf(
        service({ name: "reviews", targetPort: port, endpoints: [{ port }] }),
        networking("ServiceEntry", "authz", { hosts: ["authz.example.com"], ports: [{ number: authorizer.port, name: "http", protocol: "HTTP" }], resolution: "DNS", location: "MESH_EXTERNAL" }, "security"),
        meshConfig({ extensionProviders: [{ name: "opa", envoyExtAuthzHttp: { service: "authz.example.com", port: authorizer.port } }] }),
        security("AuthorizationPolicy", "ask", { action: "CUSTOM", provider: { name: "opa" }, rules: [{}] }),
      ),
    });
    stops.push(() => proxy.stop(), () => authorizer.stop(), () => application.stop());
    expect((await ask(proxy.connectInbound(port))).status).toBe(200);
    expect(authorizer.questions).toHaveLength(1);
  });
});

describe("a process with several data threads", () => {
  it("asks from each of them, and explains what was denied", async () => {
    const [authorizer, application] = await Promise.all([HttpAuthorizer.start(), TestApplication.start("application")]);
    authorizer.says = ({ path }) => ({ status: path === "/no" ? 403 : 200 });
    const own = await freePort();
    const yaml = yamlOf(
      // Without capture rules an ingress entry binds a port of its own.
      networking("Sidecar", "own", { workloadSelector: { labels: { app: "reviews" } }, ingress: [{ port: { number: own, protocol: "HTTP", name: "http" }, bind: "127.0.0.1", defaultEndpoint: `127.0.0.1:${application.port}` }] }),
      service({ name: "authz", namespace: "security", port: 8000, endpoints: [{ port: authorizer.port }] }),
      meshConfig({ extensionProviders: [{ name: "opa", envoyExtAuthzHttp: { service: AUTHORIZER_HOST, port: 8000 } }] }),
      security("AuthorizationPolicy", "ask", { action: "CUSTOM", provider: { name: "opa" }, rules: [{}] }),
    );
    const proxy = await RunningProxy.start({ files: { "mesh-resources.yaml": yaml }, flags: ["--concurrency", "2"] });
    stops.push(() => proxy.stop(), () => authorizer.stop(), () => application.stop());
    const statuses = await Promise.all(Array.from({ length: 40 }, async (_, index) => (await fetch(`http://127.0.0.1:${own}/${index % 2 === 0 ? "yes" : "no"}`)).status));
    expect(statuses.toSorted((a, b) => a - b)).toEqual([...Array.from({ length: 20 }, () => 200), ...Array.from({ length: 20 }, () => 403)]);
    expect(authorizer.questions).toHaveLength(40);
    const denied = await fetch(`http://127.0.0.1:${own}/no`);
    const id = /id=(.{12})/.exec(denied.headers.get("x-outrider-authz") ?? "")?.[1] ?? "";
    expect(JSON.parse((await proxy.page(`/explain/${id}`)).text)).toMatchObject({ said: 'provider "opa" denied it with 403', rule: { resource: "AuthorizationPolicy default/ask" } });
    await eventually(async () => (await proxy.page("/stats/prometheus", "metrics")).text.includes('envoy_cluster_ext_authz_ok{'), "it is counted");
  }, 60_000);
});
