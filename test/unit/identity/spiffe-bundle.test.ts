import { X509Certificate } from "node:crypto";

import { describe, expect, it } from "vitest";

import { type SpiffeBundle, readSpiffeBundle } from "../../../src/identity/spiffe-bundle.ts";
import { readTrustBundle } from "../../../src/identity/trust-store.ts";
import { authorityKey, bundleDocument, newCa } from "./test-mesh.ts";

const ca = newCa("partner.example");
const another = newCa("partner.example");
const KEY = authorityKey(ca.rootPem);

function read(keys: readonly unknown[], more: Readonly<Record<string, unknown>> = {}): SpiffeBundle {
  const bundle = readSpiffeBundle(bundleDocument(keys, more));
  if (typeof bundle === "string") throw new Error(bundle);
  return bundle;
}

function subjectsOf({ pem }: SpiffeBundle): string[] {
  return readTrustBundle(pem).map(({ x509 }) => x509.fingerprint256);
}

describe("a SPIFFE bundle document", () => {
  it("gives the certificates of its X.509 authorities, in their order", () => {
    expect(subjectsOf(read([KEY, authorityKey(another.rootPem)]))).toEqual([ca, another].map(({ rootPem }) => new X509Certificate(rootPem).fingerprint256));
  });

  it("says how often to come back, and counts its changes, where it does", () => {
    expect(read([KEY], { spiffe_sequence: 7, spiffe_refresh_hint: 600 })).toMatchObject({ sequence: 7, refreshHintSeconds: 600 });
    expect(read([KEY])).toMatchObject({ sequence: null, refreshHintSeconds: null });
  });

  it("without any key revokes all", () => {
    expect(read([]).pem).toBe("");
  });

  it.each<[string, unknown]>([
    ["for JWT-SVIDs", { ...KEY, use: "jwt-svid" }],
    ["for a use of the future", { ...KEY, use: "wit-svid" }],
    ["without a use", { ...KEY, use: undefined }],
    ["of an unknown type", { ...KEY, kty: "lattice" }],
    ["of a type that no certificate has", { ...KEY, kty: "oct" }],
  ])("passes over a key %s", (_, key) => {
    expect(subjectsOf(read([key, KEY]))).toHaveLength(1);
  });

  const x5c = KEY.x5c[0] as string;
  it.each<[string, string, RegExp]>([
    ["no JSON", "<html>", /not a JSON object/],
    ["a list", "[]", /not a JSON object/],
    ["no list of keys", '{"spiffe_sequence":1}', /no list of keys/],
    ["null for keys", '{"keys":null}', /no list of keys/],
    ["keys twice", '{"keys":[],"keys":[]}', /ambiguous/],
    ["a nesting without end", `{"keys":${"[".repeat(10_000)}${"]".repeat(10_000)}}`, /ambiguous/],
    ["a key that is a number", bundleDocument([1]), /key that is no object/],
    ["more keys than anybody has", bundleDocument(Array.from({ length: 257 }, () => ({ use: "jwt-svid" }))), /holds 257 keys/],
    ["more bytes than it should", " ".repeat(1024 * 1024 + 1), /larger than/],
    ["a sequence with a fraction", bundleDocument([KEY], { spiffe_sequence: 1.5 }), /spiffe_sequence/],
    ["a sequence in quotes", bundleDocument([KEY], { spiffe_sequence: "1" }), /spiffe_sequence/],
    ["a negative hint", bundleDocument([KEY], { spiffe_refresh_hint: -1 }), /spiffe_refresh_hint/],
    ["an authority without a certificate", bundleDocument([{ ...KEY, x5c: undefined }]), /exactly one certificate/],
    ["an authority with none", bundleDocument([{ ...KEY, x5c: [] }]), /exactly one certificate/],
    ["an authority with two", bundleDocument([{ ...KEY, x5c: [x5c, x5c] }]), /exactly one certificate/],
    ["a certificate in base64url", bundleDocument([{ ...KEY, x5c: [`${x5c.slice(0, 40)}-_`] }]), /cannot be read/],
    ["a certificate that is none", bundleDocument([{ ...KEY, x5c: ["AAAA"] }]), /cannot be read/],
    ["bytes behind the certificate", bundleDocument([{ ...KEY, x5c: [Buffer.concat([Buffer.from(x5c, "base64"), Buffer.alloc(3)]).toString("base64")] }]), /cannot be read/],
    ["a certificate of another key", bundleDocument([{ ...KEY, x5c: authorityKey(another.rootPem).x5c }]), /of another key/],
    ["a certificate of another type of key", bundleDocument([{ ...KEY, kty: "RSA" }]), /of another key/],
  ])("is refused with %s", (_, text, reason) => {
    expect(readSpiffeBundle(text)).toMatch(reason);
  });
});
