import { X509Certificate } from "node:crypto";

import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { systemClock } from "../../src/core/clock.ts";
import { KEY_USAGE, readCertificate } from "../../src/identity/certificate-reader.ts";
import { MalformedDer } from "../../src/identity/der-reader.ts";
import { DevelopmentCa } from "../../src/identity/development-ca.ts";
import { parseSpiffeId } from "../../src/identity/spiffe-id.ts";

const ID = "spiffe://cluster.local/ns/default/sa/reviews";
const ca = DevelopmentCa.create("cluster.local", systemClock);
const leaves = [
  ca.issue(ID),
  ca.issue(ID, { dnsNames: ["a.example", "b.example"], organization: "Example, Inc" }),
  ca.intermediate("middle", { permittedUriHosts: ["cluster.local"] }).issue(ID),
].map(({ certificateChainPem }) => new X509Certificate(certificateChainPem).raw);
const certificates = [...leaves, new X509Certificate(ca.rootPem).raw, new X509Certificate(ca.intermediate("x", { permittedUriHosts: [".local"] }).certificatePem).raw];

/** A change to a certificate: bytes replaced, cut out or put in. */
const damage = fc.record({ which: fc.nat(certificates.length - 1), at: fc.nat(2000), remove: fc.nat(6), insert: fc.uint8Array({ maxLength: 6 }) });

function damaged(change: { which: number; at: number; remove: number; insert: Uint8Array }): Buffer {
  const der = certificates[change.which] as Buffer;
  const at = change.at % der.length;
  return Buffer.concat([der.subarray(0, at), change.insert, der.subarray(at + change.remove)]);
}

describe("readCertificate on damaged certificates", () => {
  it("reads or refuses, and never fails in another way", () => {
    fc.assert(fc.property(fc.oneof(damage.map(damaged), fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes))), (der) => {
      try {
        readCertificate(der);
      } catch (error) {
        if (!(error instanceof MalformedDer)) throw error;
      }
    }), { numRuns: 20_000 });
  });

  it("never reads a name or a validity that OpenSSL reads differently", () => {
    let compared = 0;
    const single = fc.record({ which: fc.nat(certificates.length - 1), at: fc.nat(2000), value: fc.nat(255) });
    fc.assert(fc.property(single, ({ which, at, value }) => {
      const der = Buffer.from(certificates[which] as Buffer);
      der[at % der.length] = value;
      let facts, theirs;
      try {
        facts = readCertificate(der);
        theirs = new X509Certificate(der);
      } catch {
        return;
      }
      compared++;
      const names = [...facts.uris.map((uri) => `URI:${uri}`), ...facts.dnsNames.map((name) => `DNS:${name}`)];
      const listed = theirs.subjectAltName ?? "";
      // Names that Node's text quotes are left out of the comparison.
      if (!/[",'\\]/.test(facts.uris.join("") + facts.dnsNames.join(""))) for (const name of names) expect(listed).toContain(name);
      // What OpenSSL calls a CA must not pass as a leaf here. (The reverse may differ: OpenSSL takes a CA with any broken
      // extension for none, and `checkIssued` then refuses what it signed.)
      if (theirs.ca) expect(facts.isCa || ((facts.keyUsage ?? 0) & KEY_USAGE.keyCertSign) !== 0).toBe(true);
      if (!Number.isNaN(theirs.validToDate.getTime())) expect(facts.notAfterMs).toBe(theirs.validToDate.getTime());
    }), { numRuns: 10_000 });
    expect(compared).toBeGreaterThan(1000);
  });
});

describe("parseSpiffeId", () => {
  it("accepts what is built by the rules and gives its parts back", () => {
    const characters = (set: string): fc.Arbitrary<string> => fc.string({ unit: fc.constantFrom(...Array.from(set)), minLength: 1, maxLength: 12 });
    const segment = characters("abzAZ019.-_").filter((text) => text !== "." && text !== "..");
    fc.assert(fc.property(characters("abz019.-_"), segment, segment, (trustDomain, namespace, serviceAccount) => {
      expect(parseSpiffeId(`spiffe://${trustDomain}/ns/${namespace}/sa/${serviceAccount}`)).toMatchObject({ trustDomain, namespace, serviceAccount });
    }));
  });

  it("accepts no byte outside its alphabet, wherever it stands", () => {
    fc.assert(fc.property(fc.nat(ID.length), fc.string({ unit: "binary", minLength: 1, maxLength: 3 }), (at, text) => {
      const id = ID.slice(0, at) + text + ID.slice(at);
      const parsed = parseSpiffeId(id);
      if (typeof parsed !== "string") expect(id).toMatch(/^spiffe:\/\/[a-z0-9._-]+(\/[A-Za-z0-9._-]+)*$/);
    }), { numRuns: 5000 });
  });
});
