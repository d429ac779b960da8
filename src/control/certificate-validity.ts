import { X509Certificate } from "node:crypto";

import { readCertificate } from "../identity/certificate-reader.ts";
import type { IdentityMaterial, TrustBundle } from "../identity/identity-material.ts";
import { splitPem } from "../identity/pem.ts";
import { readTrustBundle } from "../identity/trust-store.ts";

/** A time in which something holds, milliseconds since the epoch. */
export interface Validity {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/**
 * Something that ends by the clock and stops traffic when it does:
 * - `leaf`: our own certificate;
 * - `issuer`: what vouches for it, intermediates and root, as long as all of them hold;
 * - `bundle`: the roots of one trust domain, as long as one of them holds.
 */
export interface WatchedCertificate extends Validity {
  readonly kind: "leaf" | "issuer" | "bundle";
  readonly trustDomain: string;
  /** Our SPIFFE ID, or the subject of the CA that ends first. */
  readonly name: string;
  /** Other than after a rotation, equal. */
  readonly key: string;
}

/** A root as it stands in a bundle. */
export interface RootFacts extends Validity {
  readonly trustDomain: string;
  readonly subject: string;
  /** SHA-256 of its DER, lower-case hex. */
  readonly sha256: string;
}

interface Named extends Validity {
  readonly name: string;
  readonly sha256: string;
}

/** Everything in an identity that a clock can end. `material` was checked: what is in it can be read. */
export function watchedCertificates(material: IdentityMaterial): WatchedCertificate[] {
  const { spiffeId: name, trustDomain, notBeforeMs, notAfterMs, bundles } = material;
  const chain = splitPem(material.certificateChainPem, "CERTIFICATE").map((block) => new X509Certificate(block));
  const leaf: WatchedCertificate = { kind: "leaf", trustDomain, name, notBeforeMs, notAfterMs, key: `leaf ${chain[0]?.fingerprint256 ?? ""}` };
  const issuer = earliest(issuersOf(chain, bundles[0]));
  return [
    leaf,
    ...(issuer === null ? [] : [{ ...issuer, kind: "issuer" as const, trustDomain, key: `issuer ${issuer.sha256}` }]),
    ...bundles.flatMap((bundle) => lasting(bundle)),
  ];
}

/** The roots of every bundle, in their order. */
export function trustedRoots(bundles: readonly TrustBundle[]): RootFacts[] {
  return bundles.flatMap(({ trustDomain, pem }) => rootsOf(pem).map(({ x509, facts }) => ({
    trustDomain, subject: facts.subject, sha256: hashOf(x509), notBeforeMs: facts.notBeforeMs, notAfterMs: facts.notAfterMs,
  })));
}

/** The intermediates of our chain, and of the roots that vouch for it the one that lasts longest. */
function issuersOf(chain: readonly X509Certificate[], own: TrustBundle | undefined): Named[] {
  const anchors = own === undefined ? [] : rootsOf(own.pem);
  const vouching = anchors.filter(({ x509, publicKey }) => chain.some((below) => below.checkIssued(x509) && below.verify(publicKey)));
  const root = latest(vouching.map(({ x509, facts }) => named(x509, facts, facts.subject)));
  const intermediates = chain.slice(1).map((x509) => {
    const facts = readCertificate(x509.raw);
    return named(x509, facts, facts.subject);
  });
  return root === null ? intermediates : [...intermediates, root];
}

/** A bundle lasts as long as the last of its roots: one that has expired vouches for nobody, and harms nobody. */
function lasting({ trustDomain, pem }: TrustBundle): WatchedCertificate[] {
  const root = latest(rootsOf(pem).map(({ x509, facts }) => named(x509, facts, facts.subject)));
  return root === null ? [] : [{ ...root, kind: "bundle", trustDomain, key: `bundle ${trustDomain} ${root.sha256}` }];
}

/** A bundle may be empty: all of its roots were revoked. */
function rootsOf(pem: string): ReturnType<typeof readTrustBundle> {
  return pem === "" ? [] : readTrustBundle(pem);
}

function named(x509: X509Certificate, { notBeforeMs, notAfterMs }: Validity, name: string): Named {
  return { notBeforeMs, notAfterMs, name, sha256: hashOf(x509) };
}

function hashOf({ fingerprint256 }: X509Certificate): string {
  return fingerprint256.replaceAll(":", "").toLowerCase();
}

function earliest(candidates: readonly Named[]): Named | null {
  return candidates.reduce<Named | null>((first, next) => (first === null || next.notAfterMs < first.notAfterMs ? next : first), null);
}

function latest(candidates: readonly Named[]): Named | null {
  return candidates.reduce<Named | null>((last, next) => (last === null || next.notAfterMs > last.notAfterMs ? next : last), null);
}
