import { isIP } from "node:net";

import type { UpstreamTlsSpec } from "../config/snapshot.ts";
import type { OriginatedTlsSpec } from "../config/snapshot-cluster.ts";

/** TLS to one server outside of the mesh: what its cluster says, for the name it was asked by. */
export interface OriginatedTls {
  readonly mode: "SIMPLE" | "MUTUAL";
  readonly spec: OriginatedTlsSpec;
  /** Sent in the ClientHello; null: none is. */
  readonly serverName: string | null;
  /** One of them the server's certificate must have. Empty: nobody knows who it should be, so it is refused. */
  readonly expectedNames: readonly string[];
}

/** How a connection is protected: pools and dials are told apart by the object. */
export type TransportTls = UpstreamTlsSpec | OriginatedTls;

/**
 * What to say and to ask for when a cluster originates TLS (`spec/04` 4.7).
 *
 * @param host the request's, lower case without port, an IPv6 address without brackets; null where there is none.
 */
export function originatedTls(spec: OriginatedTlsSpec, host: string | null): OriginatedTls {
  const name = spec.serverName ?? host ?? spec.fallbackName;
  // An address is no server name (RFC 6066 section 3), but a certificate may be for one.
  const serverName = name === null || isIP(name) !== 0 ? null : name;
  const expectedNames = spec.subjectAltNames.length > 0 ? spec.subjectAltNames : name === null ? [] : [name];
  return { mode: spec.mode, spec, serverName, expectedNames };
}

/** Whether connections with this TLS are to peers of the mesh, which have SPIFFE IDs and generations of trust. */
export function isMeshTls(tls: TransportTls | null): tls is UpstreamTlsSpec {
  return tls !== null && tls.mode === "ISTIO_MUTUAL";
}
