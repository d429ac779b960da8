import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { ask } from "./http-client.ts";
import { ISTIO_TCP, meshClient } from "./mesh-client.ts";
import { type Resource, security, service, yamlOf } from "./mesh-resources.ts";
import { eventually, ProxyUnderTest, rawServer } from "./proxy-under-test.ts";
import { RunningProxy } from "./running-proxy.ts";

const REVIEWS = { podName: "reviews-1", serviceAccount: "reviews", labels: { app: "reviews" } };
const CALLER = "spiffe://cluster.local/ns/default/sa/productpage";
const inDryRun = (resource: Resource): Resource => ({ ...resource, metadata: { ...resource["metadata"] as object, annotations: { "istio.io/dry-run": "true" } } });
const paths = (...list: readonly string[]) => ({ to: [{ operation: { paths: list } }] });

/** An application that answers every request `ok`, and takes opaque bytes as they come. */
const application = () => rawServer((socket) => {
  socket.on("data", (chunk: Buffer) => {
    const requests = chunk.toString("latin1").match(/\r\n\r\n/g)?.length ?? 0;
    socket.write(requests === 0 ? chunk : "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".repeat(requests));
  });
});

describe("what a denial tells, and to whom", () => {
  let backend: Awaited<ReturnType<typeof rawServer>>;
  let proxy: ProxyUnderTest;
  const resources = (...policies: readonly Resource[]): string => yamlOf(service({ name: "reviews", targetPort: backend.port, endpoints: [{ port: backend.port }] }), policies);
  const POLICIES = [
    security("AuthorizationPolicy", "closed", { action: "DENY", rules: [paths("/closed"), paths("/admin*")] }),
    security("AuthorizationPolicy", "callers", { rules: [{ from: [{ source: { principals: ["cluster.local/ns/default/sa/productpage"] } }], to: [{ operation: { methods: ["GET"] } }] }] }),
    security("AuthorizationPolicy", "watched", { action: "AUDIT", rules: [paths("/watched", "/admin/watched")] }),
    inDryRun(security("AuthorizationPolicy", "tighter", { action: "DENY", rules: [paths("/soon")] })),
  ];

  beforeAll(async () => {
    backend = await application();
    proxy = await ProxyUnderTest.start({ yaml: resources(...POLICIES), workload: REVIEWS });
  });
  beforeEach(() => proxy.accessLog.splice(0));
  afterAll(() => {
    proxy.stop();
    backend.close();
  });

  const call = (path: string, options: { method?: string; spiffeId?: string | null; headers?: Record<string, string> } = {}) => {
    const { spiffeId = CALLER, ...question } = options;
    const raw = proxy.connectInbound(backend.port);
    return ask(spiffeId === null ? raw : meshClient(raw, { spiffeId }), { path, ...question });
  };
  const logged = async (path: string): Promise<Record<string, unknown>> => {
    await eventually(() => proxy.accessLog.some((line) => line["path"] === path), `an access-log line for ${path}`);
    return proxy.accessLog.find((line) => line["path"] === path) ?? {};
  };
  const idOf = (header: unknown): string => /^deny; id=([0-9a-z]{12})$/.exec(String(header))?.[1] ?? "";

  it("gives the caller an id, the operator the rule with its line, and the access log both", async () => {
    const answer = await call("/admin/x");
    expect([answer.status, answer.body]).toEqual([403, "RBAC: access denied"]);
    const id = idOf(answer.headers["x-outrider-authz"]);
    expect(answer.rawHeaders.join("\n")).not.toMatch(/closed|AuthorizationPolicy/);
    expect(await logged("/admin/x")).toMatchObject({
      response_code_details: "rbac_access_denied_matched_policy[ns[default]-policy[closed]-rule[1]]",
      authz: { policy: "default/closed", rule: 1, id, audit: null, dry_run: null },
    });
    expect(proxy.denial(id)).toMatchObject({
      id, protocol: "http", verdict: "ns[default]-policy[closed]-rule[1]", rule: { resource: "AuthorizationPolicy default/closed", rule: 1, file: "test.yaml", line: expect.any(Number) },
      reason: 'rule 1 denies it: to.operation.paths is "/admin/x"', nearMiss: null,
      request: { peer: CALLER, method: "GET", authority: "reviews", path: "/admin/x", port: backend.port },
    });
  });

  it("tells gRPC the same in trailers alone", async () => {
    const { status, headers, body } = await call("/closed", { method: "POST", headers: { "content-type": "application/grpc", "content-length": "0" } });
    expect([status, headers["grpc-status"], headers["grpc-message"], body]).toEqual([200, "7", "RBAC: access denied", ""]);
    expect(proxy.denial(idOf(headers["x-outrider-authz"]))).toMatchObject({ verdict: "ns[default]-policy[closed]-rule[0]" });
  });

  it("names the nearest miss where no rule allowed it", async () => {
    const { headers } = await call("/x?token=secret", { method: "POST", headers: { "content-length": "0" } });
    const record = proxy.denial(idOf(headers["x-outrider-authz"]));
    expect(record).toMatchObject({
      verdict: "none", rule: { resource: "AuthorizationPolicy default/callers", rule: 0 },
      nearMiss: [{ condition: "to.operation.methods", wanted: { values: ["GET"], notValues: [] }, got: "POST" }],
    });
    expect(JSON.stringify(record), "what policies do not look at is not kept").not.toContain("secret");
    expect(await logged("/x?token=secret")).toMatchObject({ authz: { policy: null, rule: null, id: record?.id } });
  });

  it("explains a denial by the policies that made it, until they have changed twice", async () => {
    const { headers } = await call("/closed");
    const id = idOf(headers["x-outrider-authz"]);
    const open = (name: string): Resource => security("AuthorizationPolicy", name, { rules: [{}] });
    await proxy.apply(resources(open("one")));
    expect((await call("/closed")).status).toBe(200);
    expect(proxy.denial(id)).toMatchObject({ reason: 'rule 0 denies it: to.operation.paths is "/closed"' });
    await proxy.apply(resources(open("two")));
    expect(proxy.denial(id)).toMatchObject({ verdict: "ns[default]-policy[closed]-rule[0]", reason: "rule 0 denied it; policies have changed since", rule: { line: expect.any(Number) } });
    await proxy.apply(resources(...POLICIES));
    expect(proxy.denial("unknown")).toBeNull();
  });

  it("remembers the last 256", async () => {
    const first = idOf((await call("/closed", { spiffeId: null })).headers["x-outrider-authz"]);
    const ids = new Set<string>();
    const socket = proxy.connectInbound(backend.port);
    let received = "";
    socket.on("data", (chunk: Buffer) => (received += chunk.toString("latin1")));
    // A few at a time: the pipeline of a connection is bounded.
    for (let sent = 4; sent <= 256; sent += 4) {
      socket.write("GET /closed HTTP/1.1\r\nHost: a\r\n\r\n".repeat(4));
      await eventually(() => received.split("RBAC: access denied").length > sent, "the answers");
    }
    socket.destroy();
    for (const [, id] of received.matchAll(/id=([0-9a-z]{12})/g)) ids.add(id as string);
    expect(ids.size).toBe(256);
    expect(proxy.denial(first)).toBeNull();
    for (const id of ids) expect(proxy.denial(id)).not.toBeNull();
  });

  it("marks what an AUDIT policy matches, denied or not", async () => {
    expect((await call("/watched")).status).toBe(200);
    expect(await logged("/watched")).toMatchObject({ authz: { policy: null, id: null, audit: "default/watched" } });
    expect((await call("/admin/watched")).status).toBe(403);
    expect(await logged("/admin/watched")).toMatchObject({ authz: { policy: "default/closed", audit: "default/watched" } });
    expect(await proxy.metrics()).toMatch(/outrider_authz_audited_total\{policy="default\/watched"[^}]*\} 2\n/);
    expect((await call("/")).status).toBe(200);
    expect(await logged("/")).toMatchObject({ authz: null });
  });

  it("lets pass what a policy in dry run would deny, and tells of it", async () => {
    expect((await call("/soon")).status).toBe(200);
    expect(await logged("/soon")).toMatchObject({ response_code: 200, authz: { policy: null, dry_run: "default/tighter" } });
    expect(proxy.dryRuns()).toEqual([{
      policy: "default/tighter", action: "DENY", file: "test.yaml", line: expect.any(Number), wouldDeny: 1, wouldAllow: 0,
      lastDenied: { atMs: expect.any(Number), peer: CALLER, port: backend.port, request: "GET reviews /soon" },
    }]);
    expect(proxy.logLines.some((line) => line.includes('"level":"info"') && line.includes("would deny") && line.includes("default/tighter"))).toBe(true);
    const metrics = await proxy.metrics();
    expect(metrics).toMatch(/outrider_authz_dry_run_total\{policy="default\/tighter",result="denied"[^}]*\} 1\n/);
    expect(metrics).toMatch(/envoy_http_rbac_shadow_denied\{[^}]*\} 1\n/);
    expect(metrics).toMatch(/envoy_http_rbac_denied\{/);
  });
});

describe("an ALLOW policy in dry run", () => {
  it("would deny what no ALLOW rule allows, its own or those in force", async () => {
    const backend = await application();
    const yaml = (...policies: readonly Resource[]): string => yamlOf(service({ name: "reviews", targetPort: backend.port, endpoints: [{ port: backend.port }] }), policies);
    const planned = inDryRun(security("AuthorizationPolicy", "planned", { rules: [paths("/a")] }));
    const proxy = await ProxyUnderTest.start({ yaml: yaml(planned), workload: REVIEWS });
    const call = async (path: string) => (await ask(proxy.connectInbound(backend.port), { path })).status;
    expect([await call("/a"), await call("/b")]).toEqual([200, 200]);
    expect(proxy.dryRuns()).toMatchObject([{ policy: "default/planned", action: "ALLOW", wouldAllow: 1, wouldDeny: 1 }]);
    await proxy.apply(yaml(planned, security("AuthorizationPolicy", "live", { rules: [paths("/b", "/c")] })));
    expect([await call("/b"), await call("/a")]).toEqual([200, 403]);
    expect(proxy.dryRuns(), "what another policy allows it does not deny; what none allows now, it would").toMatchObject([{ wouldAllow: 3, wouldDeny: 1 }]);
    expect(await call("/d")).toBe(403);
    expect(proxy.dryRuns(), "what is denied with it and without it is none of its doing").toMatchObject([{ wouldAllow: 3, wouldDeny: 1 }]);
    proxy.stop();
    backend.close();
  });
});

describe("B24: policies change while connections are open", () => {
  const HTTP = 200;
  let backend: Awaited<ReturnType<typeof rawServer>>;
  let proxy: ProxyUnderTest;
  const resources = (portName: string, ...policies: readonly Resource[]): string => yamlOf(service({ name: "reviews", portName, targetPort: backend.port, endpoints: [{ port: backend.port }] }), policies);

  beforeAll(async () => {
    backend = await application();
  });
  afterAll(() => backend.close());

  it("the next request of each of many keep-alive connections is judged by the new ones", async () => {
    proxy = await ProxyUnderTest.start({ yaml: resources("http"), workload: REVIEWS });
    const request = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
    const sockets = Array.from({ length: HTTP }, () => proxy.connectInbound(backend.port));
    const received = sockets.map(() => "");
    sockets.forEach((socket, index) => {
      socket.on("data", (chunk: Buffer) => (received[index] += chunk.toString("latin1")));
      socket.write(request);
    });
    await eventually(() => received.every((text) => text.endsWith("ok")), "an answer on every connection");
    await proxy.apply(resources("http", security("AuthorizationPolicy", "shut", { action: "DENY", rules: [paths("/x")] })));
    sockets.forEach((socket) => socket.write(request));
    await eventually(() => received.every((text) => text.endsWith("RBAC: access denied")), "a denial on every connection");
    for (const socket of sockets) socket.destroy();
    proxy.stop();
  });

  it("opaque connections that are now denied are closed, others go on", async () => {
    proxy = await ProxyUnderTest.start({ yaml: resources("tcp"), workload: REVIEWS });
    const open = (account: string): TLSSocket => meshClient(proxy.connectInbound(backend.port), { spiffeId: `spiffe://cluster.local/ns/default/sa/${account}`, alpn: ISTIO_TCP });
    const talk = async (socket: Socket, word: string): Promise<void> => {
      let heard = "";
      const listen = (chunk: Buffer): void => {
        heard += chunk.toString("latin1");
      };
      socket.on("data", listen);
      socket.write(word);
      await eventually(() => heard === word, `an echo of ${word}`);
      socket.off("data", listen);
    };
    const [kept, ...shut] = [open("kept"), ...Array.from({ length: 230 }, () => open("shut"))] as [TLSSocket, ...TLSSocket[]];
    let ended = 0;
    for (const socket of shut) {
      socket.on("error", () => undefined);
      socket.on("end", () => ended++);
    }
    await talk(kept, "one");
    await Promise.all(shut.map((socket) => talk(socket, "two")));
    await proxy.apply(resources("tcp", security("AuthorizationPolicy", "shut", { action: "DENY", rules: [{ from: [{ source: { serviceAccounts: ["shut"] } }] }] })));
    await eventually(() => ended === shut.length, "the end of every connection that is denied");
    await talk(kept, "three");
    await eventually(() => proxy.accessLog.length >= shut.length, "an access-log line of each");
    expect(proxy.accessLog.filter((line) => line["connection_termination_details"] === "rbac_access_denied_matched_policy[ns[default]-policy[shut]-rule[0]]")).toHaveLength(shut.length);
    expect(proxy.logLines.some((line) => line.includes("it was open when that came into force") && /id=[0-9a-z]{12}/.test(line))).toBe(true);
    for (const socket of [kept, ...shut]) socket.destroy();
    proxy.stop();
  });
});

describe("the admin port of a running proxy", () => {
  let backend: Awaited<ReturnType<typeof rawServer>>;
  let proxy: RunningProxy;
  let port = 0;

  beforeAll(async () => {
    backend = await application();
    const free = await rawServer(() => undefined);
    ({ port } = free);
    free.close();
    const sidecar = {
      apiVersion: "networking.istio.io/v1", kind: "Sidecar", metadata: { name: "reviews", namespace: "default" },
      spec: { ingress: [{ port: { number: port, protocol: "HTTP", name: "http" }, bind: "127.0.0.1", captureMode: "NONE", defaultEndpoint: `127.0.0.1:${backend.port}` }] },
    };
    proxy = await RunningProxy.start({
      files: {
        "mesh.json": yamlOf(sidecar).replaceAll("\n---\n", "\n"),
        "policy.json": yamlOf(security("AuthorizationPolicy", "closed", { action: "DENY", rules: [paths("/closed")] })),
        "planned.json": yamlOf(inDryRun(security("AuthorizationPolicy", "planned", { action: "DENY", rules: [paths("/soon")] }))),
      },
    });
  });
  afterAll(async () => {
    await proxy.stop();
    backend.close();
  });

  it("explains a denial under its id, and reports dry runs in /config/status", async () => {
    const denied = await fetch(`http://127.0.0.1:${port}/closed`);
    const id = /id=([0-9a-z]{12})/.exec(denied.headers.get("x-outrider-authz") ?? "")?.[1] ?? "";
    expect([denied.status, id.length]).toEqual([403, 12]);
    const page = await proxy.page(`/explain/${id}`);
    expect(page.status).toBe(200);
    expect(JSON.parse(page.text)).toMatchObject({ id, verdict: "ns[default]-policy[closed]-rule[0]", rule: { file: expect.stringContaining("policy.json"), line: 1 } });
    expect((await proxy.page("/explain/nothing")).status).toBe(404);
    expect((await fetch(`http://127.0.0.1:${port}/soon`)).status).toBe(200);
    const status = JSON.parse((await proxy.page("/config/status")).text) as { dryRun: unknown; objects: unknown };
    expect(status.dryRun).toEqual([expect.objectContaining({
      policy: "default/planned", action: "DENY", wouldDeny: 1, wouldAllow: 0, lastDenied: { at: expect.any(String), peer: null, port, request: `GET 127.0.0.1:${port} /soon` },
    })]);
    expect(status.objects).toContainEqual(expect.objectContaining({ name: "planned", state: "applied" }));
  });
});
