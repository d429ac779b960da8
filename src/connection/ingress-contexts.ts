import { createSecureContext } from "node:tls";

import type { IngressTlsSpec } from "../config/snapshot-security.ts";
import type { Clock } from "../core/clock.ts";
import { refuseClient } from "../identity/client-certificate.ts";
import { PeerRefused } from "../identity/peer-refused.ts";
import { presentedChain } from "../identity/presented-chain.ts";
import { TLS_SETTINGS } from "../identity/tls-context.ts";
import { readTrustBundle } from "../identity/trust-store.ts";
import { readPem } from "../upstream/pem-file.ts";
import type { OwnServerTls } from "./tls-server.ts";

/** Contexts remembered; one that is dropped is made again when it is needed. */
const MAX_CONTEXTS = 64;

/**
 * The TLS contexts of ports that terminate TLS for callers from outside of the mesh, made when the first of them comes. What
 * cannot be made is tried again with the next: whoever rotates writes certificate and key one after the other.
 */
export class IngressContexts {
  readonly #known = new Map<string, OwnServerTls>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** What a port is served with, or why nobody can be served. */
  of(spec: IngressTlsSpec): OwnServerTls | PeerRefused {
    const key = JSON.stringify(spec);
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    try {
      const context = contextOf(spec, this.#clock);
      this.#known.set(key, context);
      const [oldest] = this.#known.keys();
      if (this.#known.size > MAX_CONTEXTS && oldest !== undefined) this.#known.delete(oldest);
      return context;
    } catch (error) {
      return new PeerRefused("tls_no_identity", `the port's own TLS cannot be served: ${(error as Error).message}`);
    }
  }
}

function contextOf({ certificatePath, privateKeyPath, caCertificatesPath, leastVersion }: IngressTlsSpec, clock: Clock): OwnServerTls {
  const ca = caCertificatesPath === null ? null : readPem(caCertificatesPath, "caCertificates");
  const secureContext = createSecureContext({
    cert: readPem(certificatePath, "serverCertificate"),
    key: readPem(privateKeyPath, "privateKey"),
    ...(ca === null ? {} : { ca }),
    // No tickets either: a session resumed would be of a client nobody asked.
    ...TLS_SETTINGS,
    minVersion: leastVersion,
    sessionIdContext: "ingress",
  });
  if (ca === null) return { secureContext, refuseClient: null };
  const anchors = readTrustBundle(ca);
  return { secureContext, refuseClient: (socket, peerName) => refuseClient(presentedChain(socket), anchors, clock.wallMs(), peerName) };
}
