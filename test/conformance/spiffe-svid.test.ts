import { X509Certificate } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";

import { describe, expect, it } from "vitest";

import { systemClock } from "../../src/core/clock.ts";
import { readCertificate } from "../../src/identity/certificate-reader.ts";
import { isSigningCertificate } from "../../src/identity/certificate-path.ts";
import { DevelopmentCa } from "../../src/identity/development-ca.ts";
import { splitPem } from "../../src/identity/pem.ts";
import { readTrustBundle, TrustStore } from "../../src/identity/trust-store.ts";
import { PeerRefused } from "../../src/identity/peer-refused.ts";
import { readSvidLeaf, verifySvid } from "../../src/identity/x509-svid.ts";

const SVIDS = "../shared/corpora/spiffe/svid/x509svid/testdata";
const BUNDLES = "../shared/corpora/spiffe/bundle/x509bundle/testdata";
const isThere = existsSync(SVIDS);
if (!isThere) process.stdout.write(`skipped: ${SVIDS} is not there\n`);

/** The verdict we give on each file of go-spiffe's, whose names say theirs. */
const VERDICTS: Readonly<Record<string, string>> = {
  "good-leaf-only.pem": "good",
  "good-leaf-and-intermediate.pem": "good",
  "wrong-leaf-ca-true.pem": "tls_peer_ca_leaf",
  "wrong-leaf-cert-sign.pem": "tls_peer_key_usage",
  "wrong-leaf-crl-sign.pem": "tls_peer_key_usage",
  "wrong-leaf-no-digital-signature.pem": "tls_peer_key_usage",
  "wrong-leaf-empty-id.pem": "tls_peer_no_uri_san",
  "wrong-intermediate-no-ca.pem": "intermediate is no CA",
  "corrupt-cert.pem": "unreadable",
  "not-pem": "unreadable",
};

function judge(pem: string): string {
  let chain: X509Certificate[];
  try {
    chain = splitPem(pem, "CERTIFICATE").map((block) => new X509Certificate(block));
  } catch {
    return "unreadable";
  }
  const [leaf, ...intermediates] = chain;
  if (leaf === undefined) return "unreadable";
  const read = readSvidLeaf(leaf);
  if (typeof read === "string") return read;
  return intermediates.every(({ raw }) => isSigningCertificate(readCertificate(raw))) ? "good" : "intermediate is no CA";
}

describe.skipIf(!isThere)("X.509-SVIDs of go-spiffe", () => {
  it.each(isThere ? readdirSync(SVIDS).filter((name) => !name.startsWith("key")) : [])("%s", (name) => {
    expect(judge(readFileSync(`${SVIDS}/${name}`, "latin1"))).toBe(VERDICTS[name]);
  });

  it("does not accept the good ones under a root that did not issue them", () => {
    const root = DevelopmentCa.create("example.org", systemClock).rootPem;
    for (const name of ["good-leaf-only.pem", "good-leaf-and-intermediate.pem"]) {
      const chain = splitPem(readFileSync(`${SVIDS}/${name}`, "latin1"), "CERTIFICATE").map((block) => new X509Certificate(block));
      const leaf = readCertificate((chain[0] as X509Certificate).raw);
      const verdict = verifySvid(chain, {
        trust: TrustStore.of("example.org", [{ trustDomain: "example.org", pem: root }]),
        acceptsTrustDomain: () => true, nowMs: leaf.notBeforeMs + 1000, peerName: "peer", ownSpiffeId: "us",
      });
      expect(verdict).toBeInstanceOf(PeerRefused);
      expect((verdict as PeerRefused).reason).toBe("tls_peer_unknown_ca");
    }
  });
});

describe.skipIf(!isThere)("X.509 bundles of go-spiffe", () => {
  // go-spiffe takes any certificate as a root; these are of version 1 and so say nowhere that they may sign.
  it.each([["cert.pem", 1], ["certs.pem", 2]])("finds the certificates of %s and takes none for a CA", (name, count) => {
    const pem = readFileSync(`${BUNDLES}/${name}`, "latin1");
    expect(splitPem(pem, "CERTIFICATE").map((block) => new X509Certificate(block).subject)).toHaveLength(count);
    expect(() => readTrustBundle(pem)).toThrow("not a version 3 certificate");
  });

  it.each(["corrupted.pem", "empty.pem", "not-pem.pem"])("refuses %s", (name) => {
    expect(() => readTrustBundle(readFileSync(`${BUNDLES}/${name}`, "latin1"))).toThrow();
  });
});
