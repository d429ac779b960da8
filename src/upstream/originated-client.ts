import type { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import type { Socket } from "node:net";
import { connect } from "node:tls";
import type { SecureContext, TLSSocket } from "node:tls";

import { rememberTransport } from "../core/reset-connection.ts";
import { readCertificate } from "../identity/certificate-reader.ts";
import { PeerRefused, type PeerRefusal } from "../identity/peer-refused.ts";
import type { OriginatedTls } from "./transport-tls.ts";

/** How a name is compared: RFC 6125 section 6.4 with a star for a whole label only, and never the common name. */
const CHECK_HOST = { subject: "never", wildcards: true, partialWildcards: false, multiLabelWildcards: false, singleLabelSubdomains: false } as const;

/** OpenSSL's words for a verdict on a chain, as Node gives them, and ours. */
const REFUSALS: Readonly<Record<string, PeerRefusal>> = {
  CERT_HAS_EXPIRED: "tls_peer_expired",
  CERT_NOT_YET_VALID: "tls_peer_not_yet_valid",
  CERT_REVOKED: "tls_peer_revoked",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "tls_peer_unknown_ca",
  UNABLE_TO_GET_ISSUER_CERT: "tls_peer_unknown_ca",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "tls_peer_unknown_ca",
  SELF_SIGNED_CERT_IN_CHAIN: "tls_peer_unknown_ca",
  DEPTH_ZERO_SELF_SIGNED_CERT: "tls_peer_unknown_ca",
  // An authority of the same name as one of ours, with another key.
  CERT_SIGNATURE_FAILURE: "tls_peer_unknown_ca",
};

/**
 * Begins TLS to a server outside of the mesh (`spec/04` 4.7). Nothing is refused during the handshake: `verifyOriginated`
 * must be asked on `secureConnect`, before a byte is written or believed.
 */
export function originateToServer(transport: Socket, tls: OriginatedTls, secureContext: SecureContext, alpn: readonly string[]): TLSSocket {
  const socket = connect({
    socket: transport,
    secureContext,
    ...(tls.serverName === null ? {} : { servername: tls.serverName }),
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
    ...(alpn.length === 0 ? {} : { ALPNProtocols: [...alpn] }),
  });
  rememberTransport(socket, transport);
  return socket;
}

/** Why the server of a finished handshake is refused; null when its chain is trusted and it has one of the names. */
export function verifyOriginated(socket: TLSSocket, { spec, expectedNames }: OriginatedTls, peerName: string): PeerRefused | null {
  if (spec.insecureSkipVerify) return null;
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return new PeerRefused("tls_peer_no_certificate", `peer ${peerName} presented no certificate`);
  if (!socket.authorized) {
    const code = String((socket.authorizationError as NodeJS.ErrnoException | null)?.code ?? socket.authorizationError);
    const reason = Object.hasOwn(REFUSALS, code) ? REFUSALS[code] as PeerRefusal : "tls_peer_untrusted";
    return new PeerRefused(reason, `the certificate of peer ${peerName} is not trusted: ${code}; ${describe(certificate)}`);
  }
  if (expectedNames.some((name) => hasName(certificate, name))) return null;
  const wanted = expectedNames.length === 0 ? "no name to expect is known (set sni or subjectAltNames)" : `expected ${expectedNames.slice(0, 3).join(" or ")}`;
  return new PeerRefused("tls_peer_identity_mismatch", `the certificate of peer ${peerName} is for somebody else: ${wanted}; ${describe(certificate)}`);
}

/** Names with a scheme are URIs and compare exactly. */
function hasName(certificate: X509Certificate, name: string): boolean {
  if (name.includes("://")) return urisOf(certificate).includes(name);
  if (isIP(name) !== 0) return certificate.checkIP(name) !== undefined;
  return certificate.checkHost(name.replace(/\.$/, ""), CHECK_HOST) !== undefined;
}

function urisOf(certificate: X509Certificate): readonly string[] {
  try {
    return readCertificate(certificate.raw).uris;
  } catch {
    // What cannot be read has no name that counts.
    return [];
  }
}

/** What the certificate is for, as far as a log line needs it. */
function describe(certificate: X509Certificate): string {
  const names = (certificate.subjectAltName ?? "no names").slice(0, 200);
  return `it is for ${names}, issued by ${certificate.issuer.replaceAll("\n", ", ").slice(0, 200)}`;
}
