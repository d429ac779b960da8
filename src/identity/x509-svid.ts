import type { X509Certificate } from "node:crypto";

import { timeInWords } from "../core/time-in-words.ts";
import type { PeerCertificate } from "../message/connection-facts.ts";
import { findPath, isStrongKey, MAX_CHAIN } from "./certificate-path.ts";
import { BadSubjectAlternativeName, KEY_USAGE, readCertificate } from "./certificate-reader.ts";
import type { CertificateFacts } from "./certificate-reader.ts";
import { PeerRefused } from "./peer-refused.ts";
import type { PeerRefusal } from "./peer-refused.ts";
import { parseSpiffeId } from "./spiffe-id.ts";
import type { SpiffeId } from "./spiffe-id.ts";
import type { TrustStore } from "./trust-store.ts";

const MAX_LEAF_BYTES = 16 * 1024;
/** Two hosts whose clocks are this far apart are nothing unusual. */
const MAX_SKEW_MS = 5 * 60 * 1000;
const SERVER_AUTH = "1.3.6.1.5.5.7.3.1";
const CLIENT_AUTH = "1.3.6.1.5.5.7.3.2";

/** A leaf that passed steps 2 to 5 of `spec/05` 5.1: it is shaped like an SVID, but nobody vouched for it yet. */
export interface SvidLeaf {
  readonly spiffeId: SpiffeId;
  readonly facts: CertificateFacts;
}

/** What a peer must satisfy. */
export interface SvidExpectation {
  readonly trust: TrustStore;
  /** True for trust domains whose members may talk to us. */
  acceptsTrustDomain(trustDomain: string): boolean;
  /** Time of day, milliseconds since the epoch. */
  readonly nowMs: number;
  /** Who the peer is, for the message: an address. */
  readonly peerName: string;
  /** Our own SPIFFE ID, for the message. */
  readonly ownSpiffeId: string;
}

/**
 * Verifies a certificate chain as an X.509-SVID (SPIFFE X509-SVID standard section 5; `spec/05` 5.1), `chain[0]` the
 * leaf. That the peer holds the leaf's key is what the handshake proved; here is decided whom the leaf names and
 * whether a root of that name's own trust domain vouches for it. Leaves found good are remembered in `trust`.
 */
export function verifySvid(chain: readonly X509Certificate[], expectation: SvidExpectation): PeerCertificate | PeerRefused {
  const [leaf] = chain;
  const { trust, nowMs } = expectation;
  if (leaf === undefined) return refuse("tls_peer_no_certificate", "presented no certificate", expectation);
  if (chain.length > MAX_CHAIN) return refuse("tls_peer_chain_too_long", `presented a chain of ${chain.length} certificates, at most ${MAX_CHAIN} are read`, expectation);
  const hash = leaf.fingerprint256.replaceAll(":", "").toLowerCase();
  const known = trust.recall(hash, nowMs);
  if (known !== null) return expectation.acceptsTrustDomain(known.trustDomain) ? known.peer : wrongTrustDomain(known.peer.spiffeId, expectation);

  const read = readSvidLeaf(leaf);
  if (typeof read === "string") return refuse(read, DESCRIPTIONS[read] ?? read, expectation);
  const { spiffeId, facts } = read;
  const named = `presented a certificate for ${spiffeId.id}`;
  if (nowMs < facts.notBeforeMs || nowMs > facts.notAfterMs) return outOfTime(named, facts, expectation);
  if (!expectation.acceptsTrustDomain(spiffeId.trustDomain)) return wrongTrustDomain(spiffeId.id, expectation);
  const path = findPath({ x509: leaf, facts }, chain.slice(1), trust.anchors(spiffeId.trustDomain), nowMs);
  if (typeof path === "string") {
    const clock = path === "tls_peer_ca_expired" ? ` (it is ${iso(nowMs)} by this host's clock)` : "";
    return refuse(path, `${named}, ${PATH_DESCRIPTIONS[path] ?? path} in trust domain ${spiffeId.trustDomain}${clock}`, expectation);
  }
  const peer: PeerCertificate = { spiffeId: spiffeId.id, hash, subject: facts.subject, dnsNames: facts.dnsNames, expiresAtMs: facts.notAfterMs };
  trust.remember({ peer, trustDomain: spiffeId.trustDomain, ...path });
  return peer;
}

/** Reads a leaf and checks everything about it that asks neither for the time nor for a root. */
export function readSvidLeaf(leaf: X509Certificate): SvidLeaf | PeerRefusal {
  const { raw } = leaf;
  if (raw.length > MAX_LEAF_BYTES) return "tls_peer_certificate_too_large";
  let facts: CertificateFacts;
  try {
    facts = readCertificate(raw);
  } catch (error) {
    return error instanceof BadSubjectAlternativeName ? "tls_peer_bad_san" : "tls_peer_malformed_certificate";
  }
  const [uri] = facts.uris;
  if (uri === undefined) return "tls_peer_no_uri_san";
  if (facts.uris.length > 1) return "tls_peer_two_uri_sans";
  const spiffeId = parseSpiffeId(uri);
  if (typeof spiffeId === "string" || spiffeId.path === "") return "tls_peer_bad_spiffe_id";
  if (facts.isCa) return "tls_peer_ca_leaf";
  if (!isLeafKeyUsage(facts)) return "tls_peer_key_usage";
  const usages = facts.extendedKeyUsage;
  if (usages !== null && !(usages.includes(SERVER_AUTH) && usages.includes(CLIENT_AUTH))) return "tls_peer_extended_key_usage";
  if (facts.unknownCritical.length > 0) return "tls_peer_unknown_critical_extension";
  return hasStrongKey(leaf) ? { spiffeId, facts } : "tls_peer_weak_key";
}

function isLeafKeyUsage({ keyUsage, isKeyUsageCritical }: CertificateFacts): boolean {
  if (keyUsage === null || !isKeyUsageCritical) return false;
  return (keyUsage & KEY_USAGE.digitalSignature) !== 0 && (keyUsage & (KEY_USAGE.keyCertSign | KEY_USAGE.cRLSign)) === 0;
}

function hasStrongKey(leaf: X509Certificate): boolean {
  try {
    return isStrongKey(leaf.publicKey);
  } catch {
    return false;
  }
}

/** What a leaf did wrong, as the end of a sentence that begins with the peer. */
const DESCRIPTIONS: Partial<Record<PeerRefusal, string>> = {
  tls_peer_certificate_too_large: `presented a certificate larger than ${MAX_LEAF_BYTES} bytes`,
  tls_peer_bad_san: "presented a certificate with a subject alternative name that holds forbidden bytes",
  tls_peer_malformed_certificate: "presented a certificate that is not valid DER",
  tls_peer_no_uri_san: "presented a certificate without a URI name, which is no SPIFFE identity",
  tls_peer_two_uri_sans: "presented a certificate with more than one URI name",
  tls_peer_bad_spiffe_id: "presented a certificate whose URI name is not the SPIFFE ID of a workload",
  tls_peer_ca_leaf: "presented a CA certificate as its own",
  tls_peer_key_usage: "presented a certificate whose key usage is not that of a leaf (critical, digitalSignature, neither keyCertSign nor cRLSign)",
  tls_peer_extended_key_usage: "presented a certificate whose extended key usage lacks serverAuth or clientAuth",
  tls_peer_unknown_critical_extension: "presented a certificate with a critical extension that is not understood",
  tls_peer_weak_key: "presented a certificate with a weak key",
};

const PATH_DESCRIPTIONS: Partial<Record<PeerRefusal, string>> = {
  tls_peer_unknown_ca: "which no trusted root vouches for",
  tls_peer_ca_expired: "whose CA is outside its validity",
  tls_peer_ca_key_usage: "whose CA has no key usage with keyCertSign",
  tls_peer_weak_key: "signed with a weak key or algorithm",
  tls_peer_name_constraints: "which its CA may not name",
  tls_peer_unknown_critical_extension: "whose CA has a critical extension that is not understood",
};

/** Names the validity and our clock, since either may be at fault. */
function outOfTime(named: string, { notBeforeMs, notAfterMs }: CertificateFacts, expectation: SvidExpectation): PeerRefused {
  const { nowMs } = expectation;
  const validity = `${named} that is valid from ${iso(notBeforeMs)} to ${iso(notAfterMs)}`;
  const isEarly = nowMs < notBeforeMs;
  const byMs = isEarly ? notBeforeMs - nowMs : nowMs - notAfterMs;
  const off = `it is ${iso(nowMs)} by this host's clock, ${timeInWords(byMs)} too ${isEarly ? "early" : "late"}`;
  const hint = byMs <= MAX_SKEW_MS ? ", as little as clocks that differ explain" : "";
  return refuse(isEarly ? "tls_peer_not_yet_valid" : "tls_peer_expired", `${validity}; ${off}${hint}`, expectation);
}

function wrongTrustDomain(spiffeId: string, expectation: SvidExpectation): PeerRefused {
  return refuse("tls_peer_wrong_trust_domain", `proved to be ${spiffeId}, whose trust domain is not accepted`, expectation);
}

function refuse(reason: PeerRefusal, what: string, { peerName, ownSpiffeId }: SvidExpectation): PeerRefused {
  return new PeerRefused(reason, `peer ${peerName} ${what}; this workload is ${ownSpiffeId}`);
}

function iso(timeMs: number): string {
  return Number.isFinite(timeMs) ? new Date(timeMs).toISOString() : "an unreadable time";
}
