import { X509Certificate } from "node:crypto";

import type { PeerCertificate } from "../message/connection-facts.ts";
import { isTrustAnchor } from "./certificate-path.ts";
import type { PathValidity, TrustAnchor } from "./certificate-path.ts";
import { readCertificate } from "./certificate-reader.ts";
import type { TrustBundle } from "./identity-material.ts";
import { splitPem } from "./pem.ts";
import { trustDomainProblem } from "./spiffe-id.ts";

/** A peer certificate that was found good, and for how long that holds. */
interface VerifiedPeer extends PathValidity {
  readonly peer: PeerCertificate;
  readonly trustDomain: string;
}

/** A bundle, read. */
interface Roots {
  readonly pem: string;
  readonly anchors: readonly TrustAnchor[];
}

const MAX_VERIFIED = 4096;
/** More than any trust domain rotates through. Each is read by every data thread whenever an identity comes into force. */
const MAX_ROOTS = 256;

/**
 * The roots of one generation of trust, by trust domain, and the leaves found good under them. A new generation is a
 * new store: nothing that was verified under the old roots survives their removal (CVE-2020-8664).
 */
export class TrustStore {
  readonly #ownTrustDomain: string;
  readonly #roots: ReadonlyMap<string, Roots>;
  readonly #verified = new Map<string, VerifiedPeer>();

  private constructor(ownTrustDomain: string, roots: ReadonlyMap<string, Roots>) {
    this.#ownTrustDomain = ownTrustDomain;
    this.#roots = roots;
  }

  /**
   * Reads the bundles of an identity, but for those that are in `last` as they are: most rotations are of leaves, and a root costs a data
   * thread 70 microseconds.
   *
   * @throws when one is not what `readTrustBundle` takes.
   */
  static of(ownTrustDomain: string, bundles: readonly TrustBundle[], last: TrustStore | null = null): TrustStore {
    const known = (bundle: TrustBundle): Roots | null => (last === null ? null : last.#rootsOf(bundle));
    return new TrustStore(ownTrustDomain, new Map(bundles.map((bundle) => [bundle.trustDomain, known(bundle) ?? readRoots(bundle)])));
  }

  /** What was read of this very bundle, or null. */
  #rootsOf({ trustDomain, pem }: TrustBundle): Roots | null {
    const known = this.#roots.get(trustDomain);
    return known?.pem === pem ? known : null;
  }

  /** Whether a bundle of its own was mounted for a trust domain. */
  has(trustDomain: string): boolean {
    return this.#roots.has(trustDomain);
  }

  /**
   * The roots that may vouch for a trust domain: its own bundle; for an alias of ours that has none, our roots, since
   * Istio's `trustDomainAliases` share one CA. Never several bundles at once.
   */
  anchors(trustDomain: string): readonly TrustAnchor[] {
    return (this.#roots.get(trustDomain) ?? this.#roots.get(this.#ownTrustDomain))?.anchors ?? [];
  }

  /** What an earlier handshake found of the leaf with this SHA-256, if it holds at `nowMs`. */
  recall(hash: string, nowMs: number): VerifiedPeer | null {
    const known = this.#verified.get(hash);
    return known !== undefined && nowMs >= known.notBeforeMs && nowMs <= known.notAfterMs ? known : null;
  }

  /** Remembers a leaf found good, forgetting the oldest beyond a few thousand. */
  remember(verified: VerifiedPeer): void {
    this.#verified.delete(verified.peer.hash);
    if (this.#verified.size >= MAX_VERIFIED) {
      const oldest = this.#verified.keys().next();
      if (oldest.done !== true) this.#verified.delete(oldest.value);
    }
    this.#verified.set(verified.peer.hash, verified);
  }
}

function readRoots({ pem }: TrustBundle): Roots {
  return { pem, anchors: pem === "" ? [] : readTrustBundle(pem) };
}

/**
 * The roots in a PEM bundle. One that has expired is kept: it vouches for nobody, and must not take the others down.
 *
 * @throws {Error} saying which certificate of the bundle is no CA, or that there is none.
 */
export function readTrustBundle(pem: string): TrustAnchor[] {
  const blocks = splitPem(pem, "CERTIFICATE");
  if (blocks.length === 0) throw new Error("holds no certificate");
  return blocks.map((block, index) => {
    const x509 = new X509Certificate(block);
    const facts = readCertificate(x509.raw);
    if (!isTrustAnchor(facts)) throw new Error(`certificate ${index + 1} is not a CA that may sign${facts.isCa ? ": its keyUsage has no keyCertSign" : ""}`);
    return { x509, facts, publicKey: x509.publicKey };
  });
}

/** Says what is wrong with a bundle for a trust domain, or null. */
export function trustBundleProblem({ trustDomain, pem }: TrustBundle): string | null {
  const problem = trustDomainProblem(trustDomain);
  if (problem !== null) return problem;
  try {
    const { length } = splitPem(pem, "CERTIFICATE");
    if (length > MAX_ROOTS) return `holds ${length} certificates, at most ${MAX_ROOTS} are taken`;
    readTrustBundle(pem);
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}
