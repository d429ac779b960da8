import { generateKeyPairSync, X509Certificate } from "node:crypto";

import { describe, expect, it } from "vitest";

import { systemClock } from "../../../src/core/clock.ts";
import { DevelopmentCa } from "../../../src/identity/development-ca.ts";
import type { CertificateRequest, IssuedCertificate } from "../../../src/identity/development-ca.ts";
import { PeerRefused } from "../../../src/identity/peer-refused.ts";
import { splitPem } from "../../../src/identity/pem.ts";
import { TrustStore } from "../../../src/identity/trust-store.ts";
import type { PeerCertificate } from "../../../src/message/connection-facts.ts";
import { verifySvid } from "../../../src/identity/x509-svid.ts";
import { idOf, newCa, TRUST_DOMAIN } from "./test-mesh.ts";

const DAY_MS = 86_400_000;
const ca = newCa();
const ID = idOf("reviews");

interface Check {
  readonly trust?: TrustStore;
  readonly nowMs?: number;
  readonly accepted?: readonly string[];
}

function trusting(...cas: DevelopmentCa[]): TrustStore {
  const [own] = cas;
  return TrustStore.of(own?.trustDomain ?? "", cas.map(({ trustDomain, rootPem }) => ({ trustDomain, pem: rootPem })));
}

function check(issued: IssuedCertificate | string, { trust = trusting(ca), nowMs = systemClock.wallMs(), accepted = [TRUST_DOMAIN] }: Check = {}): PeerCertificate | PeerRefused {
  const pem = typeof issued === "string" ? issued : issued.certificateChainPem;
  const chain = splitPem(pem, "CERTIFICATE").map((block) => new X509Certificate(block));
  return verifySvid(chain, {
    trust, nowMs, peerName: "10.0.0.9:15006", ownSpiffeId: idOf("ratings"),
    acceptsTrustDomain: (trustDomain) => accepted.includes(trustDomain),
  });
}

function reasonOf(verdict: PeerCertificate | PeerRefused): string {
  return verdict instanceof PeerRefused ? verdict.reason : `accepted ${verdict.spiffeId}`;
}

describe("a good SVID", () => {
  it("is read with everything telemetry and policies want of it", () => {
    const issued = ca.issue(ID, { dnsNames: ["reviews.default.svc"], organization: 'Acme, "Inc" \\' });
    const leaf = new X509Certificate(issued.certificateChainPem);
    expect(check(issued)).toEqual({
      spiffeId: ID,
      hash: leaf.fingerprint256.replaceAll(":", "").toLowerCase(),
      subject: "O=Acme\\2C \\22Inc\\22 \\5C",
      dnsNames: ["reviews.default.svc"],
      expiresAtMs: leaf.validToDate.getTime(),
    });
  });

  it("is accepted without an extended key usage, and over intermediates sent in any order with strangers between", () => {
    expect(reasonOf(check(ca.issue(ID, { extendedKeyUsage: null })))).toBe(`accepted ${ID}`);
    const second = ca.intermediate("one").intermediate("two");
    const [leaf, ...rest] = splitPem(second.issue(ID).certificateChainPem, "CERTIFICATE");
    expect(rest).toHaveLength(2);
    expect(reasonOf(check([leaf, newCa().rootPem, ...rest.toReversed()].join("")))).toBe(`accepted ${ID}`);
  });

  it("is remembered under one generation of roots, for as long as its whole path is valid", () => {
    const trust = trusting(ca);
    const short = ca.intermediate("short", { lifetimeMs: DAY_MS });
    const issued = short.issue(ID);
    const [leaf = ""] = splitPem(issued.certificateChainPem, "CERTIFICATE");
    expect(reasonOf(check(leaf, { trust }))).toBe("tls_peer_unknown_ca");
    expect(reasonOf(check(issued, { trust }))).toBe(`accepted ${ID}`);
    expect(reasonOf(check(leaf, { trust }))).toBe(`accepted ${ID}`);
    expect(reasonOf(check(leaf, { trust, nowMs: systemClock.wallMs() + 2 * DAY_MS }))).toBe("tls_peer_unknown_ca");
    expect(reasonOf(check(issued, { trust, nowMs: systemClock.wallMs() + 2 * DAY_MS }))).toBe("tls_peer_ca_expired");
    expect(reasonOf(check(leaf, { trust: trusting(ca) }))).toBe("tls_peer_unknown_ca");
  });

  it("is refused once its trust domain is not accepted any more, though it is remembered", () => {
    const trust = trusting(ca);
    expect(reasonOf(check(ca.issue(ID), { trust }))).toBe(`accepted ${ID}`);
    const issued = ca.issue(ID);
    expect(reasonOf(check(issued, { trust }))).toBe(`accepted ${ID}`);
    expect(reasonOf(check(issued, { trust, accepted: [] }))).toBe("tls_peer_wrong_trust_domain");
  });
});

describe("B21 a bad leaf", () => {
  const bad: [string, string, CertificateRequest][] = [
    ["two SPIFFE URIs", "tls_peer_two_uri_sans", { uris: [ID, idOf("admin")] }],
    ["a second URI that is no SPIFFE ID", "tls_peer_two_uri_sans", { uris: [ID, "https://example.org/"] }],
    ["no URI", "tls_peer_no_uri_san", { uris: [], dnsNames: ["reviews"] }],
    ["the ID in the subject", "tls_peer_no_uri_san", { uris: [], organization: ID }],
    ["the ID in a DNS name (CVE-2022-21656, CVE-2021-44532, CVE-2021-44533)", "tls_peer_no_uri_san", { uris: [], dnsNames: [`URI:${ID}`] }],
    ["a NUL in the URI (CVE-2025-66220, CVE-2026-47778)", "tls_peer_bad_san", { uris: [`${ID}\0.evil`] }],
    ["a NUL in a DNS name", "tls_peer_bad_san", { dnsNames: ["a\0b"] }],
    ["a line end in a DNS name", "tls_peer_bad_san", { dnsNames: ["a\r\nx-admin: 1"] }],
    ["dot segments", "tls_peer_bad_spiffe_id", { uris: ["spiffe://cluster.local/../x"] }],
    ["an upper-case scheme", "tls_peer_bad_spiffe_id", { uris: ["SPIFFE://cluster.local/ns/a/sa/b"] }],
    ["an upper-case trust domain", "tls_peer_bad_spiffe_id", { uris: ["spiffe://Cluster.local/ns/a/sa/b"] }],
    ["no path", "tls_peer_bad_spiffe_id", { uris: ["spiffe://cluster.local"] }],
    ["a port", "tls_peer_bad_spiffe_id", { uris: ["spiffe://cluster.local:80/ns/a/sa/b"] }],
    ["a percent escape", "tls_peer_bad_spiffe_id", { uris: ["spiffe://cluster.local/ns/%61/sa/b"] }],
    ["CA set", "tls_peer_ca_leaf", { isCa: true }],
    ["no key usage", "tls_peer_key_usage", { keyUsage: null }],
    ["key usage that is not critical", "tls_peer_key_usage", { isKeyUsageCritical: false }],
    ["no digitalSignature", "tls_peer_key_usage", { keyUsage: ["keyEncipherment"] }],
    ["keyCertSign", "tls_peer_key_usage", { keyUsage: ["digitalSignature", "keyCertSign"] }],
    ["cRLSign", "tls_peer_key_usage", { keyUsage: ["digitalSignature", "cRLSign"] }],
    ["no clientAuth", "tls_peer_extended_key_usage", { extendedKeyUsage: ["1.3.6.1.5.5.7.3.1"] }],
    ["no serverAuth", "tls_peer_extended_key_usage", { extendedKeyUsage: ["1.3.6.1.5.5.7.3.2"] }],
    ["an unknown critical extension", "tls_peer_unknown_critical_extension", { unknownCriticalOid: "1.3.6.1.4.1.99999.1" }],
    ["a validity that ended", "tls_peer_expired", { notBeforeMs: -2 * DAY_MS, lifetimeMs: -DAY_MS }],
    ["a validity ten minutes ahead", "tls_peer_not_yet_valid", { notBeforeMs: 600_000 }],
    ["100 KB of names", "tls_peer_certificate_too_large", { dnsNames: Array.from({ length: 2000 }, (_, index) => `name-${index}.${"x".repeat(40)}`) }],
    ["200 names", "tls_peer_bad_san", { dnsNames: Array.from({ length: 200 }, (_, index) => `n${index}`) }],
    ["a 1024-bit RSA key", "tls_peer_weak_key", { privateKeyPem: rsaKey(1024) }],
  ];

  it.each(bad)("with %s is refused: %s", (_, reason, request) => {
    expect(reasonOf(check(ca.issue(ID, request)))).toBe(reason);
  });

  it("that is no certificate at all, or none, is refused", () => {
    expect(reasonOf(check(""))).toBe("tls_peer_no_certificate");
  });

  it("is named in the message together with us and the peer's address", () => {
    const verdict = check(newCa().issue(ID));
    expect(verdict).toMatchObject({ reason: "tls_peer_unknown_ca" });
    for (const part of [ID, idOf("ratings"), "10.0.0.9:15006"]) expect((verdict as PeerRefused).message).toContain(part);
  });
});

describe("B21 a bad chain", () => {
  it("to an unknown root, or to itself, is refused", () => {
    expect(reasonOf(check(newCa().issue(ID)))).toBe("tls_peer_unknown_ca");
    const key = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ type: "pkcs8", format: "pem" });
    const selfSigned = DevelopmentCa.create(TRUST_DOMAIN, systemClock, {
      privateKeyPem: key, uris: [ID], isCa: false, keyUsage: ["digitalSignature"], extendedKeyUsage: ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"],
    });
    expect(reasonOf(check(selfSigned.rootPem))).toBe("tls_peer_unknown_ca");
    // It must not help to send the stranger's root along.
    const stranger = newCa();
    expect(reasonOf(check(stranger.issue(ID).certificateChainPem + stranger.rootPem))).toBe("tls_peer_unknown_ca");
  });

  it("is never checked against the roots of another trust domain", () => {
    const other = newCa("other.example");
    const trust = trusting(ca, other);
    const accepted = [TRUST_DOMAIN, "other.example"];
    expect(reasonOf(check(other.issue(idOf("x", "other.example")), { trust, accepted }))).toBe(`accepted ${idOf("x", "other.example")}`);
    expect(reasonOf(check(other.issue(ID), { trust, accepted }))).toBe("tls_peer_unknown_ca");
    expect(reasonOf(check(ca.issue(idOf("x", "other.example")), { trust, accepted }))).toBe("tls_peer_unknown_ca");
  });

  it("of an alias without a bundle ends at our own roots, of a domain that is no alias nowhere", () => {
    const issued = ca.issue(idOf("x", "old.example"));
    expect(reasonOf(check(issued, { accepted: [TRUST_DOMAIN, "old.example"] }))).toBe(`accepted ${idOf("x", "old.example")}`);
    expect(reasonOf(check(issued))).toBe("tls_peer_wrong_trust_domain");
  });

  it.each<[string, string, CertificateRequest]>([
    ["is no CA", "tls_peer_unknown_ca", { isCa: false, keyUsage: ["digitalSignature"] }],
    ["may not sign", "tls_peer_ca_key_usage", { keyUsage: ["cRLSign"] }],
    ["does not say what its key is for", "tls_peer_ca_key_usage", { keyUsage: null }],
    ["is no CA, though its key signs certificates", "tls_peer_unknown_ca", { isCa: false }],
    ["has expired", "tls_peer_ca_expired", { notBeforeMs: -2 * DAY_MS, lifetimeMs: -DAY_MS }],
    ["is not valid yet", "tls_peer_ca_expired", { notBeforeMs: DAY_MS, lifetimeMs: 2 * DAY_MS }],
    ["has an unknown critical extension", "tls_peer_unknown_critical_extension", { unknownCriticalOid: "1.3.6.1.4.1.99999.1" }],
    ["may name other trust domains only", "tls_peer_name_constraints", { permittedUriHosts: ["other.example"] }],
    ["has a weak key", "tls_peer_weak_key", { privateKeyPem: generateKeyPairSync("ec", { namedCurve: "P-224" }).privateKey.export({ type: "pkcs8", format: "pem" }) }],
  ])("whose intermediate %s is refused: %s", (_, reason, request) => {
    expect(reasonOf(check(ca.intermediate("middle", request).issue(ID)))).toBe(reason);
  });

  // Symptom: an intermediate without keyUsage vouched for anybody. Cause: what a root may lack was allowed to every CA. Fix: a peer's own
  // are told from the roots, which are trusted since an operator chose them.
  it("is refused wherever in it a CA may not sign, and whatever else comes along", () => {
    const refused = { keyUsage: null };
    expect(reasonOf(check(ca.intermediate("high", refused).intermediate("low").issue(ID)))).toBe("tls_peer_ca_key_usage");
    expect(reasonOf(check(ca.intermediate("high").intermediate("low", refused).issue(ID)))).toBe("tls_peer_ca_key_usage");
    expect(reasonOf(check(ca.intermediate("middle", refused).issue(ID).certificateChainPem + ca.rootPem))).toBe("tls_peer_ca_key_usage");
    // The same CA certified twice: the good one counts.
    const privateKeyPem = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ type: "pkcs8", format: "pem" });
    const good = ca.intermediate("twice", { privateKeyPem });
    const bad = ca.intermediate("twice", { privateKeyPem, ...refused });
    expect(reasonOf(check(bad.issue(ID).certificateChainPem + good.certificatePem))).toBe(`accepted ${ID}`);
  });

  it("to a root without keyUsage, as plain openssl makes them, is accepted, sent along or not; a stranger's stays unknown", () => {
    const plain = newCa(TRUST_DOMAIN, systemClock, { keyUsage: null });
    const trust = trusting(plain);
    for (const issued of [plain.issue(ID), plain.intermediate("middle").issue(ID)]) {
      expect(reasonOf(check(issued, { trust: trusting(plain) }))).toBe(`accepted ${ID}`);
      expect(reasonOf(check(issued.certificateChainPem + plain.rootPem, { trust }))).toBe(`accepted ${ID}`);
      expect(reasonOf(check(issued.certificateChainPem + plain.rootPem))).toBe("tls_peer_unknown_ca");
    }
    expect(reasonOf(check(plain.intermediate("middle", { keyUsage: null }).issue(ID), { trust: trusting(plain) }))).toBe("tls_peer_ca_key_usage");
  });

  it("whose intermediate may name this trust domain is accepted", () => {
    expect(reasonOf(check(ca.intermediate("middle", { permittedUriHosts: ["cluster.local"] }).issue(ID)))).toBe(`accepted ${ID}`);
    expect(reasonOf(check(ca.intermediate("middle", { permittedUriHosts: [".local"] }).issue(ID)))).toBe(`accepted ${ID}`);
  });

  it("of ten certificates is refused unread", () => {
    let deep = ca;
    for (let depth = 0; depth < 9; depth++) deep = deep.intermediate(`ca-${depth}`);
    expect(reasonOf(check(deep.issue(ID)))).toBe("tls_peer_chain_too_long");
  });

  it("whose root has expired is refused", () => {
    const old = DevelopmentCa.create(TRUST_DOMAIN, systemClock, { notBeforeMs: -2 * DAY_MS, lifetimeMs: -DAY_MS });
    expect(reasonOf(check(old.issue(ID), { trust: trusting(old) }))).toBe("tls_peer_ca_expired");
  });
});

function rsaKey(modulusLength: number): string {
  return generateKeyPairSync("rsa", { modulusLength }).privateKey.export({ type: "pkcs8", format: "pem" });
}
