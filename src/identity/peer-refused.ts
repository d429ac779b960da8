/** Short stable names of why a peer was refused: the value of a metric label, and what an alert is written against. */
export type PeerRefusal =
  // What the certificate says.
  | "tls_peer_no_certificate"
  | "tls_peer_malformed_certificate"
  | "tls_peer_certificate_too_large"
  | "tls_peer_bad_san"
  | "tls_peer_no_uri_san"
  | "tls_peer_two_uri_sans"
  | "tls_peer_bad_spiffe_id"
  | "tls_peer_ca_leaf"
  | "tls_peer_key_usage"
  | "tls_peer_extended_key_usage"
  | "tls_peer_weak_key"
  | "tls_peer_unknown_critical_extension"
  | "tls_peer_expired"
  | "tls_peer_not_yet_valid"
  // Who vouches for it.
  | "tls_peer_chain_too_long"
  | "tls_peer_ca_expired"
  | "tls_peer_ca_key_usage"
  | "tls_peer_name_constraints"
  | "tls_peer_unknown_ca"
  | "tls_peer_revoked"
  | "tls_peer_untrusted"
  // Whether we want to talk to it.
  | "tls_peer_wrong_trust_domain"
  | "tls_peer_identity_mismatch"
  // The handshake itself.
  | "tls_refused_by_peer"
  | "tls_handshake_failed"
  | "tls_handshake_closed"
  | "tls_handshake_timeout"
  | "tls_handshake_overload"
  | "tls_no_identity";

/**
 * Why a TLS peer was refused. A plain value rather than an Error: a stranger can cause thousands a second, and a
 * stack trace of each says nothing.
 */
export class PeerRefused {
  readonly reason: PeerRefusal;
  /** A sentence for the log, naming the peer and the identities involved. */
  readonly message: string;

  constructor(reason: PeerRefusal, message: string) {
    this.reason = reason;
    this.message = message;
  }
}
