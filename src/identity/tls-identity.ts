import type { SecureContext, TLSSocket } from "node:tls";

import type { Clock } from "../core/clock.ts";
import type { PeerCertificate } from "../message/connection-facts.ts";
import type { IdentityMaterial } from "./identity-material.ts";
import { PeerRefused } from "./peer-refused.ts";
import { presentedChain } from "./presented-chain.ts";
import { type LeastTlsVersion, tlsContext } from "./tls-context.ts";
import { TrustStore } from "./trust-store.ts";
import { verifySvid } from "./x509-svid.ts";

/** What one generation of material was made into. */
interface Current {
  readonly material: IdentityMaterial;
  readonly server: SecureContext;
  readonly client: SecureContext;
  readonly trust: TrustStore;
}

/** Asked of a peer beyond a valid SVID. */
export interface PeerExpectation {
  /** Our trust domain and its aliases. Domains with a bundle of their own are accepted besides. */
  readonly trustDomains: readonly string[];
  /** SPIFFE IDs one of which the peer must be; empty: any. */
  readonly identities: readonly string[];
  /** Who the peer is, for messages: `address:port`. */
  readonly peerName: string;
}

/**
 * This thread's side of our identity: TLS contexts made once per generation of certificates, and the verdict on
 * peers. Connections made under an older generation live on; every handshake that starts now uses the newest.
 */
export class TlsIdentity {
  readonly #clock: Clock;
  #current: Current | null = null;
  #generation = 0;
  #leastServed: LeastTlsVersion = "TLSv1.2";

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Takes up new material. Checked material cannot fail here; if it does, the old stays in force.
   *
   * @throws {Error} when OpenSSL does not take the certificate or the key, or a root cannot be read.
   */
  apply(material: IdentityMaterial): void {
    const trust = TrustStore.of(material.trustDomain, material.bundles, this.#current?.trust);
    this.#current = { material, trust, server: tlsContext(material, this.#leastServed), client: tlsContext(material, "TLSv1.2") };
    this.#generation++;
  }

  /** Peers are served in this version of TLS or a later one from now on (`meshConfig.meshMTLS`); connections there are live on. */
  serveFrom(least: LeastTlsVersion): void {
    if (least === this.#leastServed) return;
    this.#leastServed = least;
    if (this.#current !== null) this.#current = { ...this.#current, server: tlsContext(this.#current.material, least) };
  }

  /** Other trust domains are accepted than before: what was verified until now is verified anew before it is used for anything new. */
  trustDomainsChanged(): void {
    if (this.#current !== null) this.#generation++;
  }

  /** False until the first material came: nothing can be served or dialled over TLS before. */
  get isReady(): boolean {
    return this.#current !== null;
  }

  /**
   * Generation of the certificate, the roots and the trust domains in force on this thread, 0 before there are any. A pooled connection
   * of another one takes no more requests.
   */
  get generation(): number {
    return this.#generation;
  }

  /** Our own SPIFFE ID, empty before there is one. */
  get ownSpiffeId(): string {
    return this.#current?.material.spiffeId ?? "";
  }

  /**
   * What is wrong with our own certificate by this host's clock, for messages; null: nothing. Whoever refuses it for that only
   * closes the connection, and says why in a log of its own.
   */
  get ownFault(): string | null {
    const nowMs = this.#clock.wallMs();
    const { notBeforeMs = 0, notAfterMs = nowMs } = this.#current?.material ?? {};
    if (nowMs > notAfterMs) return `the certificate of this workload expired at ${new Date(notAfterMs).toISOString()}`;
    return nowMs < notBeforeMs ? `the certificate of this workload is not valid before ${new Date(notBeforeMs).toISOString()}` : null;
  }

  get serverContext(): SecureContext | null {
    return this.#current?.server ?? null;
  }

  get clientContext(): SecureContext | null {
    return this.#current?.client ?? null;
  }

  /**
   * Whether peers of a trust domain may stay: those of ours and its aliases (`trustDomains`), and of domains with a bundle of their own, unless
   * all of its roots were revoked.
   */
  acceptsTrustDomain(trustDomain: string, trustDomains: readonly string[]): boolean {
    const trust = this.#current?.trust;
    if (trust === undefined) return trustDomains.includes(trustDomain);
    return (trustDomains.includes(trustDomain) || trust.has(trustDomain)) && trust.anchors(trustDomain).length > 0;
  }

  /** Whether an ID is of our own trust domain or an alias of it (`trustDomains`), and not only of one that is believed besides. */
  isOurs(spiffeId: string, trustDomains: readonly string[]): boolean {
    const own = this.#current?.material.trustDomain ?? "";
    return [own, ...trustDomains].some((domain) => domain !== "" && spiffeId.startsWith(`spiffe://${domain}/`));
  }

  /**
   * The verdict on the peer of a finished handshake. Must be asked on every connection before a byte of it is
   * believed: a bare `TLSSocket` takes untrusted certificates whatever `rejectUnauthorized` says.
   */
  verifyPeer(socket: TLSSocket, expectation: PeerExpectation): PeerCertificate | PeerRefused {
    const current = this.#current;
    const { peerName, trustDomains, identities } = expectation;
    if (current === null) return new PeerRefused("tls_no_identity", `peer ${peerName} cannot be verified: this workload has no certificate yet`);
    const { trust, material } = current;
    const verdict = verifySvid(presentedChain(socket), {
      trust,
      // Of a domain without roots the path says more: nobody vouches for the peer.
      acceptsTrustDomain: (trustDomain) => trustDomains.includes(trustDomain) || trust.has(trustDomain),
      nowMs: this.#clock.wallMs(),
      peerName,
      ownSpiffeId: material.spiffeId,
    });
    if (verdict instanceof PeerRefused || identities.length === 0 || identities.includes(verdict.spiffeId)) return verdict;
    const message = `peer ${peerName} proved to be ${verdict.spiffeId}, expected ${identities.slice(0, 3).join(" or ")}; this workload is ${material.spiffeId}`;
    return new PeerRefused("tls_peer_identity_mismatch", message);
  }
}
