import { X509Certificate } from "node:crypto";

import { describe, expect, it } from "vitest";

import { DevelopmentCa } from "../../../src/identity/development-ca.ts";
import { PeerRefused } from "../../../src/identity/peer-refused.ts";
import { splitPem } from "../../../src/identity/pem.ts";
import { TrustStore } from "../../../src/identity/trust-store.ts";
import { verifySvid } from "../../../src/identity/x509-svid.ts";
import { idOf, TRUST_DOMAIN } from "./test-mesh.ts";

/* users.md 1.19: a peer outside of its validity is named with it and with our clock, since either may be at fault. */

const NOON = Date.UTC(2026, 5, 1, 12);
const HOUR_MS = 3_600_000;
const clock = { wallMs: () => NOON, monotonicMs: () => 0 };
const ca = DevelopmentCa.create(TRUST_DOMAIN, clock);
const shortCa = ca.intermediate("short", { lifetimeMs: HOUR_MS });

/** What is said of a certificate that is valid from 11:00 to 13:00 at another time. */
function refusal(nowMs: number, issuer = ca): PeerRefused | null {
  const issued = issuer.issue(idOf("reviews"), { notBeforeMs: -HOUR_MS, lifetimeMs: HOUR_MS });
  const verdict = verifySvid(splitPem(issued.certificateChainPem, "CERTIFICATE").map((block) => new X509Certificate(block)), {
    trust: TrustStore.of(TRUST_DOMAIN, [{ trustDomain: TRUST_DOMAIN, pem: ca.rootPem }]),
    acceptsTrustDomain: () => true, nowMs, peerName: "10.0.0.9:15006", ownSpiffeId: idOf("ratings"),
  });
  return verdict instanceof PeerRefused ? verdict : null;
}

const VALIDITY = "peer 10.0.0.9:15006 presented a certificate for spiffe://cluster.local/ns/default/sa/reviews that is valid from 2026-06-01T11:00:00.000Z to 2026-06-01T13:00:00.000Z";
const US = "this workload is spiffe://cluster.local/ns/default/sa/ratings";

describe("a peer outside of its validity", () => {
  it("that has expired is named with its validity and our clock", () => {
    expect(refusal(NOON + 4 * HOUR_MS)).toMatchObject({
      reason: "tls_peer_expired", message: `${VALIDITY}; it is 2026-06-01T16:00:00.000Z by this host's clock, 3 hours too late; ${US}`,
    });
  });

  it("that is not valid yet is named with its validity and our clock", () => {
    expect(refusal(NOON - 2 * HOUR_MS)).toMatchObject({
      reason: "tls_peer_not_yet_valid", message: `${VALIDITY}; it is 2026-06-01T10:00:00.000Z by this host's clock, 60 minutes too early; ${US}`,
    });
  });

  it.each([["early", NOON - HOUR_MS - 180_000], ["late", NOON + HOUR_MS + 180_000]])("by what two clocks may differ, too %s, is told so", (_, nowMs) => {
    expect(refusal(nowMs)?.message).toMatch(/by this host's clock, 3 minutes too (early|late), as little as clocks that differ explain; this workload/);
  });

  it("whose CA is, is named with our clock", () => {
    expect(refusal(NOON, shortCa)).toBeNull();
    const late = refusal(NOON + HOUR_MS - 1, DevelopmentCa.create(TRUST_DOMAIN, clock));
    expect(late?.message).not.toContain("by this host's clock");
    const expired = shortCa.issue(idOf("reviews"), { lifetimeMs: 3 * HOUR_MS });
    const verdict = verifySvid(splitPem(expired.certificateChainPem, "CERTIFICATE").map((block) => new X509Certificate(block)), {
      trust: TrustStore.of(TRUST_DOMAIN, [{ trustDomain: TRUST_DOMAIN, pem: ca.rootPem }]),
      acceptsTrustDomain: () => true, nowMs: NOON + 2 * HOUR_MS, peerName: "10.0.0.9:15006", ownSpiffeId: idOf("ratings"),
    });
    expect(verdict).toMatchObject({ reason: "tls_peer_ca_expired", message: expect.stringContaining("(it is 2026-06-01T14:00:00.000Z by this host's clock)") as string });
  });
});
