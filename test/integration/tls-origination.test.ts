import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import { ask, type HttpAnswer } from "./http-client.ts";
import { networking, type Resource, yamlOf } from "./mesh-resources.ts";
import { eventually, exchange, ProxyUnderTest, rawServer } from "./proxy-under-test.ts";
import { hasOpenssl, revokedCertificate } from "./revoked-certificate.ts";
import { outsideCa, OutsideServer, type OutsideServerOptions, plaintextWitness } from "./tls-server.ts";

/* TLS to servers outside of the mesh, over real TLS servers: spec/04 4.7. */

describe("TLS origination", () => {
  const ca = outsideCa();
  const clientCa = outsideCa();
  const directory = mkdtempSync(join(tmpdir(), "outrider-origination-"));
  const file = (name: string, text: string): string => {
    writeFileSync(join(directory, name), text);
    return join(directory, name);
  };
  const servers: OutsideServer[] = [];
  let caFile = "";
  let proxy: ProxyUnderTest;

  const server = async (options: Partial<OutsideServerOptions> = {}): Promise<OutsideServer> => {
    const started = await OutsideServer.start({ ca, dnsNames: ["api.example.com"], ...options });
    servers.push(started);
    return started;
  };

  beforeAll(() => {
    caFile = file("ca.pem", ca.rootPem);
  });
  afterEach(() => {
    proxy.stop();
    for (const started of servers.splice(0)) started.stop();
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  const entry = (port: number, change: Resource = {}): Resource => networking("ServiceEntry", "api", {
    hosts: ["api.example.com"], location: "MESH_EXTERNAL", resolution: "STATIC", endpoints: [{ address: "127.0.0.1" }],
    ports: [{ number: 80, name: "http", protocol: "HTTP", targetPort: port }], ...change,
  });
  const rule = (tls: Resource, host = "api.example.com"): Resource => networking("DestinationRule", "api", { host, trafficPolicy: { tls } });
  const start = async (...resources: readonly Resource[]): Promise<void> => {
    proxy = await ProxyUnderTest.start({ yaml: yamlOf(...resources) });
  };
  const get = (host = "api.example.com"): Promise<HttpAnswer> => ask(proxy.connectOutbound({ address: "192.0.2.1", port: 80 }), { host });
  const refusal = async (reason: string, ...words: readonly string[]): Promise<void> => {
    const answer = await get();
    expect(answer.status).toBe(503);
    const isRefused = (line: Record<string, unknown>): boolean => String(line["response_flags"]).split(",").includes("UF");
    await eventually(() => proxy.accessLog.some(isRefused), "logged as UF");
    const line = JSON.stringify(proxy.accessLog.find(isRefused));
    for (const word of [reason, ...words]) expect(line).toContain(word);
  };

  it("SIMPLE: the request's host is the server name and what the certificate must be for; no ALPN for HTTP/1", async () => {
    const outside = await server();
    await start(entry(outside.port), rule({ mode: "SIMPLE", caCertificates: caFile }));
    expect(await get()).toMatchObject({ status: 200, body: "from outside" });
    expect(await get()).toMatchObject({ status: 200 });
    expect(outside.seen[0]).toEqual({ host: "api.example.com", serverName: "api.example.com", alpn: false, clientSubject: null, httpVersion: "1.1" });
    // Connections are pooled.
    expect(outside.connections).toBe(1);
  });

  it("sni and subjectAltNames say otherwise, wildcards of a certificate count for one label (CVE-2020-15104)", async () => {
    const outside = await server({ dnsNames: ["*.internal.test"] });
    await start(entry(outside.port), rule({ mode: "SIMPLE", caCertificates: caFile, sni: "other.test", subjectAltNames: ["a.internal.test"] }));
    expect((await get()).status).toBe(200);
    expect(outside.seen[0]).toMatchObject({ serverName: "other.test", host: "api.example.com" });
    await proxy.apply(yamlOf(entry(outside.port), rule({ mode: "SIMPLE", caCertificates: caFile, subjectAltNames: ["a.b.internal.test"] })));
    await refusal("tls_peer_identity_mismatch", "a.b.internal.test", "127.0.0.1");
  });

  it("without subjectAltNames the sni must be in the certificate", async () => {
    const outside = await server();
    await start(entry(outside.port), rule({ mode: "SIMPLE", caCertificates: caFile, sni: "elsewhere.test" }));
    await refusal("tls_peer_identity_mismatch", "elsewhere.test", "api.example.com");
    expect(outside.seen).toEqual([]);
  });

  it("a URI may be expected", async () => {
    const outside = await server({ uris: ["spiffe://outside.test/ns/a/sa/b"], dnsNames: [] });
    await start(entry(outside.port), rule({ mode: "SIMPLE", caCertificates: caFile, subjectAltNames: ["spiffe://outside.test/ns/a/sa/b"] }));
    expect((await get()).status).toBe(200);
    await proxy.apply(yamlOf(entry(outside.port), rule({ mode: "SIMPLE", caCertificates: caFile, subjectAltNames: ["spiffe://outside.test/ns/a/sa/c"] })));
    await refusal("tls_peer_identity_mismatch");
  });

  it.each(["https://api.example.com/", "spiffe://api.example.com/ns/x/sa/x", "dns:api.example.com"])("CVE-2021-44531: a URI %s in a certificate is no host name", async (uri) => {
    const outside = await server({ dnsNames: [], uris: [uri] });
    await start(entry(outside.port), rule({ mode: "SIMPLE", caCertificates: caFile }));
    await refusal("tls_");
    expect(outside.seen).toEqual([]);
  });

  it("an authority that is not among caCertificates is refused, and so is one of the mesh or of the system", async () => {
    const outside = await server();
    await start(entry(outside.port), rule({ mode: "SIMPLE", caCertificates: file("other.pem", clientCa.rootPem) }));
    await refusal("tls_peer_unknown_ca", "127.0.0.1");
    await proxy.apply(yamlOf(entry(outside.port), rule({ mode: "SIMPLE" })));
    proxy.accessLog.length = 0;
    await refusal("tls_peer_unknown_ca");
    expect(outside.seen).toEqual([]);
  });

  it("an expired certificate is refused by that name", async () => {
    const outside = await server({ notBeforeMs: -7_200_000, lifetimeMs: -3_600_000 });
    await start(entry(outside.port), rule({ mode: "SIMPLE", caCertificates: caFile }));
    await refusal("tls_peer_expired", "api.example.com");
  });

  it("insecureSkipVerify believes anybody, which is a warning", async () => {
    const outside = await server({ dnsNames: ["nobody.test"] });
    await start(entry(outside.port), rule({ mode: "SIMPLE", insecureSkipVerify: true }));
    expect((await get()).status).toBe(200);
  });

  it("MUTUAL shows the client certificate; without it the server refuses", async () => {
    const outside = await server({ clientCa });
    const issued = clientCa.issue("spiffe://outside.test/ns/client/sa/client");
    const [clientCertificate, privateKey] = [file("client.pem", issued.certificateChainPem), file("client.key", issued.privateKeyPem)];
    await start(entry(outside.port), rule({ mode: "MUTUAL", caCertificates: caFile, clientCertificate, privateKey }));
    expect((await get()).status).toBe(200);
    expect(outside.seen[0]?.clientSubject).toBe("URI:spiffe://outside.test/ns/client/sa/client");
    await proxy.apply(yamlOf(entry(outside.port), rule({ mode: "SIMPLE", caCertificates: caFile })));
    expect((await get()).status).toBe(503);
    expect(outside.seen).toHaveLength(1);
  });

  it("CVE-2021-34824: the same server under the same name, asked by rules of two namespaces: each shows its own certificate and uses its own connections", async () => {
    const outside = await server({ clientCa });
    const hostOf = (namespace: string): string => `api.${namespace}.example.com`;
    const ofNamespace = (namespace: string): Resource[] => {
      const issued = clientCa.issue(`spiffe://outside.test/ns/${namespace}/sa/client`);
      const tls = {
        mode: "MUTUAL", caCertificates: caFile, sni: "api.example.com",
        clientCertificate: file(`${namespace}.pem`, issued.certificateChainPem), privateKey: file(`${namespace}.key`, issued.privateKeyPem),
      };
      const made = [entry(outside.port, { hosts: [hostOf(namespace)] }), rule(tls, hostOf(namespace))];
      return made.map((resource) => ({ ...resource, metadata: { name: "api", namespace } }));
    };
    await start(...ofNamespace("shop"), ...ofNamespace("bank"));
    for (const namespace of ["shop", "bank", "shop", "bank"]) expect((await get(hostOf(namespace))).status).toBe(200);
    expect(outside.seen.map(({ clientSubject }) => clientSubject)).toEqual(["shop", "bank", "shop", "bank"].map((namespace) => `URI:spiffe://outside.test/ns/${namespace}/sa/client`));
    expect(outside.connections).toBe(2);
  });

  it("files that are missing refuse connections by name, and are read as soon as they are there", async () => {
    const outside = await server();
    const late = join(directory, "late.pem");
    await start(entry(outside.port), rule({ mode: "SIMPLE", caCertificates: late }));
    await refusal("tls_no_identity", "late.pem does not exist");
    writeFileSync(late, ca.rootPem);
    expect((await get()).status).toBe(200);
  });

  it("HTTP/2 clusters offer h2 and nothing else", async () => {
    const outside = await server({ protocol: "http2" });
    await start(entry(outside.port, { ports: [{ number: 80, name: "http2", protocol: "HTTP2", targetPort: outside.port }] }), rule({ mode: "SIMPLE", caCertificates: caFile }));
    expect(await get()).toMatchObject({ status: 200, body: "from outside" });
    expect(outside.seen[0]).toMatchObject({ alpn: "h2", httpVersion: "2.0", serverName: "api.example.com" });
  });

  it("a wildcard host: each request's host has its own server name, verification and connections", async () => {
    const outside = await server({ dnsNames: ["a.example.com", "b.example.com"] });
    await start(entry(outside.port, { hosts: ["*.example.com"] }), rule({ mode: "SIMPLE", caCertificates: caFile }, "*.example.com"));
    for (const host of ["a.example.com", "b.example.com", "a.example.com"]) expect((await get(host)).status).toBe(200);
    expect(outside.seen.map(({ serverName }) => serverName)).toEqual(["a.example.com", "b.example.com", "a.example.com"]);
    expect(outside.connections).toBe(2);
    // A connection verified for another name does not serve it.
    expect((await get("c.example.com")).status).toBe(503);
    expect(outside.seen).toHaveLength(3);
  });

  it("opaque connections: the service's host is the name", async () => {
    const outside = await server();
    const tcp = { addresses: ["192.0.2.9"], ports: [{ number: 80, name: "tcp", protocol: "TCP", targetPort: outside.port }] };
    await start(entry(outside.port, tcp), rule({ mode: "SIMPLE", caCertificates: caFile }));
    const answer = await exchange(proxy.connectOutbound({ address: "192.0.2.9", port: 80 }), "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    expect(answer).toContain("from outside");
    expect(outside.seen[0]).toMatchObject({ serverName: "api.example.com", host: "x" });
  });

  it("resolution NONE: to the address that was dialled, verified for the host that was asked for", async () => {
    const outside = await server({ dnsNames: ["a.example.com"] });
    await start(
      networking("ServiceEntry", "api", { hosts: ["*.example.com"], location: "MESH_EXTERNAL", resolution: "NONE", ports: [{ number: outside.port, name: "http", protocol: "HTTP" }] }),
      rule({ mode: "SIMPLE", caCertificates: caFile }, "*.example.com"));
    const to = async (host: string): Promise<number> => (await ask(proxy.connectOutbound({ address: "127.0.0.1", port: outside.port }), { host })).status;
    expect([await to("a.example.com"), await to("b.example.com")]).toEqual([200, 503]);
    expect(outside.seen.map(({ serverName }) => serverName)).toEqual(["a.example.com"]);
  });

  it.each([
    ["closes", (socket: Socket) => socket.end(), "tls_handshake_closed"],
    ["resets", (socket: Socket) => socket.resetAndDestroy(), "tls_handshake_closed"],
    ["answers in plaintext", (socket: Socket) => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), "tls_handshake_failed"],
    ["sends an alert", (socket: Socket) => socket.end(Buffer.from("15030300020228", "hex")), "tls_refused_by_peer"],
  ])("a server that %s in the handshake: 503 UF with the cause", async (_what, misbehave, reason) => {
    const raw = await rawServer((socket) => socket.once("data", () => misbehave(socket)));
    await start(entry(raw.port), rule({ mode: "SIMPLE", caCertificates: caFile }));
    await refusal(reason, `127.0.0.1:${raw.port}`);
    raw.close();
  });

  it("a server that says nothing in the handshake: given up after connectTimeout", async () => {
    const raw = await rawServer((socket) => socket.resume());
    const policy = { tls: { mode: "SIMPLE", caCertificates: caFile }, connectionPool: { tcp: { connectTimeout: "0.1s" } } };
    await start(entry(raw.port), networking("DestinationRule", "api", { host: "api.example.com", trafficPolicy: policy }));
    await refusal("connection_timeout");
    raw.close();
  });

  it.skipIf(!hasOpenssl())("caCrl: a certificate on the list is refused, one beside it is not", async () => {
    const world = revokedCertificate(directory, "api.example.com");
    const outside = await server({ own: world.revoked });
    const beside = await server({ own: world.good });
    const tls = { mode: "SIMPLE", caCertificates: world.caPath, caCrl: world.crlPath };
    await start(entry(outside.port), rule(tls));
    await refusal("tls_peer_revoked", "CERT_REVOKED");
    await proxy.apply(yamlOf(entry(beside.port), rule(tls)));
    expect((await get()).status).toBe(200);
  });

  it("never falls back to plaintext, whatever listens", async () => {
    const witness = await plaintextWitness();
    await start(entry(witness.port), rule({ mode: "SIMPLE", caCertificates: caFile }));
    expect((await get()).status).toBe(503);
    expect(witness.requests()).toBe(0);
    await proxy.apply(yamlOf(entry(witness.port), rule({ mode: "SIMPLE", credentialName: "secret" })));
    expect((await get()).status).toBe(503);
    expect(witness.requests()).toBe(0);
    witness.stop();
  });
});
