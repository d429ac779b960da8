import type { InboundPortSpec, InboundSpec, MtlsMode } from "../config/snapshot.ts";
import type { PeerExpiry } from "../identity/peer-expiry.ts";
import type { ConnectionFacts, PeerCertificate } from "../message/connection-facts.ts";
import type { UnmatchedReason } from "./inbound-chain.ts";
import { describeRefusal, type InboundRefusal } from "./inbound-refusal.ts";

const SCHEME = "spiffe://";
/** Of a peer whose certificate ended while its connection was open. */
export const EXPIRED = "tls_peer_expired";
/** How long before its certificate ends a peer is asked to leave. */
export const EXPIRY_LEAD_MS = 5_000;

/** Of an open connection, by what it would be refused if it came now. */
export type Dismissal = Pick<InboundRefusal, "reason" | "message">;

/** What a port demands of connections to it. */
interface Demand {
  readonly mtls: MtlsMode;
  /** A Sidecar has TLS for it. */
  readonly hasOwnTls: boolean;
}

/**
 * Whether connections that are open would be let in now: live connections obey a policy that was tightened (B24). Only
 * what was asked of the connection as a whole is asked again: mutual TLS where PeerAuthentication demands it, TLS where a
 * Sidecar has it, and a trust domain that is accepted. Certificates and the roots they end at are judged in the handshake
 * and not again.
 */
export class InboundAdmission {
  readonly #acceptsTrustDomain: (trustDomain: string) => boolean;
  readonly #expiry: PeerExpiry | null;
  #ports = new Map<number, Demand>();
  #passthrough: Demand = { mtls: "STRICT", hasOwnTls: false };
  #demands = "";

  /** `expiry`: set where connections are closed when the peer's certificate ends; told of each that goes on. */
  constructor(acceptsTrustDomain: (trustDomain: string) => boolean, expiry: PeerExpiry | null = null) {
    this.#acceptsTrustDomain = acceptsTrustDomain;
    this.#expiry = expiry;
  }

  /** Obeys a snapshot; true when it asks something else of connections than the last, so that those open are to be asked again. */
  apply({ ports, passthrough }: InboundSpec, trustDomains: readonly string[]): boolean {
    this.#ports = new Map(ports.map((spec) => [spec.port, demandOf(spec)]));
    this.#passthrough = demandOf(passthrough);
    const demands = JSON.stringify([[...this.#ports], this.#passthrough, trustDomains]);
    const isNew = demands !== this.#demands;
    this.#demands = demands;
    return isNew;
  }

  /** Why the connection may not go on; null: it may. */
  dismissal(facts: ConnectionFacts): Dismissal | null {
    const peer = facts.tls?.peer ?? null;
    if (peer !== null) {
      const trustDomain = trustDomainOf(peer.spiffeId);
      if (this.#acceptsTrustDomain(trustDomain)) return this.#expiry === null ? null : expired(peer, this.#expiry);
      return { reason: "tls_peer_wrong_trust_domain", message: `${peer.spiffeId} is of trust domain ${trustDomain}, which is not accepted any more` };
    }
    const { mtls, hasOwnTls } = this.#ports.get(facts.local.port) ?? this.#passthrough;
    if (mtls === "STRICT") return dismissal("plaintext_on_strict_port", facts);
    return hasOwnTls && facts.tls === null ? dismissal("plaintext_on_tls_port", facts) : null;
  }

  /** Whether the certificate of the peer ends so soon that it is to be asked to leave; never where connections may outlive it. */
  endsSoon({ tls }: ConnectionFacts): boolean {
    const peer = tls?.peer ?? null;
    return peer !== null && this.#expiry !== null && this.#expiry.hasPassed(peer.expiresAtMs, -EXPIRY_LEAD_MS);
  }
}

function demandOf({ mtls, tls }: InboundPortSpec): Demand {
  return { mtls, hasOwnTls: tls !== undefined };
}

function dismissal(reason: UnmatchedReason, facts: ConnectionFacts): Dismissal {
  return { reason, message: describeRefusal(reason, facts) };
}

function expired({ spiffeId, expiresAtMs }: PeerCertificate, expiry: PeerExpiry): Dismissal | null {
  if (expiry.hasPassed(expiresAtMs)) return { reason: EXPIRED, message: `the certificate that ${spiffeId} came with expired at ${new Date(expiresAtMs).toISOString()}` };
  expiry.note(expiresAtMs);
  return null;
}

/** Of an ID that was verified, hence well-formed. */
function trustDomainOf(spiffeId: string): string {
  const slash = spiffeId.indexOf("/", SCHEME.length);
  return spiffeId.slice(SCHEME.length, slash < 0 ? undefined : slash);
}
