import { createPrivateKey, X509Certificate } from "node:crypto";

import { DerReader } from "./der-reader.ts";

/**
 * Certificates that stand in DER one after the other, as the SPIFFE Workload API gives a chain and a bundle, in PEM.
 *
 * @throws {Error} when something in between is not a certificate; the message holds nothing of it.
 */
export function certificatesPem(der: Buffer): string {
  const blocks: string[] = [];
  const reader = new DerReader(der);
  while (!reader.isAtEnd) {
    const block = certificatePem(reader);
    if (block === null) throw new Error(`certificate ${blocks.length + 1} cannot be read`);
    blocks.push(block);
  }
  return blocks.join("");
}

/** Null for what is not exactly one certificate: Node looks for PEM first, and takes what it finds anywhere within the bytes. */
function certificatePem(reader: DerReader): string | null {
  try {
    const der = reader.element();
    const certificate = new X509Certificate(der);
    return certificate.raw.equals(der) ? certificate.toString() : null;
  } catch {
    return null;
  }
}

/**
 * A private key in PKCS#8 as PEM.
 *
 * @throws {Error} when it is none, or encrypted.
 */
export function privateKeyPem(der: Buffer): string {
  try {
    return createPrivateKey({ key: der, format: "der", type: "pkcs8" }).export({ format: "pem", type: "pkcs8" });
  } catch {
    // OpenSSL's message could quote what it read.
    throw new Error("is not an unencrypted private key in PKCS#8");
  }
}
