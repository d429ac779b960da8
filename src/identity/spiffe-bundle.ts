import { X509Certificate } from "node:crypto";

import { parseStrictObject } from "../core/strict-json.ts";

/** Keys of all kinds that one document may hold: more than any trust domain rotates through. */
const MAX_KEYS = 256;
/** Largest document that is read, in characters. */
export const MAX_BUNDLE_TEXT = 1024 * 1024;
const KEY_TYPES: ReadonlySet<unknown> = new Set(["EC", "RSA", "OKP"]);
const X509_SVID = "x509-svid";
/** What a JSON Web Key says of its public key, by `kty`. */
const PUBLIC_MEMBERS: Readonly<Record<string, readonly string[]>> = { EC: ["crv", "x", "y"], RSA: ["n", "e"], OKP: ["crv", "x"] };

/** What a SPIFFE bundle says of a trust domain. */
export interface SpiffeBundle {
  /** The certificates of its X.509 authorities, PEM; empty: there are none any more, and nobody of the domain is believed. */
  readonly pem: string;
  /** Grows with every change; null where the document does not count. */
  readonly sequence: number | null;
  /** How often its publisher wants to be asked, seconds; null where it does not say. */
  readonly refreshHintSeconds: number | null;
}

/**
 * Reads a SPIFFE bundle document, a JSON Web Key Set (SPIFFE_Trust_Domain_and_Bundle section 4): the certificates of its keys
 * for X.509-SVIDs. Keys for other uses and of unknown types are passed over; what claims to be an authority and is broken
 * refuses the document, since to pass it over could revoke it by mistake. Whether a certificate may be a root is for the
 * caller to check.
 *
 * @returns the bundle, or what is wrong with the text as the end of a sentence that begins with its name.
 */
export function readSpiffeBundle(text: string): SpiffeBundle | string {
  if (text.length > MAX_BUNDLE_TEXT) return `is larger than ${MAX_BUNDLE_TEXT} bytes`;
  const document = parseStrictObject(text);
  if (document === null) return "is no SPIFFE bundle: not a JSON object, or an ambiguous one";
  const keys = member(document, "keys");
  if (!Array.isArray(keys)) return "is no SPIFFE bundle: it has no list of keys";
  if (keys.length > MAX_KEYS) return `holds ${keys.length} keys, at most ${MAX_KEYS} are read`;
  const sequence = wholeNumber(member(document, "spiffe_sequence"));
  if (sequence === undefined) return "has a spiffe_sequence that is no whole number";
  const refreshHintSeconds = wholeNumber(member(document, "spiffe_refresh_hint"));
  if (refreshHintSeconds === undefined) return "has a spiffe_refresh_hint that is no whole number";
  const certificates: string[] = [];
  for (const [index, key] of keys.entries()) {
    const read = readAuthority(key);
    if (read === null) continue;
    if (typeof read === "string") return `${read} (key ${index + 1})`;
    certificates.push(read.toString());
  }
  return { pem: certificates.join(""), sequence, refreshHintSeconds };
}

/** The certificate of a key for X.509-SVIDs, null for a key of no concern to us, or what is wrong. */
function readAuthority(key: unknown): X509Certificate | null | string {
  if (typeof key !== "object" || key === null || Array.isArray(key)) return "holds a key that is no object";
  const fields = key as Readonly<Record<string, unknown>>;
  if (member(fields, "use") !== X509_SVID || !KEY_TYPES.has(member(fields, "kty"))) return null;
  const chain = member(fields, "x5c");
  if (!Array.isArray(chain) || chain.length !== 1) return "holds an X.509 authority that does not have exactly one certificate in x5c";
  const [encoded] = chain as readonly unknown[];
  const certificate = typeof encoded === "string" ? readDer(encoded) : null;
  if (certificate === null) return "holds an X.509 authority whose certificate cannot be read";
  return isKeyOf(fields, certificate) ? certificate : "holds an X.509 authority whose certificate is of another key";
}

/** RFC 7517 section 4.7: base64, not base64url, of one certificate and nothing behind it. */
function readDer(encoded: string): X509Certificate | null {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(encoded)) return null;
  const der = Buffer.from(encoded, "base64");
  try {
    const certificate = new X509Certificate(der);
    return certificate.raw.equals(der) ? certificate : null;
  } catch {
    return null;
  }
}

/** RFC 7517 section 4.7: the key of the certificate must be the one that the other members give. */
function isKeyOf(fields: Readonly<Record<string, unknown>>, certificate: X509Certificate): boolean {
  try {
    const actual: Readonly<Record<string, unknown>> = { ...certificate.publicKey.export({ format: "jwk" }) };
    const kty = fields["kty"] as string;
    return actual["kty"] === kty && (PUBLIC_MEMBERS[kty] ?? []).every((name) => {
      const said = member(fields, name);
      return said === undefined || said === actual[name];
    });
  } catch {
    // A key that OpenSSL cannot export verifies nothing here.
    return false;
  }
}

/** Null for one that is not there, undefined for what is no whole number of at least 0. */
function wholeNumber(value: unknown): number | null | undefined {
  if (value === undefined) return null;
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}

function member(fields: Readonly<Record<string, unknown>>, name: string): unknown {
  return Object.hasOwn(fields, name) ? fields[name] : undefined;
}
