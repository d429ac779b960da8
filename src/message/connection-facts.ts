import type { WorkloadLabels } from "./workload-labels.ts";

/** An address of one end of a connection; `address` is a canonical IP without brackets or zone. */
export interface SocketAddress {
  readonly address: string;
  readonly port: number;
}

/** What a verified peer certificate said. Made only after the checks of X.509-SVID passed. */
export interface PeerCertificate {
  /** The peer's SPIFFE ID, `spiffe://trust-domain/path`. */
  readonly spiffeId: string;
  /** SHA-256 of the leaf's DER, lower-case hex. */
  readonly hash: string;
  /** RFC 2253 subject, empty for most SVIDs. */
  readonly subject: string;
  readonly dnsNames: readonly string[];
  /** notAfter of the leaf, milliseconds since the epoch. */
  readonly expiresAtMs: number;
}

/** TLS facts of a connection; `peer` is null when the peer was not asked for a certificate. */
export interface TlsFacts {
  readonly peer: PeerCertificate | null;
  /** Our own SPIFFE ID on this connection. */
  readonly ownSpiffeId: string;
  readonly serverName: string | null;
  readonly alpn: string | null;
}

/** Of a connection that came as an HBONE tunnel (`spec/02` 2.9): what its CONNECT said besides. */
export interface TunnelFacts {
  /** The caller's account of itself, for telemetry only; null when it gave none. */
  readonly workload: WorkloadLabels | null;
}

/** What is known of a downstream connection before its first stream. */
export interface ConnectionFacts {
  /** The downstream peer. */
  readonly remote: SocketAddress;
  /** Where the peer believed it connected to: the original destination, or our own address when it meant us. */
  readonly local: SocketAddress;
  /** True when `local` was captured from elsewhere, so that forwarding there cannot come back to us. */
  readonly isCaptured: boolean;
  /** Null on a plaintext connection. */
  readonly tls: TlsFacts | null;
  /** The server name of TLS that is passed through unopened, lower case, where it was looked at. */
  readonly passthroughServerName?: string;
  /** Set inside a tunnel, where `tls` is what the tunnel's peer proved and the bytes are as its application sent them. */
  readonly tunnel?: TunnelFacts;
}
