import type { TLSSocket } from "node:tls";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { systemClock } from "../../src/core/clock.ts";
import { DevelopmentCa } from "../../src/identity/development-ca.ts";
import { ask } from "./http-client.ts";
import { ISTIO_TCP, meshClient, type MeshClientOptions } from "./mesh-client.ts";
import { meshConfig, type Resource, security, service, yamlOf } from "./mesh-resources.ts";
import { ProxyPair, STRICT } from "./proxy-pair.ts";
import { eventually, exchange, ProxyUnderTest, rawServer, statusOf } from "./proxy-under-test.ts";
import { TestApplication } from "./test-application.ts";

/* Who may speak to whom, and what the application hears of it: spec/05 5.1, 5.4, 5.5 and 5.8, faults F09. */

const GET = "GET /a HTTP/1.1\r\nHost: reviews\r\nConnection: close\r\n\r\n";
const foreignCa = DevelopmentCa.create("foreign.example", systemClock);

describe("what a callee must prove", () => {
  let application: TestApplication;

  beforeAll(async () => {
    application = await TestApplication.start("app");
  });

  afterAll(() => application.stop());

  it("503 for the wrong identity, both named, and no plaintext instead", async () => {
    const pair = await ProxyPair.start({ port: application.port, callee: { spiffeId: "spiffe://cluster.local/ns/default/sa/impostor" } });
    const answer = await ask(pair.connect());
    expect(answer.status).toBe(503);
    expect(answer.body).toContain("remote connection failure, transport failure reason: tls_peer_");
    const line = pair.caller.accessLog.at(-1) ?? {};
    expect(line["response_flags"]).toMatch(/UF/);
    expect(line["upstream_transport_failure_reason"]).toContain("spiffe://cluster.local/ns/default/sa/impostor");
    expect(line["upstream_transport_failure_reason"]).toContain("spiffe://cluster.local/ns/default/sa/reviews");
    expect(application.requests).toHaveLength(0);
    pair.stop();
  });

  it("503 for an authority nobody trusts", async () => {
    const pair = await ProxyPair.start({ port: application.port });
    pair.callee.useIdentity("spiffe://cluster.local/ns/default/sa/reviews", DevelopmentCa.create("cluster.local", systemClock));
    expect((await ask(pair.connect())).status).toBe(503);
    expect(application.requests).toHaveLength(0);
    pair.stop();
  });

  it("503 while we have no certificate: never plaintext to a mesh endpoint", async () => {
    const pair = await ProxyPair.start({ port: application.port, resources: [security("PeerAuthentication", "default", { mtls: { mode: "PERMISSIVE" } })], caller: { spiffeId: null } });
    const answer = await ask(pair.connect());
    expect([answer.status, answer.body.includes("tls_no_identity")]).toEqual([503, true]);
    expect(application.requests).toHaveLength(0);
    pair.stop();
  });

  it("503 and not plaintext for an endpoint that speaks no TLS though it should", async () => {
    const heard: string[] = [];
    const plain = await rawServer((socket) => {
      socket.on("data", (chunk: Buffer) => heard.push(chunk.toString("latin1")));
      socket.once("data", () => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    });
    const proxy = await ProxyUnderTest.start({ yaml: yamlOf(service({ name: "reviews", endpoints: [{ port: plain.port, isMesh: true }] })) });
    expect((await ask(proxy.connectOutbound({ address: "10.96.0.10", port: 9080 }))).status).toBe(503);
    expect(heard.join("")).not.toContain("GET");
    proxy.stop();
    plain.close();
  });
});

describe("what a caller must prove", () => {
  let application: TestApplication;
  let opaque: Awaited<ReturnType<typeof rawServer>>;
  let proxy: ProxyUnderTest;

  const resources = (...more: readonly Resource[]): string => yamlOf(
    service({ name: "reviews", targetPort: application.port, endpoints: [{ port: application.port, isMesh: true }] }),
    service({ name: "db", clusterIP: "10.96.0.12", port: 6379, portName: "tcp", targetPort: opaque.port, selector: { app: "reviews" }, endpoints: [{ port: opaque.port, isMesh: true }] }),
    STRICT, ...more,
  );

  beforeAll(async () => {
    application = await TestApplication.start("app");
    opaque = await rawServer((socket) => socket.pipe(socket));
    proxy = await ProxyUnderTest.start({ yaml: resources(), workload: { podName: "reviews-1", labels: { app: "reviews" }, serviceAccount: "reviews" } });
  });

  afterAll(() => {
    proxy.stop();
    application.stop();
    opaque.close();
  });

  const connect = (options: MeshClientOptions, port = application.port): TLSSocket => {
    const raw = proxy.connectInbound(port);
    raw.on("error", () => raw.destroy());
    return meshClient(raw, options);
  };
  /** What comes back; empty when the connection was refused, in whichever way TLS words it. */
  const tell = (socket: TLSSocket, text: string, until?: (received: string) => boolean): Promise<string> => exchange(socket, text, until).catch(() => "");

  it.each([
    ["a foreign trust domain", { spiffeId: "spiffe://foreign.example/ns/default/sa/productpage", ca: foreignCa }],
    ["our trust domain by a foreign authority", { spiffeId: "spiffe://cluster.local/ns/default/sa/productpage", ca: foreignCa }],
    ["no certificate", { spiffeId: null }],
  ])("refuses a peer with %s", async (_what, options) => {
    const before = proxy.logLines.length;
    expect(await tell(connect(options), GET)).toBe("");
    expect(application.requests).toHaveLength(0);
    await eventually(() => proxy.logLines.slice(before).some((line) => line.includes("connection refused")), "the refusal was logged");
    expect(await proxy.metrics()).toMatch(/tls_/);
  });

  it("accepts a certificate of ours in the domain of an alias only when the mesh has that alias", async () => {
    const options = { spiffeId: "spiffe://old.example/ns/default/sa/productpage" };
    expect(await tell(connect(options), GET)).toBe("");
    await proxy.apply(resources(meshConfig({ trustDomain: "cluster.local", trustDomainAliases: ["old.example"] })));
    expect(statusOf(await tell(connect(options), GET))).toBe(200);
    await proxy.apply(resources());
  });

  it("tells the application who called, and nothing a client made up", async () => {
    const forged = `GET /forged HTTP/1.1\r\nHost: reviews\r\nX-Envoy-Peer-Metadata: Cg==\r\nX-Envoy-Peer-Metadata-Id: sidecar~x\r\nX-Envoy-Internal: true\r\nConnection: close\r\n\r\n`;
    expect(statusOf(await tell(connect({}), forged))).toBe(200);
    const request = application.requests.at(-1);
    expect(request?.headers["x-forwarded-client-cert"]).toMatch(/^By=spiffe:\/\/cluster\.local\/ns\/default\/sa\/reviews;Hash=[0-9a-f]{64};Subject="";URI=spiffe:\/\/cluster\.local\/ns\/default\/sa\/productpage$/);
    expect(request?.rawHeaders.join("\n").toLowerCase()).not.toMatch(/x-envoy/);
  });

  it("removes a client certificate header that a plaintext client claims, in both directions", async () => {
    await proxy.apply(resources(security("PeerAuthentication", "open", { selector: { matchLabels: { app: "reviews" } }, mtls: { mode: "PERMISSIVE" } })));
    const claim = { "X-Forwarded-Client-Cert": "By=spiffe://x;URI=spiffe://cluster.local/ns/default/sa/admin" };
    await ask(proxy.connectInbound(application.port), { headers: claim });
    expect(application.requests.at(-1)?.headers["x-forwarded-client-cert"]).toBeUndefined();
    await proxy.apply(resources());
    const pair = await ProxyPair.start({ port: application.port });
    await ask(pair.connect(), { headers: claim });
    expect(application.requests.at(-1)?.headers["x-forwarded-client-cert"]).toMatch(/^By=spiffe:\/\/cluster\.local\/ns\/default\/sa\/reviews;[^,]*sa\/productpage$/);
    pair.stop();
  });

  describe("AuthorizationPolicy", () => {
    const as = (account: string, namespace = "default"): MeshClientOptions => ({ spiffeId: `spiffe://cluster.local/ns/${namespace}/sa/${account}` });
    const send = async (client: MeshClientOptions, path = "/", method = "GET"): Promise<number> =>
      statusOf(await tell(connect(client), `${method} ${path} HTTP/1.1\r\nHost: reviews\r\nConnection: close\r\n\r\n`));
    const policy = (name: string, spec: object) => security("AuthorizationPolicy", name, { selector: { matchLabels: { app: "reviews" } }, ...spec });

    it("allows by principal, namespace, method and path, all of a rule and any of the rules", async () => {
      await proxy.apply(resources(policy("viewers", {
        action: "ALLOW",
        rules: [
          { from: [{ source: { principals: ["cluster.local/ns/default/sa/productpage"] } }], to: [{ operation: { methods: ["GET"], paths: ["/reviews*"] } }] },
          { from: [{ source: { namespaces: ["ops"] } }] },
        ],
      })));
      expect(await send(as("productpage"), "/reviews/1")).toBe(200);
      expect(await send(as("productpage"), "/reviews/1", "DELETE")).toBe(403);
      expect(await send(as("productpage"), "/admin")).toBe(403);
      expect(await send(as("other"), "/reviews/1")).toBe(403);
      expect(await send(as("anyone", "ops"), "/admin", "DELETE")).toBe(200);
    });

    it("denies before it allows, and what it judged is what is sent", async () => {
      await proxy.apply(resources(
        policy("all", { action: "ALLOW", rules: [{}] }),
        policy("no-admin", { action: "DENY", rules: [{ to: [{ operation: { paths: ["/admin*"] } }] }] }),
      ));
      const before = application.requests.length;
      expect(await send(as("productpage"), "/public")).toBe(200);
      for (const path of ["/admin", "/public/../admin", "/%61dmin", "//admin", "/public/..%2fadmin", "/public\\..\\admin"]) {
        expect([path, await send(as("productpage"), path)]).toEqual([path, 403]);
      }
      expect(application.requests.slice(before).map(({ url }) => url)).toEqual(["/public"]);
      const answer = await tell(connect(as("productpage")), "GET /admin HTTP/1.1\r\nHost: reviews\r\nConnection: close\r\n\r\n");
      expect(answer).toMatch(/\r\n\r\nRBAC: access denied$/);
      expect(proxy.accessLog.at(-1)).toMatchObject({
        response_code: 403, response_flags: "-", response_code_details: "rbac_access_denied_matched_policy[ns[default]-policy[no-admin]-rule[0]]",
        peer_principal: "spiffe://cluster.local/ns/default/sa/productpage",
      });
    });

    it("allows nobody with an empty policy", async () => {
      await proxy.apply(resources(policy("nobody", {})));
      expect(await send(as("productpage"))).toBe(403);
      expect(proxy.accessLog.at(-1)).toMatchObject({ response_code_details: "rbac_access_denied_matched_policy[none]" });
    });

    it("judges opaque connections by principal, and closes them without a byte", async () => {
      await proxy.apply(resources(policy("db", { action: "ALLOW", rules: [{ from: [{ source: { principals: ["cluster.local/ns/default/sa/productpage"] } }] }] })));
      const echo = (client: MeshClientOptions): Promise<string> => tell(connect({ ...client, alpn: ISTIO_TCP }, opaque.port), "ping", (received) => received === "ping");
      expect(await echo(as("productpage"))).toBe("ping");
      expect(await echo(as("other"))).toBe("");
      expect(proxy.logLines.at(-1)).toContain("rbac_access_denied");
    });

    it("judges the next request by the next policy, on a connection that is open", async () => {
      await proxy.apply(resources());
      const socket = connect(as("productpage"));
      let received = "";
      socket.on("data", (chunk: Buffer) => (received += chunk.toString("latin1")));
      socket.write("GET /1 HTTP/1.1\r\nHost: reviews\r\n\r\n");
      await eventually(() => received.endsWith("app"), "the first request was answered");
      await proxy.apply(resources(policy("nobody", {})));
      received = "";
      socket.write("GET /2 HTTP/1.1\r\nHost: reviews\r\n\r\n");
      await eventually(() => received.endsWith("RBAC: access denied"), "the second was refused");
      socket.destroy();
    });
  });
});
