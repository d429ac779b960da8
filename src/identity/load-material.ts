import { createPrivateKey, X509Certificate } from "node:crypto";

import { MAX_CHAIN } from "./certificate-path.ts";
import { type CertificateFacts, readCertificate } from "./certificate-reader.ts";
import type { IdentityMaterial, TrustBundle } from "./identity-material.ts";
import { PeerRefused } from "./peer-refused.ts";
import { splitPem } from "./pem.ts";
import { tlsContext } from "./tls-context.ts";
import { tlsErrorText } from "./tls-error.ts";
import { TrustStore, trustBundleProblem } from "./trust-store.ts";
import { readSvidLeaf, verifySvid } from "./x509-svid.ts";

/** The text of the files of one identity, as read at one time. */
export interface IdentityTexts {
  readonly certificateChain: string;
  readonly privateKey: string;
  readonly roots: string;
  /** Federated bundles that were found good. */
  readonly federated: readonly TrustBundle[];
}

/** Names of the files an identity is read from. */
export const IDENTITY_FILES = { certificateChain: "cert-chain.pem", privateKey: "key.pem", roots: "root-cert.pem" } as const;

/** What the parts of an identity are called where it comes from. */
type PartNames = Readonly<Record<keyof typeof IDENTITY_FILES, string>>;

/** Something wrong with what an identity is made of; `reason` never holds any of its content. */
export interface IdentityProblem {
  /** Name within the certificate folder (`key.pem`, `bundles/example.org.pem`), or of whatever else it came from. */
  readonly file: string;
  readonly reason: string;
}

/**
 * Makes an identity of its files, or says which file is wrong and why. Whatever peers would refuse of us is found
 * here, before it is used: key and certificate that do not belong together (a rotation half done), an expired leaf,
 * a leaf that is no SVID, a chain that does not reach our roots.
 */
export function loadMaterial(texts: IdentityTexts, generation: number, nowMs: number, names: PartNames = IDENTITY_FILES): IdentityMaterial | IdentityProblem {
  const chain = readChain(texts.certificateChain, names);
  if (!Array.isArray(chain)) return chain;
  const [leaf] = chain;
  if (leaf === undefined) return { file: names.certificateChain, reason: "holds no certificate" };
  const svid = readSvidLeaf(leaf);
  if (typeof svid === "string") return { file: names.certificateChain, reason: `the first certificate is not an X.509-SVID: ${svid}` };
  const { spiffeId, facts } = svid;
  const own: TrustBundle = { trustDomain: spiffeId.trustDomain, pem: texts.roots };
  const problem = keyProblem(texts.privateKey, leaf, names) ?? rootProblem(own, names) ?? pathProblem({ chain, spiffeId: spiffeId.id, facts, own, nowMs }, names);
  if (problem !== null) return problem;
  const material: IdentityMaterial = {
    generation,
    spiffeId: spiffeId.id,
    trustDomain: spiffeId.trustDomain,
    notBeforeMs: facts.notBeforeMs,
    notAfterMs: facts.notAfterMs,
    certificateChainPem: texts.certificateChain,
    privateKeyPem: texts.privateKey,
    bundles: [own, ...texts.federated.filter(({ trustDomain }) => trustDomain !== spiffeId.trustDomain)],
  };
  return contextProblem(material, names) ?? material;
}

function readChain(pem: string, { certificateChain: file }: PartNames): X509Certificate[] | IdentityProblem {
  try {
    const chain = splitPem(pem, "CERTIFICATE").map((block) => new X509Certificate(block));
    if (chain.length > MAX_CHAIN) return { file, reason: `holds ${chain.length} certificates, at most ${MAX_CHAIN} are taken` };
    // What is wrong with the leaf has names of its own. Of the others even one that no path needs must be readable: their ends are watched.
    for (const { raw } of chain.slice(1)) readCertificate(raw);
    return chain;
  } catch (error) {
    return { file, reason: `holds a certificate that cannot be read (${(error as Error).message})` };
  }
}

function keyProblem(pem: string, leaf: X509Certificate, { privateKey: file, certificateChain }: PartNames): IdentityProblem | null {
  if (/-----BEGIN ENCRYPTED|Proc-Type: 4,ENCRYPTED/.test(pem)) return { file, reason: "is encrypted; a sidecar has nobody to ask for a passphrase" };
  try {
    const key = createPrivateKey(pem);
    return leaf.checkPrivateKey(key) ? null : { file, reason: `does not belong to the first certificate of ${certificateChain}` };
  } catch {
    // OpenSSL's message could quote what it read.
    return { file, reason: "is not a private key in PEM" };
  }
}

function rootProblem(own: TrustBundle, { roots }: PartNames): IdentityProblem | null {
  const reason = trustBundleProblem(own);
  return reason === null ? null : { file: roots, reason };
}

interface OwnPath {
  readonly chain: readonly X509Certificate[];
  readonly spiffeId: string;
  readonly facts: CertificateFacts;
  readonly own: TrustBundle;
  readonly nowMs: number;
}

function pathProblem({ chain, spiffeId, facts, own, nowMs }: OwnPath, { certificateChain: file }: PartNames): IdentityProblem | null {
  const verdict = verifySvid(chain, {
    trust: TrustStore.of(own.trustDomain, [own]),
    acceptsTrustDomain: () => true,
    nowMs,
    peerName: file,
    ownSpiffeId: spiffeId,
  });
  if (!(verdict instanceof PeerRefused)) return null;
  // The time itself would make another problem of it at every look.
  const validity = `valid from ${new Date(facts.notBeforeMs).toISOString()} to ${new Date(facts.notAfterMs).toISOString()}`;
  const isTooEarlyOrLate = verdict.reason === "tls_peer_expired" || verdict.reason === "tls_peer_not_yet_valid";
  return { file, reason: `the certificate of ${spiffeId} would be refused by every peer: ${verdict.reason}${isTooEarlyOrLate ? `, it is ${validity}` : ""}` };
}

/** OpenSSL has its own idea of what may be sent: it takes no chain with a weak key or signature in it, whether a path needs that or not. */
function contextProblem(material: IdentityMaterial, { certificateChain: file }: PartNames): IdentityProblem | null {
  try {
    tlsContext(material, "TLSv1.2");
    return null;
  } catch (error) {
    return { file, reason: `cannot be used for TLS: ${tlsErrorText(error as Error)}` };
  }
}
