import type { KeyObject, X509Certificate } from "node:crypto";

import { KEY_USAGE, readCertificate } from "./certificate-reader.ts";
import type { CertificateFacts } from "./certificate-reader.ts";
import { namesAreAllowed } from "./name-constraints.ts";
import type { PeerRefusal } from "./peer-refused.ts";

/** A certificate with what was read from it. */
export interface ReadCertificate {
  readonly x509: X509Certificate;
  readonly facts: CertificateFacts;
}

/** A root of a bundle, checked to be one when it was read; its key is taken out once, not per handshake. */
export interface TrustAnchor extends ReadCertificate {
  readonly publicKey: KeyObject;
}

/** For how long a path that was found holds: the part of time in which every certificate on it is valid. */
export interface PathValidity {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** Certificates a peer may present, its leaf included. Istio needs two or three. */
export const MAX_CHAIN = 6;
/** Signature checks one path search may cost: a few hundred microseconds at worst, however the chain is laid out. */
const MAX_SIGNATURE_CHECKS = 16;

/** Signatures worth something: ECDSA and RSA (also PSS) with SHA-2, Ed25519. */
const SIGNATURE_ALGORITHMS: ReadonlySet<string> = new Set([
  "1.2.840.10045.4.3.2", "1.2.840.10045.4.3.3", "1.2.840.10045.4.3.4",
  "1.2.840.113549.1.1.11", "1.2.840.113549.1.1.12", "1.2.840.113549.1.1.13", "1.2.840.113549.1.1.10", "1.3.101.112",
]);
const CURVES: ReadonlySet<string> = new Set(["prime256v1", "secp384r1", "secp521r1"]);

/** Whether a key is strong enough to stand for anybody: RSA from 2048 bits, the NIST curves from P-256, Ed25519. */
export function isStrongKey(key: KeyObject): boolean {
  const details = key.asymmetricKeyDetails;
  switch (key.asymmetricKeyType) {
    case "rsa":
    case "rsa-pss":
      return (details?.modulusLength ?? 0) >= 2048;
    case "ec":
      return CURVES.has(details?.namedCurve ?? "");
    case "ed25519":
      return true;
    default:
      return false;
  }
}

/**
 * Looks for a path from a leaf to one of `anchors` over the intermediates the peer sent, in any order (RFC 5280
 * section 6; `spec/05` 5.1 step 6). The leaf's own fields are the caller's to check. `presented` beyond `MAX_CHAIN`
 * must have been refused before.
 *
 * @returns how long the path holds, or why there is none: the most telling of the reasons met.
 */
export function findPath(leaf: ReadCertificate, presented: readonly X509Certificate[], anchors: readonly TrustAnchor[], nowMs: number): PathValidity | PeerRefusal {
  const search = new PathSearch(presented, anchors, nowMs);
  return search.from([leaf]) ?? search.refusal;
}

class PathSearch {
  refusal: PeerRefusal = "tls_peer_unknown_ca";
  readonly #intermediates: ReadCertificate[] = [];
  readonly #anchors: readonly TrustAnchor[];
  readonly #nowMs: number;
  #checksLeft = MAX_SIGNATURE_CHECKS;

  constructor(presented: readonly X509Certificate[], anchors: readonly TrustAnchor[], nowMs: number) {
    this.#anchors = anchors;
    this.#nowMs = nowMs;
    for (const x509 of presented) {
      try {
        this.#intermediates.push({ x509, facts: readCertificate(x509.raw) });
      } catch {
        // One that cannot be read vouches for nobody; the path may do without it.
      }
    }
  }

  /** Goes on from the last certificate of `path`, roots first. */
  from(path: readonly ReadCertificate[]): PathValidity | null {
    const last = path[path.length - 1] as ReadCertificate;
    if (!SIGNATURE_ALGORITHMS.has(last.facts.signatureAlgorithm)) {
      this.refusal = "tls_peer_weak_key";
      return null;
    }
    for (const anchor of this.#anchors) {
      if (this.#issued(anchor, anchor.publicKey, last) && this.#mayIssue(anchor, path)) return this.#validity([...path, anchor]);
    }
    if (path.length >= MAX_CHAIN) return null;
    for (const candidate of this.#intermediates) {
      if (path.includes(candidate)) continue;
      if (!this.#issued(candidate, null, last) || !this.#maySign(candidate) || !this.#mayIssue(candidate, path)) continue;
      const found = this.from([...path, candidate]);
      if (found !== null) return found;
    }
    return null;
  }

  /** Whether `issuer`'s key made `below`'s signature; names and key identifiers are compared first, they cost less. */
  #issued(issuer: ReadCertificate, key: KeyObject | null, below: ReadCertificate): boolean {
    if (!isNamedIssuer(issuer, below) || this.#checksLeft === 0) return false;
    this.#checksLeft--;
    try {
      const publicKey = key ?? issuer.x509.publicKey;
      if (isStrongKey(publicKey)) return below.x509.verify(publicKey);
      this.refusal = "tls_peer_weak_key";
    } catch {
      // A key OpenSSL cannot read verifies nothing.
    }
    return false;
  }

  /** Whether a certificate that the peer sent may vouch for any at all. */
  #maySign({ x509, facts }: ReadCertificate): boolean {
    if (isSigningCertificate(facts)) return true;
    // What is wrong with a stranger's root is that nobody here knows it.
    if (facts.isCa && x509.issuer !== x509.subject) this.refusal = "tls_peer_ca_key_usage";
    return false;
  }

  /** Whether a CA may vouch for the certificates of `path`, all of them below it. */
  #mayIssue(ca: ReadCertificate, path: readonly ReadCertificate[]): boolean {
    const { facts } = ca;
    if (facts.maxPathLength < path.length - 1) return false;
    if (facts.unknownCritical.length > 0) {
      this.refusal = "tls_peer_unknown_critical_extension";
      return false;
    }
    if (this.#nowMs < facts.notBeforeMs || this.#nowMs > facts.notAfterMs) {
      this.refusal = "tls_peer_ca_expired";
      return false;
    }
    if (path.every((below) => namesAreAllowed(facts, below.facts))) return true;
    this.refusal = "tls_peer_name_constraints";
    return false;
  }

  #validity(path: readonly ReadCertificate[]): PathValidity {
    return {
      notBeforeMs: Math.max(...path.map(({ facts }) => facts.notBeforeMs)),
      notAfterMs: Math.min(...path.map(({ facts }) => facts.notAfterMs)),
    };
  }
}

/**
 * Whether a certificate may be the issuer of another by what both say. To OpenSSL none is whose keyUsage lacks keyCertSign; such a CA is
 * looked at all the same, so that the refusal says what is wrong.
 */
function isNamedIssuer({ x509, facts }: ReadCertificate, below: ReadCertificate): boolean {
  return below.x509.checkIssued(x509) || (facts.isCa && !isTrustAnchor(facts) && below.x509.issuer === x509.subject);
}

/** Whether a certificate that a peer sends may sign others (`spec/05` 5.1 step 6): it is a CA, and its keyUsage is there and has keyCertSign. */
export function isSigningCertificate({ isCa, keyUsage }: CertificateFacts): boolean {
  return isCa && keyUsage !== null && (keyUsage & KEY_USAGE.keyCertSign) !== 0;
}

/**
 * Whether a certificate of a bundle may be a root: as `isSigningCertificate`, but it may lack keyUsage altogether, as roots do that plain
 * `openssl req -x509` makes. It is trusted since the operator put it there, not for what it says of itself (RFC 5280 section 6.1.1 d).
 */
export function isTrustAnchor(facts: CertificateFacts): boolean {
  return isSigningCertificate(facts) || (facts.isCa && facts.keyUsage === null);
}
