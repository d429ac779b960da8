import { X509Certificate } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";

import { describe, expect, it } from "vitest";

import { splitPem } from "../../src/identity/pem.ts";
import { readSpiffeBundle } from "../../src/identity/spiffe-bundle.ts";
import { readTrustBundle } from "../../src/identity/trust-store.ts";

const BUNDLES = "../shared/corpora/spiffe/bundle";
const isThere = existsSync(BUNDLES);
if (!isThere) process.stdout.write(`skipped: ${BUNDLES} is not there\n`);

/**
 * What becomes of each of go-spiffe's documents: subject alternative names of the roots, or why it is refused. One verdict is another than
 * go-spiffe's: a key for JWT-SVIDs without an ID is no concern of ours, and must not keep the roots beside it from use.
 */
const VERDICTS: Readonly<Record<string, readonly string[] | RegExp>> = {
  "spiffebundle_valid_1.json": ["URI:spiffe://local"],
  "spiffebundle_valid_2.json": ["URI:spiffe://local"],
  "spiffebundle_valid_with_wit.json": ["URI:spiffe://local"],
  "spiffebundle_missing_kid.json": ["URI:spiffe://local"],
  "spiffebundle_no_keys.json": /no list of keys/,
  "spiffebundle_multiple_x509.json": /exactly one certificate/,
  "jwks_valid_1.json": [],
  "jwks_valid_2.json": [],
  "jwks_missing_kid.json": [],
};

describe.skipIf(!isThere)("bundle documents of go-spiffe", () => {
  const files = isThere ? ["spiffebundle", "jwtbundle"].flatMap((folder) => {
    const path = `${BUNDLES}/${folder}/testdata`;
    return readdirSync(path).map((name) => [name, `${path}/${name}`] as const);
  }) : [];

  it.each(files)("%s", (name, path) => {
    const expected = VERDICTS[name];
    if (expected === undefined) throw new Error("a file without a verdict");
    const bundle = readSpiffeBundle(readFileSync(path, "latin1"));
    if (expected instanceof RegExp) expect(bundle).toMatch(expected);
    else {
      if (typeof bundle === "string") throw new Error(bundle);
      const roots = splitPem(bundle.pem, "CERTIFICATE").map((block) => new X509Certificate(block));
      expect(roots.map(({ subjectAltName }) => subjectAltName)).toEqual(expected);
      // An authority that expired years ago is still read: it vouches for nobody, and takes no other down.
      if (roots.length > 0) expect(readTrustBundle(bundle.pem)).toHaveLength(roots.length);
    }
  });
});
