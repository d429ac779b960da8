import { readFileSync, statSync } from "node:fs";
import { createSecureContext, getCACertificates } from "node:tls";
import type { SecureContext, SecureContextOptions } from "node:tls";

import type { OriginatedTlsSpec } from "../config/snapshot-cluster.ts";
import { PeerRefused } from "../identity/peer-refused.ts";

const MAX_FILE_BYTES = 4 * 1024 * 1024;

/**
 * The TLS contexts of clusters that originate TLS, one for each spec, made when the first connection needs it. What cannot be
 * made is tried again with the next connection: whoever rotates writes certificate and key one after the other.
 */
export class OriginatedContexts {
  readonly #bySpec = new WeakMap<OriginatedTlsSpec, SecureContext>();
  /** Read when first needed, and then for good, as OpenSSL does. */
  #systemAuthorities: string[] | null = null;

  /** The context for a spec, or why connections cannot be made: a file that is missing or is not what it should be. */
  of(spec: OriginatedTlsSpec, peerName: string): SecureContext | PeerRefused {
    const known = this.#bySpec.get(spec);
    if (known !== undefined) return known;
    try {
      const context = createSecureContext(this.#options(spec));
      this.#bySpec.set(spec, context);
      return context;
    } catch (error) {
      return new PeerRefused("tls_no_identity", `cannot speak TLS to ${peerName}: ${(error as Error).message}`);
    }
  }

  #options(spec: OriginatedTlsSpec): SecureContextOptions {
    const authorities = spec.caCertificatesPath === null ? this.#system() : readPem(spec.caCertificatesPath, "caCertificates");
    return {
      minVersion: "TLSv1.2",
      ...(authorities === undefined ? {} : { ca: authorities }),
      ...(spec.crlPath === null ? {} : { crl: readPem(spec.crlPath, "caCrl") }),
      ...(spec.clientCertificatePath === null ? {} : { cert: readPem(spec.clientCertificatePath, "clientCertificate") }),
      ...(spec.privateKeyPath === null ? {} : { key: readPem(spec.privateKeyPath, "privateKey") }),
    };
  }

  /** Undefined: an image without a store of its own, so Node's copy of Mozilla's. */
  #system(): string[] | undefined {
    this.#systemAuthorities ??= getCACertificates("system");
    return this.#systemAuthorities.length > 0 ? this.#systemAuthorities : undefined;
  }
}

function readPem(path: string, field: string): string {
  try {
    const { size } = statSync(path);
    if (size > MAX_FILE_BYTES) throw new Error(`is larger than ${MAX_FILE_BYTES} bytes`);
    const text = readFileSync(path, "latin1");
    if (!text.includes("-----BEGIN ")) throw new Error("holds no PEM");
    return text;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new Error(`${field} ${path} ${code === "ENOENT" ? "does not exist" : code === undefined ? message : `cannot be read (${code})`}`, { cause: error });
  }
}
