import { createSecureContext, type SecureContext } from "node:tls";

import type { IngressTlsSpec } from "../config/snapshot-security.ts";
import type { Clock } from "../core/clock.ts";
import { refuseClient } from "../identity/client-certificate.ts";
import { PeerRefused } from "../identity/peer-refused.ts";
import { presentedChain } from "../identity/presented-chain.ts";
import { TLS_SETTINGS } from "../identity/tls-context.ts";
import { tlsErrorText } from "../identity/tls-error.ts";
import { readTrustBundle } from "../identity/trust-store.ts";
import { readPem } from "../upstream/pem-file.ts";
import type { OwnServerTls } from "./tls-server.ts";

/** Contexts and pairs remembered; a context that is dropped is made again when it is needed. */
const MAX_CONTEXTS = 64;

/** Told that a certificate and its key cannot be used, so that those before them stay in use. */
export type PairKept = (certificatePath: string, reason: string) => void;

interface Pair {
  readonly cert: string;
  readonly key: string;
}

/**
 * The TLS contexts of ports that terminate TLS for callers from outside of the mesh, made when the first of them comes.
 * Certificate and key that do not belong together, as while somebody rotates them one after the other, leave the pair before
 * them in use; where there was none it is tried again with the next caller.
 */
export class IngressContexts {
  readonly #clock: Clock;
  readonly #kept: PairKept;
  readonly #known = new Map<string, OwnServerTls>();
  /** What was good last, by the paths of both. */
  readonly #pairs = new Map<string, Pair>();

  constructor(clock: Clock, kept: PairKept) {
    this.#clock = clock;
    this.#kept = kept;
  }

  /** What a port is served with, or why nobody can be served. */
  of(spec: IngressTlsSpec): OwnServerTls | PeerRefused {
    const key = JSON.stringify(spec);
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    try {
      const context = this.#make(spec);
      remember(this.#known, key, context);
      return context;
    } catch (error) {
      return new PeerRefused("tls_no_identity", `the port's own TLS cannot be served: ${(error as Error).message}`);
    }
  }

  #make(spec: IngressTlsSpec): OwnServerTls {
    const { caCertificatesPath } = spec;
    const ca = caCertificatesPath === null ? null : readPem(caCertificatesPath, "caCertificates");
    const secureContext = this.#secureContext(spec, ca);
    if (ca === null) return { secureContext, refuseClient: null };
    const anchors = readTrustBundle(ca);
    return { secureContext, refuseClient: (socket, peerName) => refuseClient(presentedChain(socket), anchors, this.#clock.wallMs(), peerName) };
  }

  #secureContext(spec: IngressTlsSpec, ca: string | null): SecureContext {
    const paths = JSON.stringify([spec.certificatePath, spec.privateKeyPath]);
    try {
      const pair = { cert: readPem(spec.certificatePath, "serverCertificate"), key: readPem(spec.privateKeyPath, "privateKey") };
      const context = contextOf(pair, ca, spec);
      remember(this.#pairs, paths, pair);
      return context;
    } catch (error) {
      const last = this.#pairs.get(paths);
      if (last === undefined) throw error;
      const context = contextOf(last, ca, spec);
      this.#kept(spec.certificatePath, tlsErrorText(error as Error));
      return context;
    }
  }
}

function contextOf(pair: Pair, ca: string | null, { leastVersion }: IngressTlsSpec): SecureContext {
  return createSecureContext({
    ...pair,
    ...(ca === null ? {} : { ca }),
    // No tickets either: a session resumed would be of a client nobody asked.
    ...TLS_SETTINGS,
    minVersion: leastVersion,
    sessionIdContext: "ingress",
  });
}

/** Forgets the oldest beyond a few. */
function remember<Value>(values: Map<string, Value>, key: string, value: Value): void {
  values.delete(key);
  values.set(key, value);
  const [oldest] = values.keys();
  if (values.size > MAX_CONTEXTS && oldest !== undefined) values.delete(oldest);
}
