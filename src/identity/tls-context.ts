import { constants } from "node:crypto";
import { createSecureContext, type SecureContext } from "node:tls";

import type { IdentityMaterial } from "./identity-material.ts";

/** The oldest version of TLS that is spoken. */
export type LeastTlsVersion = "TLSv1.2" | "TLSv1.3";

/**
 * AES-128-GCM first: fastest with AES instructions, which the measurements in the handbook are made with. For TLS 1.2
 * the list of `spec/02` 2.7 without its two suites of plain RSA key exchange, which have no forward secrecy; every
 * Istio peer offers the others too.
 */
const CIPHERS = [
  "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
  "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384",
].join(":");
const GROUPS = "X25519:P-256:P-384";

/**
 * No tickets: a session resumed skips the certificate, so whoever was let in before a root was removed would be let
 * in after (CVE-2022-21654). Full handshakes are few, since connections between sidecars are long and shared.
 */
const OPTIONS = constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_NO_COMPRESSION | constants.SSL_OP_CIPHER_SERVER_PREFERENCE;

/** What TLS of the mesh, either side of it, and that of ports for callers from outside have in common. */
export const TLS_SETTINGS = { maxVersion: "TLSv1.3", ciphers: CIPHERS, ecdhCurve: GROUPS, secureOptions: OPTIONS } as const;

/** What one side of every handshake under an identity is made with. @throws {Error} when OpenSSL does not take the certificates or the key. */
export function tlsContext(material: IdentityMaterial, minVersion: LeastTlsVersion): SecureContext {
  return createSecureContext({
    cert: material.certificateChainPem,
    key: material.privateKeyPem,
    // Whom to believe is decided in `verifyPeer`, from the certificates themselves. Roots given here would be named to every client, and
    // beyond 64 KiB of names no handshake succeeds any more: the roots of one federated domain could cut us off from all others.
    ca: [],
    ...TLS_SETTINGS,
    minVersion,
    sessionIdContext: `generation-${material.generation}`,
  });
}
