import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { describe, expect, it } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import { refuseClient } from "../../../src/identity/client-certificate.ts";
import type { CertificateRequest, DevelopmentCa } from "../../../src/identity/development-ca.ts";
import { splitPem } from "../../../src/identity/pem.ts";
import { readTrustBundle } from "../../../src/identity/trust-store.ts";
import { idOf, newCa } from "./test-mesh.ts";

const DAY_MS = 24 * 60 * 60 * 1000;
const ca = newCa("partners.example");
const ID = idOf("partner", "partners.example");
const anchors = readTrustBundle(ca.rootPem);

function refusal(request: CertificateRequest = {}, issuer: DevelopmentCa = ca): string | null {
  const chain = splitPem(issuer.issue(ID, request).certificateChainPem, "CERTIFICATE").map((pem) => new X509Certificate(pem));
  return refuseClient(chain, anchors, systemClock.wallMs(), "10.0.0.9:1")?.reason ?? null;
}

describe("the certificate of a client from outside of the mesh", () => {
  it.each<[string, CertificateRequest]>([
    ["as the mesh makes them", {}],
    ["without a SPIFFE ID", { uris: [], dnsNames: ["client.partners.example"] }],
    ["for clients only", { extendedKeyUsage: ["1.3.6.1.5.5.7.3.2"] }],
    ["without extended key usage", { extendedKeyUsage: null }],
  ])("is taken: %s", (_what, request) => {
    expect(refusal(request)).toBeNull();
  });

  it("is taken under an intermediate that comes along", () => {
    expect(refusal({}, ca.intermediate("middle"))).toBeNull();
  });

  it.each<[string, CertificateRequest]>([
    ["tls_peer_extended_key_usage", { extendedKeyUsage: ["1.3.6.1.5.5.7.3.1"] }],
    ["tls_peer_ca_leaf", { isCa: true, keyUsage: ["digitalSignature", "keyCertSign"] }],
    ["tls_peer_expired", { notBeforeMs: -2 * DAY_MS, lifetimeMs: -DAY_MS }],
    ["tls_peer_not_yet_valid", { notBeforeMs: DAY_MS, lifetimeMs: 2 * DAY_MS }],
    ["tls_peer_unknown_critical_extension", { unknownCriticalOid: "1.3.6.1.4.1.99999.1" }],
    ["tls_peer_weak_key", { privateKeyPem: generateKeyPairSync("ec", { namedCurve: "P-224" }).privateKey.export({ type: "pkcs8", format: "pem" }) }],
  ])("is refused: %s", (reason, request) => {
    expect(refusal(request)).toBe(reason);
  });

  it("is refused of another authority, of one that has expired or may not sign, at the end of a long chain, and when there is none", () => {
    expect(refusal({}, newCa("partners.example"))).toBe("tls_peer_unknown_ca");
    expect(refusal({}, ca.intermediate("old", { notBeforeMs: -2 * DAY_MS, lifetimeMs: -DAY_MS }))).toBe("tls_peer_ca_expired");
    expect(refusal({}, ca.intermediate("unsaid", { keyUsage: null }))).toBe("tls_peer_ca_key_usage");
    let deep = ca;
    for (let depth = 0; depth < 9; depth++) deep = deep.intermediate(`ca-${depth}`);
    expect(refusal({}, deep)).toBe("tls_peer_chain_too_long");
    expect(refuseClient([], anchors, systemClock.wallMs(), "10.0.0.9:1")?.reason).toBe("tls_peer_no_certificate");
  });
});
