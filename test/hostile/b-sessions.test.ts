import { connect as connectTls, type TLSSocket } from "node:tls";

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { systemClock } from "../../src/core/clock.ts";
import { DevelopmentCa, type IssuedCertificate } from "../../src/identity/development-ca.ts";
import { security, service, yamlOf } from "../integration/mesh-resources.ts";
import { OffsetClock } from "../integration/offset-clock.ts";
import { STRICT } from "../integration/proxy-pair.ts";
import { eventually, ProxyUnderTest, statusOf, testCa } from "../integration/proxy-under-test.ts";
import { TestApplication } from "../integration/test-application.ts";

/*
 * hostile.md B22: what a session of earlier may not carry over the day on which its certificate's authority is removed, its
 * certificate expires, a policy denies it, or another server is meant (CVE-2020-8664, CVE-2022-21654; fact 1).
 */

const REVIEWS = "spiffe://cluster.local/ns/default/sa/reviews";
const CALLER = "spiffe://cluster.local/ns/default/sa/caller";
const HOUR_MS = 3_600_000;
const VERSIONS = ["TLSv1.2", "TLSv1.3"] as const;

interface Visit {
  readonly status: number;
  readonly isReused: boolean;
  readonly session: Buffer | undefined;
}

let application: TestApplication;
let proxy: ProxyUnderTest;
let clock: OffsetClock;
const resources = (...more: Readonly<Record<string, unknown>>[]): string => yamlOf(service({ name: "reviews", endpoints: [{ port: application.port, isMesh: true }] }), STRICT, more);

beforeAll(async () => {
  application = await TestApplication.start("app");
});
beforeEach(async () => {
  clock = new OffsetClock();
  proxy = await ProxyUnderTest.start({ yaml: resources(), workload: { podName: "reviews-1", serviceAccount: "reviews", labels: { app: "reviews" } }, clock });
});
afterEach(() => proxy.stop());
afterAll(() => application.stop());

/** A request on a connection of its own, with whatever session there is; status 0: refused. */
function visit(version: (typeof VERSIONS)[number], issued: IssuedCertificate, session?: Buffer, servername = "reviews"): Promise<Visit> {
  return new Promise((resolve) => {
    let received = "";
    let ticket: Buffer | undefined;
    let isReused = false;
    const socket: TLSSocket = connectTls({
      socket: proxy.connectInbound(application.port), rejectUnauthorized: false, minVersion: version, maxVersion: version, ALPNProtocols: ["istio-http/1.1", "http/1.1"],
      servername, cert: issued.certificateChainPem, key: issued.privateKeyPem, ...(session === undefined ? {} : { session }),
    });
    socket.on("session", (offered: Buffer) => (ticket = offered));
    socket.on("secureConnect", () => {
      isReused = socket.isSessionReused();
      ticket ??= socket.getSession();
    });
    socket.on("data", (chunk: Buffer) => (received += chunk.toString("latin1")));
    socket.on("error", () => socket.destroy());
    socket.on("end", () => socket.destroy());
    socket.on("close", () => resolve({ status: received === "" ? 0 : statusOf(received), isReused, session: ticket }));
    socket.write("GET / HTTP/1.1\r\nHost: reviews\r\nConnection: close\r\n\r\n");
  });
}

/** What the first visit left to come back with. */
async function sessionOf(version: (typeof VERSIONS)[number], issued: IssuedCertificate): Promise<Buffer | undefined> {
  const first = await visit(version, issued);
  expect(first.status).toBe(200);
  return first.session;
}

describe.each(VERSIONS)("B22 a session of earlier, %s", (version) => {
  const issued = testCa.issue(CALLER, { lifetimeMs: HOUR_MS });

  it("is no way in when its authority was removed", async () => {
    const session = await sessionOf(version, issued);
    proxy.useIdentity(REVIEWS, DevelopmentCa.create("cluster.local", systemClock));
    const before = application.requests.length;
    for (const offered of [undefined, session]) expect(await visit(version, issued, offered)).toMatchObject({ status: 0, isReused: false });
    expect(application.requests).toHaveLength(before);
    await eventually(() => proxy.logLines.filter((line) => line.includes("tls_peer_unknown_ca")).length === 2, "both refusals name it");
  });

  it("is no way in when its certificate has expired", async () => {
    const session = await sessionOf(version, issued);
    clock.offsetMs = 2 * HOUR_MS;
    expect(await visit(version, issued, session)).toMatchObject({ status: 0, isReused: false });
    await eventually(() => proxy.logLines.some((line) => line.includes("tls_peer_expired") && line.includes("60 minutes too late")), "the refusal names it, and our clock");
    // What was remembered of the certificate is not believed beyond its end, and does not come back before its begin.
    clock.offsetMs = -HOUR_MS;
    expect(await visit(version, issued, session)).toMatchObject({ status: 0 });
    await eventually(() => proxy.logLines.some((line) => line.includes("tls_peer_not_yet_valid")), "the other refusal is named too");
    clock.offsetMs = 0;
    expect((await visit(version, issued, session)).status).toBe(200);
  });

  it("is judged by the policy of now", async () => {
    const session = await sessionOf(version, issued);
    await proxy.apply(resources(security("AuthorizationPolicy", "nobody", { action: "DENY", rules: [{ from: [{ source: { principals: ["cluster.local/ns/default/sa/caller"] } }] }] })));
    expect(await visit(version, issued, session)).toMatchObject({ status: 403, isReused: false });
  });

  it("is the same full handshake for another server name, and for another certificate", async () => {
    const session = await sessionOf(version, issued);
    expect(await visit(version, issued, session, "outbound_.9080_._.reviews.default.svc.cluster.local")).toMatchObject({ status: 200, isReused: false });
    const other = testCa.issue("spiffe://cluster.local/ns/default/sa/other");
    expect(await visit(version, other, session)).toMatchObject({ status: 200, isReused: false });
    expect(application.requests.at(-1)?.headers["x-forwarded-client-cert"]).toContain("URI=spiffe://cluster.local/ns/default/sa/other");
  });
});
