import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:https";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { systemClock } from "../../src/core/clock.ts";
import { DevelopmentCa } from "../../src/identity/development-ca.ts";
import { authorityKey, bundleDocument } from "../unit/identity/test-mesh.ts";
import { freePort } from "./free-port.ts";
import { ask } from "./http-client.ts";
import { meshClient, type MeshClientOptions } from "./mesh-client.ts";
import { meshConfig, networking, portOf, type Resource, security, service, yamlOf } from "./mesh-resources.ts";
import { ProxyPair, STRICT } from "./proxy-pair.ts";
import { eventually, exchange, statusOf, testCa } from "./proxy-under-test.ts";
import { RunningProxy } from "./running-proxy.ts";
import { TestApplication } from "./test-application.ts";

/* Trust domains beside ours: who vouches for whom, in the program as operators run it and between two sidecars (spec/05 5.1). */

const OWN = "cluster.local";
const PARTNER = "partner.example";
const GET = "GET /a HTTP/1.1\r\nHost: reviews\r\nConnection: close\r\n\r\n";
const idIn = (trustDomain: string, account = "productpage"): string => `spiffe://${trustDomain}/ns/default/sa/${account}`;
const partnerCa = DevelopmentCa.create(PARTNER, systemClock);
const otherOwnCa = DevelopmentCa.create(OWN, systemClock);

let application: TestApplication;

beforeAll(async () => {
  application = await TestApplication.start("app");
});

afterAll(() => application.stop());

describe("a running proxy", () => {
  let ingress: number;
  let proxy: RunningProxy;

  beforeEach(async () => {
    ingress = await freePort();
  });

  afterEach(() => proxy.stop());

  const filesFor = (mesh: Resource | null, ...more: readonly Resource[]): Record<string, string> => ({
    "all.yaml": yamlOf(networking("Sidecar", "default", {
      ingress: [{ port: { number: ingress, protocol: "HTTP", name: "http" }, bind: "127.0.0.1", defaultEndpoint: `127.0.0.1:${application.port}` }],
    }), STRICT, ...more, ...(mesh === null ? [] : [meshConfig(mesh)])),
  });

  /** Status of a request over mesh TLS by whoever holds a certificate of `ca` for `spiffeId`; 0 when the peer was refused. */
  async function callAs(spiffeId: string, ca: DevelopmentCa): Promise<number> {
    const raw: Socket = connect(ingress, "127.0.0.1");
    raw.on("error", () => raw.destroy());
    const socket: TLSSocket = meshClient(raw, { spiffeId, ca } satisfies MeshClientOptions);
    const answer = await exchange(socket, GET).catch(() => "");
    return answer === "" ? 0 : statusOf(answer);
  }

  /** A connection that has had one answer and stays. */
  function keptOpen(spiffeId: string, ca: DevelopmentCa): { readonly socket: Socket; received: string; isClosed: boolean } {
    const raw: Socket = connect(ingress, "127.0.0.1");
    raw.on("error", () => raw.destroy());
    const socket = meshClient(raw, { spiffeId, ca });
    const kept = { socket, received: "", isClosed: false };
    socket.on("error", () => undefined);
    socket.on("data", (chunk: Buffer) => (kept.received += chunk.toString("latin1")));
    socket.on("close", () => (kept.isClosed = true));
    socket.write("GET /kept HTTP/1.1\r\nHost: reviews\r\n\r\n");
    return kept;
  }

  const refusals = async (): Promise<string> => (await proxy.page("/stats/prometheus", "metrics")).text;

  it("believes the roots of caCertificates for the trust domains they name, and for no other", async () => {
    proxy = await RunningProxy.start({ files: filesFor({ caCertificates: [{ pem: partnerCa.rootPem, trustDomains: [PARTNER] }] }) });
    expect(await callAs(idIn(OWN), testCa)).toBe(200);
    expect(await callAs(idIn(PARTNER), partnerCa)).toBe(200);
    expect(application.requests.at(-1)?.headers["x-forwarded-client-cert"]).toContain(`URI=${idIn(PARTNER)}`);
    // A federated authority that issues our names, ours that issues theirs, and theirs for a third domain.
    expect(await callAs(idIn(OWN), partnerCa)).toBe(0);
    expect(await callAs(idIn(PARTNER), testCa)).toBe(0);
    expect(await callAs(idIn("third.example"), partnerCa)).toBe(0);
    expect(await refusals()).toMatch(/tls_peer_unknown_ca/);
    expect(await refusals()).toMatch(/tls_peer_wrong_trust_domain/);
    // Policies are compiled again for a domain that is new; what was compiled last is what is in force.
    const inForce = (): unknown[] => proxy.log.filter(({ msg }) => msg === "configuration in force").map(({ generation }) => generation);
    expect(inForce()).toEqual([1, 2]);
    // Taken out of the configuration, it is believed no longer.
    proxy.write("all.yaml", filesFor(null)["all.yaml"] as string);
    await eventually(async () => (await callAs(idIn(PARTNER), partnerCa)) === 0, "the partner is refused");
    expect(await callAs(idIn(OWN), testCa)).toBe(200);
  });

  it("lets policies name peers of a federated trust domain", async () => {
    const policy = security("AuthorizationPolicy", "partner", { rules: [{ from: [{ source: { principals: [`${PARTNER}/ns/default/sa/productpage`] } }] }] });
    proxy = await RunningProxy.start({ files: filesFor({ caCertificates: [{ pem: partnerCa.rootPem, trustDomains: [PARTNER] }] }, policy) });
    expect(await callAs(idIn(PARTNER), partnerCa)).toBe(200);
    expect(await callAs(idIn(PARTNER, "other"), partnerCa)).toBe(403);
    expect(await callAs(idIn(OWN), testCa)).toBe(403);
  });

  it("is what a policy's pattern of trust domains, or a service account that is denied, stands for", async () => {
    const policy = security("AuthorizationPolicy", "shut", { action: "DENY", rules: [{ from: [{ source: { trustDomains: ["partner*"] } }] }] });
    const accounts = security("AuthorizationPolicy", "accounts", { action: "DENY", rules: [{ from: [{ source: { serviceAccounts: ["other"] } }] }] });
    proxy = RunningProxy.spawn({ files: filesFor(null, policy) });
    mkdirSync(join(proxy.folder, "certs", "bundles"), { recursive: true });
    writeFileSync(join(proxy.folder, "certs", "bundles", `${PARTNER}.pem`), partnerCa.rootPem);
    await eventually(async () => (await callAs(idIn(PARTNER), partnerCa)) !== 0, "the partner is believed");
    expect(await callAs(idIn(PARTNER), partnerCa)).toBe(403);
    expect(await callAs(idIn(OWN), testCa)).toBe(200);
    proxy.write("all.yaml", filesFor(null, accounts)["all.yaml"] as string);
    await eventually(async () => (await callAs(idIn(PARTNER), partnerCa)) === 200, "the other policy is in force");
    expect(await callAs(idIn(PARTNER, "other"), partnerCa)).toBe(403);
  });

  it("believes roots without a trust domain for our own, also those of caCertificatesPem, and warns of certSigners", async () => {
    const signed = { pem: partnerCa.rootPem, trustDomains: [PARTNER], certSigners: ["example.com/signer"] };
    proxy = await RunningProxy.start({ files: filesFor({ defaultConfig: { caCertificatesPem: [otherOwnCa.rootPem] }, caCertificates: [signed] }) });
    expect(await callAs(idIn(OWN), otherOwnCa)).toBe(200);
    expect(await callAs(idIn(OWN), testCa)).toBe(200);
    expect(await callAs(idIn(PARTNER), otherOwnCa)).toBe(0);
    expect(await callAs(idIn(PARTNER), partnerCa)).toBe(0);
    await proxy.logged("caCertificates[0].certSigners", "SECURITY");
  });

  it("reads bundles/TRUST-DOMAIN.json beside the certificates; without keys it revokes the domain within a second or so", async () => {
    proxy = RunningProxy.spawn({ files: filesFor(null) });
    const bundle = join(proxy.folder, "certs", "bundles", `${PARTNER}.json`);
    mkdirSync(join(proxy.folder, "certs", "bundles"), { recursive: true });
    writeFileSync(bundle, bundleDocument([authorityKey(partnerCa.rootPem)], { spiffe_sequence: 5 }));
    await eventually(async () => (await callAs(idIn(PARTNER), partnerCa)) === 200, "the partner is believed");
    expect(await callAs(idIn(OWN), partnerCa)).toBe(0);
    const open = [idIn(PARTNER), idIn(OWN)].map((id) => keptOpen(id, id === idIn(OWN) ? testCa : partnerCa));
    await eventually(() => open.every(({ received }) => received.endsWith("app")), "both were answered");
    writeFileSync(bundle, bundleDocument([], { spiffe_sequence: 6 }));
    await eventually(async () => (await callAs(idIn(PARTNER), partnerCa)) === 0, "the partner is refused");
    expect(await callAs(idIn(OWN), testCa)).toBe(200);
    await eventually(() => open[0]?.isClosed === true, "the partner's open connection is closed");
    expect(open[1]?.isClosed).toBe(false);
    for (const { socket } of open) socket.destroy();
    // Whoever replays the old bundle gets nothing back.
    writeFileSync(bundle, bundleDocument([authorityKey(partnerCa.rootPem)], { spiffe_sequence: 5 }));
    await proxy.logged("bundles/partner.example.json", "has spiffe_sequence 5 though 6 was in force");
    expect(await callAs(idIn(PARTNER), partnerCa)).toBe(0);
  });
});

describe("a trust bundle at a URL", () => {
  const webCa = DevelopmentCa.create("web.test", systemClock);
  let answer: string | null;
  let fetches = 0;
  let delayMs = 0;
  const issued = webCa.issue("", { uris: [], dnsNames: ["localhost"] });
  const endpoint = createServer({ cert: issued.certificateChainPem, key: issued.privateKeyPem }, (_request, response) => {
    fetches++;
    setTimeout(() => {
      if (answer === null) response.writeHead(500).end();
      else response.end(answer);
    }, delayMs);
  });
  const folder = mkdtempSync(join(tmpdir(), "outrider-federation-"));
  let proxy: RunningProxy;

  beforeAll(() => new Promise<void>((resolve) => {
    endpoint.listen(0, "127.0.0.1", resolve);
  }));

  afterEach(() => {
    delayMs = 0;
    return proxy.stop();
  });

  afterAll(() => {
    endpoint.closeAllConnections();
    endpoint.close();
    rmSync(folder, { recursive: true });
  });

  /** `more` stands beside the URL in the entry. */
  async function start(flags: readonly string[], more: Resource = {}): Promise<(spiffeId: string, ca: DevelopmentCa) => Promise<number>> {
    const ingress = await freePort();
    const roots = join(folder, "web.pem");
    writeFileSync(roots, webCa.rootPem);
    const sidecar = networking("Sidecar", "default", {
      ingress: [{ port: { number: ingress, protocol: "HTTP", name: "http" }, bind: "127.0.0.1", defaultEndpoint: `127.0.0.1:${application.port}` }],
    });
    const mesh = meshConfig({ caCertificates: [{ spiffeBundleUrl: `localhost:${portOf(endpoint)}/bundle`, trustDomains: [PARTNER], ...more }] });
    proxy = await RunningProxy.start({ files: { "all.yaml": yamlOf(sidecar, STRICT, mesh) }, flags, environment: { NODE_EXTRA_CA_CERTS: roots } });
    return async (spiffeId, ca) => {
      const raw = connect(ingress, "127.0.0.1");
      raw.on("error", () => raw.destroy());
      const text = await exchange(meshClient(raw, { spiffeId, ca }), GET).catch(() => "");
      return text === "" ? 0 : statusOf(text);
    };
  }

  it("is there when the proxy is ready, in every data thread", async () => {
    answer = bundleDocument([authorityKey(partnerCa.rootPem)]);
    // Longer than all else that a start waits for.
    delayMs = 1000;
    fetches = 0;
    const callAs = await start(["--jwks-allow", "127.0.0.0/8", "--concurrency", "2"]);
    const statuses = await Promise.all(Array.from({ length: 12 }, () => callAs(idIn(PARTNER), partnerCa)));
    expect([statuses, fetches]).toEqual([statuses.map(() => 200), 1]);
    expect(await callAs(idIn(OWN), partnerCa)).toBe(0);
    expect(await callAs(idIn(PARTNER), testCa)).toBe(0);
    const { text } = await proxy.page("/stats/prometheus", "metrics");
    expect(text).toMatch(/outrider_trust_bundle_fetches_total\{outcome="success"\} 1/);
    expect(text).toMatch(/outrider_trust_bundle_fetches_total\{outcome="failure"\} 0/);
    expect(JSON.parse((await proxy.page("/certs")).text)).toMatchObject({ trustBundles: [{ hasBundle: true, failures: 0 }] });
  });

  it("that has no keys any more revokes the domain, at the latest when a reload asks for it, and an older one brings nothing back", async () => {
    answer = bundleDocument([authorityKey(partnerCa.rootPem)], { spiffe_sequence: 7, spiffe_refresh_hint: 86_400 });
    const callAs = await start(["--jwks-allow", "127.0.0.0/8"]);
    expect(await callAs(idIn(PARTNER), partnerCa)).toBe(200);
    answer = bundleDocument([], { spiffe_sequence: 8 });
    proxy.program.signal("SIGHUP");
    await eventually(async () => (await callAs(idIn(PARTNER), partnerCa)) === 0, "the partner is refused");
    answer = bundleDocument([authorityKey(partnerCa.rootPem)], { spiffe_sequence: 7 });
    proxy.program.signal("SIGHUP");
    await proxy.logged("trust bundle not fetched", "has spiffe_sequence 7 though 8 was in force");
    expect(await callAs(idIn(PARTNER), partnerCa)).toBe(0);
    expect(await callAs(idIn(OWN), testCa)).toBe(200);
  });

  it("that came once is kept over a restart with --state, and so is its sequence", async () => {
    const flags = ["--jwks-allow", "127.0.0.0/8", "--state", join(folder, "state")];
    answer = bundleDocument([authorityKey(partnerCa.rootPem)], { spiffe_sequence: 7 });
    expect(await (await start(flags))(idIn(PARTNER), partnerCa)).toBe(200);
    await proxy.program.stop("SIGTERM");
    await proxy.stop();
    answer = bundleDocument([], { spiffe_sequence: 6 });
    const callAs = await start(flags);
    await proxy.logged("trust bundle kept from disk", "stale");
    await proxy.logged("trust bundle not fetched", "has spiffe_sequence 6 though 7 was in force", "the last good one is used");
    expect(await callAs(idIn(PARTNER), partnerCa)).toBe(200);
    expect(JSON.parse((await proxy.page("/certs")).text)).toMatchObject({ trustBundles: [{ hasBundle: true, fromDisk: true, failures: expect.any(Number) as unknown }] });
  });

  it("is as it was after a restart that finds its endpoint down and the mesh's configuration broken", async () => {
    const flags = ["--jwks-allow", "127.0.0.0/8", "--state", join(folder, "state-of-broken")];
    answer = bundleDocument([authorityKey(partnerCa.rootPem)], { spiffe_sequence: 7 });
    expect(await (await start(flags))(idIn(PARTNER), partnerCa)).toBe(200);
    await proxy.program.stop("SIGTERM");
    await proxy.stop();
    answer = null;
    const callAs = await start(flags, { pem: "broken" });
    await proxy.logged("configuration problem", "set only one of pem and spiffeBundleUrl");
    expect([await callAs(idIn(PARTNER), partnerCa), await callAs(idIn(OWN), testCa)]).toEqual([200, 200]);
    expect([await callAs(idIn(OWN), partnerCa), await callAs(idIn(PARTNER), testCa)]).toEqual([0, 0]);
  });

  it("that never came keeps nobody waiting, and nobody is believed for it, by our own roots least of all", async () => {
    answer = null;
    const callAs = await start(["--jwks-allow", "127.0.0.0/8"]);
    expect(await callAs(idIn(PARTNER), partnerCa)).toBe(0);
    expect(await callAs(idIn(PARTNER), testCa)).toBe(0);
    expect(await callAs(idIn(OWN), testCa)).toBe(200);
    await proxy.logged("trust bundle not fetched", "answered 500", "nobody is believed for it");
  });

  it("hostile row B29: on this host is not fetched, unless that is allowed", async () => {
    answer = bundleDocument([authorityKey(partnerCa.rootPem)]);
    fetches = 0;
    const callAs = await start([]);
    expect([await callAs(idIn(PARTNER), partnerCa), fetches]).toEqual([0, 0]);
    await proxy.logged("trust bundle not fetched", "is not fetched from");
  });
});

describe("a callee of a federated trust domain", () => {
  const federated = [{ trustDomain: PARTNER, pem: partnerCa.rootPem }];
  const toPartner = (...names: string[]): Resource => networking("DestinationRule", "reviews", {
    host: "reviews", trafficPolicy: { tls: { mode: "ISTIO_MUTUAL", ...(names.length === 0 ? {} : { subjectAltNames: names }) } },
  });
  let pair: ProxyPair;

  afterEach(() => pair.stop());

  const aliases = (...trustDomainAliases: string[]): Resource => meshConfig({ trustDomainAliases });

  async function start(resources: readonly Resource[]): Promise<void> {
    pair = await ProxyPair.start({ port: application.port, resources: [STRICT, ...resources] });
    trustPartner(true);
  }

  /** The caller gets a new certificate, and believes the partner's bundle or has none. No connection of before is used again. */
  const trustPartner = (isFederated: boolean): void => pair.caller.useIdentity(idIn(OWN), testCa, testCa.rootPem, isFederated ? federated : []);
  /** The callee shows a certificate of `ca`, and believes us. */
  const callee = (spiffeId: string, ca: DevelopmentCa): void => {
    pair.callee.useIdentity(spiffeId, ca, ca.rootPem, [{ trustDomain: OWN, pem: testCa.rootPem }]);
  };

  it("is called by the identities that its DestinationRule names", async () => {
    await start([toPartner(idIn(PARTNER, "reviews"))]);
    callee(idIn(PARTNER, "reviews"), partnerCa);
    expect((await ask(pair.connect())).status).toBe(200);
    callee(idIn(PARTNER, "other"), partnerCa);
    trustPartner(true);
    expect((await ask(pair.connect())).body).toContain("tls_peer_identity_mismatch");
  });

  it("is refused with its own name by an authority of ours, and with our name by its own", async () => {
    await start([toPartner(idIn(PARTNER, "reviews"), idIn(OWN, "reviews"))]);
    pair.callee.useIdentity(idIn(PARTNER, "reviews"), testCa);
    expect((await ask(pair.connect())).body).toContain("tls_peer_unknown_ca");
    pair.callee.useIdentity(idIn(OWN, "reviews"), partnerCa);
    expect((await ask(pair.connect())).body).toContain("tls_peer_unknown_ca");
  });

  it("is not taken for the workload of our domain that has the same account", async () => {
    await start([]);
    callee(idIn(PARTNER, "reviews"), partnerCa);
    expect((await ask(pair.connect())).body).toContain("tls_peer_identity_mismatch");
  });

  it("in an alias of ours, with the same account: by our roots while it has no bundle, and by its own alone once it has one", async () => {
    await start([aliases(PARTNER)]);
    trustPartner(false);
    callee(idIn(PARTNER, "reviews"), testCa);
    expect((await ask(pair.connect())).status).toBe(200);
    trustPartner(true);
    expect((await ask(pair.connect())).body).toContain("tls_peer_unknown_ca");
    callee(idIn(PARTNER, "reviews"), partnerCa);
    expect((await ask(pair.connect())).status).toBe(200);
  });

  it("is not reached over a connection of before once its trust domain is no alias any more", async () => {
    const resources = (...more: readonly Resource[]): string => yamlOf(
      service({ name: "reviews", targetPort: application.port, endpoints: [{ port: pair.callee.inboundPort, isMesh: true }] }), STRICT, toPartner(idIn(PARTNER, "reviews")), ...more);
    await start([toPartner(idIn(PARTNER, "reviews")), aliases(PARTNER)]);
    trustPartner(false);
    callee(idIn(PARTNER, "reviews"), testCa);
    expect((await ask(pair.connect())).status).toBe(200);
    await pair.caller.apply(resources(aliases(PARTNER, "third.example")));
    expect((await ask(pair.connect())).status).toBe(200);
    await pair.caller.apply(resources());
    expect((await ask(pair.connect())).body).toContain("tls_peer_wrong_trust_domain");
  });
});
