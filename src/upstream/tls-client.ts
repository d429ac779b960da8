import { connect } from "node:tls";
import type { ConnectionOptions, TLSSocket } from "node:tls";
import type { Socket } from "node:net";

import type { UpstreamTlsSpec } from "../config/snapshot.ts";
import { rememberTransport } from "../core/reset-connection.ts";
import { PeerRefused } from "../identity/peer-refused.ts";
import { describeTlsError } from "../identity/tls-error.ts";
import type { TlsIdentity } from "../identity/tls-identity.ts";
import type { PeerCertificate } from "../message/connection-facts.ts";
import { fromNodeError } from "../message/node-error.ts";
import { ProxyError } from "../message/proxy-error.ts";

/**
 * Begins mesh mTLS on a connection that was just made (`spec/05` 5.4): our certificate, the cluster's server name, the ALPN names in order.
 * Node's own checks are off, since neither host names nor a union of roots say anything in a mesh; `verifyUpstream`
 * must be asked on `secureConnect`, before a byte is written or believed.
 *
 * @returns null while this workload has no certificate.
 */
export function originateTls(transport: Socket, identity: TlsIdentity, spec: UpstreamTlsSpec, alpn: readonly string[]): TLSSocket | null {
  const secureContext = identity.clientContext;
  if (secureContext === null) return null;
  const options: ConnectionOptions = {
    socket: transport,
    secureContext,
    servername: spec.serverName,
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
    ...(alpn.length === 0 ? {} : { ALPNProtocols: [...alpn] }),
  };
  const tls = connect(options);
  rememberTransport(tls, transport);
  return tls;
}

/**
 * The peer of a finished handshake, verified as an SVID and as one of the identities the cluster expects. Where it expects none, any of our
 * own domain and its aliases passes (`spec/05` 5.1); whoever is federated is called by name alone, or a partner could answer for our workloads.
 */
export function verifyUpstream(
  socket: TLSSocket, identity: TlsIdentity, spec: UpstreamTlsSpec, trustDomains: readonly string[], peerName: string,
): PeerCertificate | ProxyError {
  const { expectedIdentities: identities } = spec;
  const verdict = identity.verifyPeer(socket, { trustDomains, identities, peerName });
  if (verdict instanceof PeerRefused) return tlsFailure(verdict);
  if (identities.length > 0 || identity.isOurs(verdict.spiffeId, trustDomains)) return verdict;
  const message = `peer ${peerName} proved to be ${verdict.spiffeId}, of a federated trust domain, and nothing names it as the callee; this workload is ${identity.ownSpiffeId}`;
  return tlsFailure(new PeerRefused("tls_peer_identity_mismatch", message));
}

/** An error while connecting over TLS: of TCP, or of the handshake. */
export function tlsConnectError(error: Error, peerName: string, isTcpConnected: boolean): ProxyError {
  return isTcpConnected ? tlsFailure(describeTlsError(error, peerName)) : fromNodeError(error, peerName, "connect");
}

/** A refusal as the stream's error: its stable name first, then the sentence; itself the cause. */
export function tlsFailure(refused: PeerRefused): ProxyError {
  return new ProxyError("tls_failure", `${refused.reason}: ${refused.message}`, { cause: refused });
}
