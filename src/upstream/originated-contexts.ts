import { createSecureContext, getCACertificates, setDefaultCACertificates } from "node:tls";
import type { SecureContext, SecureContextOptions } from "node:tls";

import type { OriginatedTlsSpec } from "../config/snapshot-cluster.ts";
import { PeerRefused } from "../identity/peer-refused.ts";
import { readPem } from "./pem-file.ts";

/** Contexts remembered; one that is dropped is made again when it is needed. */
const MAX_CONTEXTS = 256;

/**
 * The TLS contexts of clusters that originate TLS, made when the first connection needs one and shared by all specs with the
 * same files: reading authorities costs milliseconds. What cannot be made is tried again with the next connection: whoever
 * rotates writes certificate and key one after the other.
 */
export class OriginatedContexts {
  readonly #bySpec = new WeakMap<OriginatedTlsSpec, SecureContext>();
  readonly #byFiles = new Map<string, SecureContext>();
  #hasSystemAuthorities = false;

  /** The context for a spec, or why connections cannot be made: a file that is missing or is not what it should be. */
  of(spec: OriginatedTlsSpec, peerName: string): SecureContext | PeerRefused {
    const known = this.#bySpec.get(spec);
    if (known !== undefined) return known;
    try {
      const context = this.#ofFiles(spec);
      this.#bySpec.set(spec, context);
      return context;
    } catch (error) {
      return new PeerRefused("tls_no_identity", `cannot speak TLS to ${peerName}: ${(error as Error).message}`);
    }
  }

  #ofFiles(spec: OriginatedTlsSpec): SecureContext {
    const key = JSON.stringify([spec.caCertificatesPath, spec.crlPath, spec.clientCertificatePath, spec.privateKeyPath, spec.filesDigest]);
    const known = this.#byFiles.get(key);
    if (known !== undefined) return known;
    const context = createSecureContext(this.#options(spec));
    this.#byFiles.set(key, context);
    const [oldest] = this.#byFiles.keys();
    if (this.#byFiles.size > MAX_CONTEXTS && oldest !== undefined) this.#byFiles.delete(oldest);
    return context;
  }

  #options(spec: OriginatedTlsSpec): SecureContextOptions {
    if (spec.caCertificatesPath === null) this.#useSystemAuthorities();
    return {
      minVersion: "TLSv1.2",
      ...(spec.caCertificatesPath === null ? {} : { ca: readPem(spec.caCertificatesPath, "caCertificates") }),
      ...(spec.crlPath === null ? {} : { crl: readPem(spec.crlPath, "caCrl") }),
      ...(spec.clientCertificatePath === null ? {} : { cert: readPem(spec.clientCertificatePath, "clientCertificate") }),
      ...(spec.privateKeyPath === null ? {} : { key: readPem(spec.privateKeyPath, "privateKey") }),
    };
  }

  /**
   * From now on those of the system are what this thread believes where no others are named, read once, as OpenSSL does. In
   * an image without a store of its own it stays Node's copy of Mozilla's.
   */
  #useSystemAuthorities(): void {
    if (this.#hasSystemAuthorities) return;
    this.#hasSystemAuthorities = true;
    const authorities = [...new Set(getCACertificates("system"))];
    if (authorities.length > 0) setDefaultCACertificates(authorities);
  }
}
