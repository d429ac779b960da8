import { expect, it } from "vitest";

import { systemClock } from "../../../src/core/clock.ts";
import type { CertificateRequest } from "../../../src/identity/development-ca.ts";
import { trustBundleProblem, TrustStore } from "../../../src/identity/trust-store.ts";
import { newCa, TRUST_DOMAIN } from "./test-mesh.ts";

const own = { trustDomain: TRUST_DOMAIN, pem: newCa().rootPem };
const foreign = { trustDomain: "example.org", pem: newCa("example.org").rootPem };

it("reads again only the bundles that are others than in the generation before", () => {
  const before = TrustStore.of(TRUST_DOMAIN, [own, foreign]);
  const renewed = { ...foreign, pem: foreign.pem + newCa("example.org").rootPem };
  const after = TrustStore.of(TRUST_DOMAIN, [own, renewed], before);
  expect(after.anchors(TRUST_DOMAIN)).toBe(before.anchors(TRUST_DOMAIN));
  expect([before.anchors("example.org").length, after.anchors("example.org").length]).toEqual([1, 2]);
});

it("takes nothing else from the generation before: neither a bundle that is gone, nor a leaf that was found good", () => {
  const before = TrustStore.of(TRUST_DOMAIN, [own, foreign]);
  const peer = { spiffeId: "spiffe://example.org/x", hash: "00", subject: "", dnsNames: [], expiresAtMs: 2 };
  before.remember({ peer, trustDomain: "example.org", notBeforeMs: 0, notAfterMs: 2 });
  const after = TrustStore.of(TRUST_DOMAIN, [own], before);
  expect([before.recall("00", 1)?.peer, after.recall("00", 1)]).toEqual([peer, null]);
  expect([before.has("example.org"), after.has("example.org")]).toEqual([true, false]);
  // A domain that moved to another's roots has those.
  const moved = TrustStore.of(TRUST_DOMAIN, [own, { trustDomain: "example.org", pem: own.pem }], before);
  expect(moved.anchors("example.org").map(({ x509 }) => x509.toString())).toEqual([own.pem]);
});

it.each<[string, string | null, CertificateRequest]>([
  ["as they should be", null, {}],
  ["without keyUsage, as plain openssl makes them,", null, { keyUsage: null }],
  ["with a keyUsage that is not critical", null, { isKeyUsageCritical: false }],
  ["whose keyUsage has no keyCertSign", "certificate 2 is not a CA that may sign: its keyUsage has no keyCertSign", { keyUsage: ["cRLSign"] }],
  ["that are no CA", "certificate 2 is not a CA that may sign", { isCa: false }],
  ["that are no CA and say nothing of their key", "certificate 2 is not a CA that may sign", { isCa: false, keyUsage: null }],
])("roots %s: %s", (_what, problem, request) => {
  expect(trustBundleProblem({ ...own, pem: own.pem + newCa(TRUST_DOMAIN, systemClock, request).rootPem })).toBe(problem);
});
