import { generateKeyPairSync } from "node:crypto";

import { describe, expect, it } from "vitest";

import { watchedCertificates } from "../../../src/control/certificate-validity.ts";
import { systemClock } from "../../../src/core/clock.ts";
import type { CertificateRequest } from "../../../src/identity/development-ca.ts";
import type { IdentityMaterial } from "../../../src/identity/identity-material.ts";
import { type IdentityProblem, loadMaterial } from "../../../src/identity/load-material.ts";
import { TlsIdentity } from "../../../src/identity/tls-identity.ts";
import { idOf, newCa } from "./test-mesh.ts";

const ca = newCa();
const issued = ca.issue(idOf("reviews"));

function load(certificateChain: string): IdentityMaterial | IdentityProblem {
  return loadMaterial({ certificateChain, privateKey: issued.privateKeyPem, roots: issued.rootPem, federated: [] }, 1, systemClock.wallMs());
}

/*
 * Symptom: a chain with a certificate in it that no path needs was taken, and then threw out of whoever used it: of the data threads, which
 * stayed with the old identity while the log called the new one in force, and of the watch over its end, which at a start ended the process.
 * Cause: the path search passes over what it cannot use. Fix: each certificate of the chain is read, and the chain is tried with OpenSSL.
 */
describe("a chain with a certificate that no path needs", () => {
  const stranger = (request: CertificateRequest): string => newCa().issue("spiffe://cluster.local", { isCa: true, keyUsage: ["keyCertSign"], ...request }).certificateChainPem;
  const weakKey = (): string => generateKeyPairSync("rsa", { modulusLength: 1024 }).privateKey.export({ format: "pem", type: "pkcs8" });

  it.each([
    ["that nobody can read", stranger({ uris: ["spiffe://with a space"] }), /^holds a certificate that cannot be read \(byte 32 in a name\)$/],
    ["with a weak key", stranger({ privateKeyPem: weakKey() }), /^cannot be used for TLS: ca key too small$/],
  ])("%s is refused by name", (_what, pem, reason) => {
    expect(load(issued.certificateChainPem + pem)).toEqual({ file: "cert-chain.pem", reason: expect.stringMatching(reason) as string });
  });

  it("and that is otherwise good does no harm", () => {
    const material = load(issued.certificateChainPem + stranger({}));
    if ("file" in material) throw new Error(material.reason);
    expect(() => new TlsIdentity(systemClock).apply(material)).not.toThrow();
    expect(watchedCertificates(material).map(({ kind }) => kind)).toEqual(["leaf", "issuer", "bundle"]);
  });
});

it("a chain of our own whose intermediate may not sign is refused, since every peer would", () => {
  const { certificateChainPem, privateKeyPem, rootPem } = ca.intermediate("unsaid", { keyUsage: null }).issue(idOf("reviews"));
  const loaded = loadMaterial({ certificateChain: certificateChainPem, privateKey: privateKeyPem, roots: rootPem, federated: [] }, 1, systemClock.wallMs());
  expect(loaded).toEqual({ file: "cert-chain.pem", reason: `the certificate of ${idOf("reviews")} would be refused by every peer: tls_peer_ca_key_usage` });
});
