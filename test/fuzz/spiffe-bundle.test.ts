import { X509Certificate } from "node:crypto";

import fc from "fast-check";
import { expect, it } from "vitest";

import { splitPem } from "../../src/identity/pem.ts";
import { readSpiffeBundle } from "../../src/identity/spiffe-bundle.ts";
import { authorityKey, bundleDocument, newCa } from "../unit/identity/test-mesh.ts";

const roots = [newCa("partner.example"), newCa("partner.example")].map(({ rootPem }) => rootPem);
const keyOf = (pem: string): string => new X509Certificate(pem).publicKey.export({ type: "spki", format: "pem" }).toString();
const known = new Set(roots.map(keyOf));
const jwtKey = { use: "jwt-svid", kty: "EC", kid: "a", crv: "P-256", x: "a", y: "b" };
const DOCUMENT = bundleDocument([authorityKey(roots[0] as string), jwtKey, authorityKey(roots[1] as string)], { spiffe_sequence: 3, spiffe_refresh_hint: 60 });

/** The keys of the certificates that a text gives; null for one that is refused. */
function keysIn(text: string): string[] | null {
  const bundle = readSpiffeBundle(text);
  return typeof bundle === "string" ? null : splitPem(bundle.pem, "CERTIFICATE").map(keyOf);
}

it("a damaged bundle document is read or refused, and never gives a key that it did not have", () => {
  const change = fc.record({ at: fc.nat(DOCUMENT.length), remove: fc.nat(8), insert: fc.string({ unit: "grapheme-ascii", maxLength: 8 }) });
  fc.assert(fc.property(change, ({ at, remove, insert }) => {
    const keys = keysIn(DOCUMENT.slice(0, at) + insert + DOCUMENT.slice(at + remove)) ?? [];
    // The key that stands beside a certificate is compared with its own.
    for (const key of keys) if (!known.has(key)) throw new Error(`made up: ${key}`);
  }), { numRuns: 5_000 });
});

it("whatever JSON there is, it is read or refused", () => {
  fc.assert(fc.property(fc.json({ maxDepth: 6 }), (text) => void readSpiffeBundle(text)), { numRuns: 2_000 });
  const keys = fc.array(fc.record({ use: fc.constantFrom("x509-svid", "jwt-svid", 1, null), kty: fc.constantFrom("EC", "RSA", "oct", {}), x5c: fc.oneof(fc.constant([]), fc.array(fc.base64String({ maxLength: 40 })), fc.anything()) }, { requiredKeys: [] }));
  fc.assert(fc.property(keys, (made) => void readSpiffeBundle(JSON.stringify({ keys: made }))), { numRuns: 2_000 });
});

it("the document as it is gives its roots", () => {
  expect(new Set(keysIn(DOCUMENT))).toEqual(known);
});
