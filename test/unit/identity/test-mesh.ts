import { X509Certificate } from "node:crypto";

import type { Clock } from "../../../src/core/clock.ts";
import { systemClock } from "../../../src/core/clock.ts";
import { DevelopmentCa } from "../../../src/identity/development-ca.ts";
import type { CertificateRequest, IssuedCertificate } from "../../../src/identity/development-ca.ts";
import type { IdentityMaterial, TrustBundle } from "../../../src/identity/identity-material.ts";
import { loadMaterial } from "../../../src/identity/load-material.ts";
import { TlsIdentity } from "../../../src/identity/tls-identity.ts";

export const TRUST_DOMAIN = "cluster.local";

/** SPIFFE ID of a service account in the namespace `default`. */
export function idOf(serviceAccount: string, trustDomain = TRUST_DOMAIN): string {
  return `spiffe://${trustDomain}/ns/default/sa/${serviceAccount}`;
}

export function newCa(trustDomain = TRUST_DOMAIN, clock: Clock = systemClock, request: CertificateRequest = {}): DevelopmentCa {
  return DevelopmentCa.create(trustDomain, clock, request);
}

/** Material as the control thread would make it of these files; throws when it would refuse them. */
export function materialOf(issued: IssuedCertificate, generation = 1, federated: readonly TrustBundle[] = [], clock: Clock = systemClock): IdentityMaterial {
  const texts = { certificateChain: issued.certificateChainPem, privateKey: issued.privateKeyPem, roots: issued.rootPem, federated };
  const loaded = loadMaterial(texts, generation, clock.wallMs());
  if ("file" in loaded) throw new Error(`${loaded.file}: ${loaded.reason}`);
  return loaded;
}

/** An identity in force, issued by `ca` for a service account. */
export function identityOf(ca: DevelopmentCa, serviceAccount: string, federated: readonly TrustBundle[] = [], clock: Clock = systemClock): TlsIdentity {
  const identity = new TlsIdentity(clock);
  identity.apply(materialOf(ca.issue(idOf(serviceAccount, ca.trustDomain)), 1, federated, clock));
  return identity;
}

/** A root as an authority in a SPIFFE bundle document. */
export function authorityKey(rootPem: string): { readonly use: string; readonly kty?: unknown; readonly x5c: readonly string[] } {
  const root = new X509Certificate(rootPem);
  return { use: "x509-svid", ...root.publicKey.export({ format: "jwk" }), x5c: [root.raw.toString("base64")] };
}

/** The text of a SPIFFE bundle document. */
export function bundleDocument(keys: readonly unknown[], more: Readonly<Record<string, unknown>> = {}): string {
  return JSON.stringify({ keys, ...more });
}
