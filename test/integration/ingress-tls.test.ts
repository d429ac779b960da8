import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request as httpsRequest } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls, type ConnectionOptions } from "node:tls";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { systemClock } from "../../src/core/clock.ts";
import { DevelopmentCa } from "../../src/identity/development-ca.ts";
import { asSocket, HboneClient } from "./hbone-client.ts";
import { ISTIO_HTTP } from "./mesh-client.ts";
import { networking, security, yamlOf } from "./mesh-resources.ts";
import { eventually, exchange, ProxyUnderTest, rawServer } from "./proxy-under-test.ts";
import { TestApplication } from "./test-application.ts";

/* TLS that a Sidecar's ingress entry has for callers from outside of the mesh: the end of spec/02 2.7. */

const partners = DevelopmentCa.create("partners.example", systemClock);
const strangers = DevelopmentCa.create("strangers.example", systemClock);
const PARTNER = "spiffe://partners.example/ns/a/sa/b";

describe("TLS of an ingress entry", () => {
  let directory: string;
  let application: TestApplication;
  let echo: Awaited<ReturnType<typeof rawServer>>;
  let proxy: ProxyUnderTest;

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), "ingress-tls-"));
    const own = partners.issue("spiffe://partners.example/ns/own/sa/own");
    writeFileSync(join(directory, "cert.pem"), own.certificateChainPem);
    writeFileSync(join(directory, "key.pem"), own.privateKeyPem, { mode: 0o600 });
    writeFileSync(join(directory, "ca.pem"), partners.rootPem);
    application = await TestApplication.start("application");
    echo = await rawServer((socket) => void socket.on("data", (chunk: Buffer) => socket.write(chunk)));
    proxy = await ProxyUnderTest.start({ yaml: yaml("DISABLE"), workload: { podName: "reviews-1", labels: { app: "reviews" }, serviceAccount: "reviews" } });
  });
  afterAll(() => {
    proxy.stop();
    application.stop();
    echo.close();
    rmSync(directory, { recursive: true });
  });

  const files = (more: Readonly<Record<string, string>> = {}) => ({ serverCertificate: join(directory, "cert.pem"), privateKey: join(directory, "key.pem"), ...more });
  function yaml(mode: string, tls: Readonly<Record<string, unknown>> = { mode: "SIMPLE", ...files() }): string {
    return yamlOf(
      networking("Sidecar", "reviews", {
        workloadSelector: { labels: { app: "reviews" } },
        ingress: [
          { port: { number: application.port, protocol: "HTTPS", name: "https" }, defaultEndpoint: `127.0.0.1:${application.port}`, captureMode: "IPTABLES", tls },
          { port: { number: echo.port, protocol: "TLS", name: "tls" }, defaultEndpoint: `127.0.0.1:${echo.port}`, captureMode: "IPTABLES", tls },
        ],
        egress: [{ hosts: ["*/*"] }],
      }),
      security("PeerAuthentication", "default", { mtls: { mode } }),
    );
  }
  const mutual = () => ({ mode: "MUTUAL", ...files({ caCertificates: join(directory, "ca.pem") }) });
  const shown = (ca: DevelopmentCa, spiffeId: string): ConnectionOptions => {
    const { certificateChainPem, privateKeyPem } = ca.issue(spiffeId);
    return { cert: certificateChainPem, key: privateKeyPem };
  };
  const client = (port: number, options: ConnectionOptions = {}) => {
    const raw = proxy.connectInbound(port);
    raw.on("error", () => undefined);
    return connectTls({ socket: raw, ca: partners.rootPem, checkServerIdentity: () => undefined, servername: "reviews.example", ...options });
  };

  /** Status of an answer, or what the client met instead. */
  function ask(options: ConnectionOptions = {}): Promise<number | string> {
    return new Promise((resolve) => {
      const socket = client(application.port, options);
      const request = httpsRequest({ createConnection: () => socket, path: "/", headers: { host: "reviews.example", "x-forwarded-client-cert": "URI=spiffe://cluster.local/ns/default/sa/admin" } });
      request.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
      request.on("response", (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      request.end();
    });
  }
  const counted = async (reason: string): Promise<number> => Number(new RegExp(`^outrider_connections_refused_total\\{direction="inbound",reason="${reason}"\\} (\\d+)`, "m").exec(await proxy.metrics())?.[1] ?? 0);

  it("is terminated with mutual TLS off: HTTPS is HTTP to the application, without an identity", async () => {
    await proxy.apply(yaml("DISABLE"));
    expect(await ask()).toBe(200);
    const { headers } = application.requests.at(-1) ?? {};
    expect([headers?.["x-forwarded-proto"], headers?.["x-forwarded-client-cert"]]).toEqual(["https", undefined]);
    await eventually(() => proxy.accessLog.length > 0, "the access log");
    expect(proxy.accessLog.at(-1)).toMatchObject({ requested_server_name: "reviews.example", peer_principal: null, response_code: 200 });
  });

  it("TLS is opaque bytes to the application", async () => {
    await proxy.apply(yaml("DISABLE"));
    expect(await exchange(client(echo.port), "\x00 ping", (text) => text.endsWith("ping"))).toBe("\x00 ping");
  });

  it("plaintext is refused, and the application does not hear of it", async () => {
    await proxy.apply(yaml("DISABLE"));
    const before = [await counted("plaintext_on_tls_port"), application.requests.length] as const;
    for (const port of [application.port, echo.port]) expect(await exchange(proxy.connectInbound(port), "GET / HTTP/1.1\r\nHost: a\r\n\r\n").catch(() => "")).toBe("");
    await eventually(async () => (await counted("plaintext_on_tls_port")) === before[0] + 2, "both were counted");
    expect(application.requests.length).toBe(before[1]);
    expect(proxy.accessLog.at(-1)).toMatchObject({ response_flags: "NR", response_code_details: "filter_chain_not_found" });
  });

  it("MUTUAL: only whom its own authorities vouch for is let in, and is nobody of the mesh", async () => {
    await proxy.apply(yaml("DISABLE", mutual()));
    expect(await ask(shown(partners, PARTNER))).toBe(200);
    expect(proxy.accessLog.at(-1)).toMatchObject({ peer_principal: null });
    const before = application.requests.length;
    expect(await ask()).toBeTypeOf("string");
    expect(await ask(shown(strangers, "spiffe://strangers.example/ns/a/sa/b"))).toBeTypeOf("string");
    await eventually(async () => (await counted("tls_peer_no_certificate")) > 0 && (await counted("tls_peer_unknown_ca")) > 0, "both refusals were counted");
    expect(application.requests.length).toBe(before);
  });

  it.each([["PERMISSIVE", 1], ["STRICT", 2]])("has no effect under %s: TLS is that of the mesh, or under PERMISSIVE the application's own", async (mode, refused) => {
    await proxy.apply(yaml(mode));
    const before = await counted("tls_peer_no_certificate");
    expect(await ask({ rejectUnauthorized: false })).toBeTypeOf("string");
    expect(await ask({ rejectUnauthorized: false, ALPNProtocols: [...ISTIO_HTTP] })).toBeTypeOf("string");
    await eventually(async () => (await counted("tls_peer_no_certificate")) === before + refused, "mesh TLS was refused for want of a certificate");
  });

  it("a file that is not there refuses connections, and never opens the port in plaintext", async () => {
    await proxy.apply(yaml("DISABLE", { mode: "SIMPLE", ...files({ serverCertificate: join(directory, "gone.pem") }) }));
    expect(await ask()).toBeTypeOf("string");
    await eventually(async () => (await counted("tls_no_identity")) > 0, "it was counted");
    expect(await exchange(proxy.connectInbound(application.port), "GET / HTTP/1.1\r\nHost: a\r\n\r\n").catch(() => "")).toBe("");
  });

  it("has the cipher suites of the mesh, none without forward secrecy or in CBC mode", async () => {
    await proxy.apply(yaml("DISABLE"));
    for (const ciphers of ["ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-CCM8", "AES128-GCM-SHA256"]) expect(await ask({ maxVersion: "TLSv1.2", ciphers }), ciphers).toBeTypeOf("string");
    expect(await ask({ maxVersion: "TLSv1.2", ciphers: "ECDHE-ECDSA-AES128-GCM-SHA256" })).toBe(200);
  });

  it("is not asked of ambient peers, whose tunnel is mutual TLS of the mesh; policies on principals are for them", async () => {
    const through = async (spiffeId: string): Promise<string> => {
      const peer = new HboneClient(proxy.hbonePort, { spiffeId });
      const tunnel = await peer.open(`127.0.0.1:${echo.port}`).catch(() => null);
      const answer = tunnel?.status === 200 ? await exchange(asSocket(tunnel), "ping", (text) => text === "ping").catch(() => "") : "";
      peer.close();
      return answer;
    };
    await proxy.apply(yaml("DISABLE", mutual()));
    expect(await through("spiffe://cluster.local/ns/default/sa/ambient")).toBe("ping");
    const partnersOnly = security("AuthorizationPolicy", "not-the-mesh", { action: "DENY", rules: [{ from: [{ source: { principals: ["*"] } }] }] });
    await proxy.apply(`${yaml("DISABLE", mutual())}\n---\n${yamlOf(partnersOnly)}`);
    expect(await through("spiffe://cluster.local/ns/default/sa/ambient")).toBe("");
    expect(await ask(shown(partners, PARTNER))).toBe(200);
  });

  it("takes TLS 1.3 alone where it says so", async () => {
    await proxy.apply(yaml("DISABLE", { mode: "SIMPLE", ...files(), minProtocolVersion: "TLSV1_3" }));
    expect(await ask({ maxVersion: "TLSv1.2" })).toBeTypeOf("string");
    expect(await ask()).toBe(200);
  });
});
