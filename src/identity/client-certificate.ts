import type { X509Certificate } from "node:crypto";

import { findPath, isStrongKey, MAX_CHAIN, type TrustAnchor } from "./certificate-path.ts";
import { type CertificateFacts, readCertificate } from "./certificate-reader.ts";
import { type PeerRefusal, PeerRefused } from "./peer-refused.ts";

const CLIENT_AUTH = "1.3.6.1.5.5.7.3.2";

/**
 * Whether one of `anchors` vouches for a client from outside of the mesh, whatever its certificate names (RFC 5280 section
 * 6): no identity of the mesh comes of it. `chain[0]` is the leaf.
 *
 * @returns why not, or null when it does.
 */
export function refuseClient(chain: readonly X509Certificate[], anchors: readonly TrustAnchor[], nowMs: number, peerName: string): PeerRefused | null {
  const refusal = judge(chain, anchors, nowMs);
  return refusal === null ? null : new PeerRefused(refusal, `client ${peerName} was refused by the authorities of the port's own TLS: ${refusal}`);
}

function judge(chain: readonly X509Certificate[], anchors: readonly TrustAnchor[], nowMs: number): PeerRefusal | null {
  const [leaf] = chain;
  if (leaf === undefined) return "tls_peer_no_certificate";
  if (chain.length > MAX_CHAIN) return "tls_peer_chain_too_long";
  let facts: CertificateFacts;
  try {
    facts = readCertificate(leaf.raw);
    if (!isStrongKey(leaf.publicKey)) return "tls_peer_weak_key";
  } catch {
    return "tls_peer_malformed_certificate";
  }
  if (facts.isCa) return "tls_peer_ca_leaf";
  if (facts.extendedKeyUsage !== null && !facts.extendedKeyUsage.includes(CLIENT_AUTH)) return "tls_peer_extended_key_usage";
  if (facts.unknownCritical.length > 0) return "tls_peer_unknown_critical_extension";
  if (nowMs < facts.notBeforeMs) return "tls_peer_not_yet_valid";
  if (nowMs > facts.notAfterMs) return "tls_peer_expired";
  const path = findPath({ x509: leaf, facts }, chain.slice(1), anchors, nowMs);
  return typeof path === "string" ? path : null;
}
