import type { AuthorizationVerdict } from "../filter/rbac-verdict.ts";
import type { ConnectionFacts, SocketAddress } from "../message/connection-facts.ts";
import type { UnmatchedReason } from "./inbound-chain.ts";

/** Why an inbound connection was not served; `peer` is for the log. */
export interface InboundRefusal {
  readonly remote: SocketAddress;
  readonly local: SocketAddress;
  /** Stable name, also the metric's label. */
  readonly reason: string;
  /** A sentence for the operator. */
  readonly message: string;
  /** It had been served, and was closed when something came into force. */
  readonly wasOpen?: true;
}

/** What is wrong with a connection that no filter chain takes. */
export function describeRefusal(reason: UnmatchedReason, facts: ConnectionFacts): string {
  const { port } = facts.local;
  if (reason === "plaintext_on_tls_port") return `plaintext to port ${port}, where the Sidecar has TLS`;
  return reason === "plaintext_on_strict_port"
    ? `${facts.tls === null ? "plaintext" : "TLS that is not the mesh's"} to port ${port}, where PeerAuthentication is STRICT`
    : `TLS without an Istio ALPN name to port ${port}, which is declared HTTP: under PERMISSIVE only mesh TLS or plaintext HTTP is served there`;
}

/** Who may not connect where, by which rule; `recordId` is where an operator finds more, `said` why an external authorizer refused. */
export function describeDenial(verdict: AuthorizationVerdict, facts: ConnectionFacts, recordId: string | null, said?: string): string {
  const peer = facts.tls?.peer?.spiffeId ?? "a peer without identity";
  const place = verdict.provenance === null ? "no ALLOW rule matches" : `${verdict.provenance.resource}, ${verdict.provenance.file}:${verdict.provenance.line}`;
  const by = said === undefined ? `${place} (${verdict.id})` : `${said}; it was asked because of ${place}`;
  return `${peer} may not connect to port ${facts.local.port}: ${by}${recordId === null ? "" : `; id=${recordId}`}`;
}
