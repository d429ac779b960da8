import type { Socket } from "node:net";
import { connect, type TLSSocket } from "node:tls";

import type { DevelopmentCa } from "../../src/identity/development-ca.ts";
import { testCa } from "./proxy-under-test.ts";

export interface MeshClientOptions {
  /** Null: no client certificate. */
  readonly spiffeId?: string | null;
  readonly ca?: DevelopmentCa;
  readonly alpn?: readonly string[];
  /** Of the handshake; empty: none is sent. */
  readonly serverName?: string;
  /** Ticket of an earlier connection. */
  readonly session?: Buffer;
}

/** What a sidecar of Istio offers for HTTP/1.1 and for opaque bytes (spec/05 5.4). */
export const ISTIO_HTTP = ["istio-http/1.1", "istio", "http/1.1"];
export const ISTIO_TCP = ["istio-peer-exchange", "istio"];

/** A peer that is not ours: speaks TLS with Node's own client over `socket`. */
export function meshClient(socket: Socket, options: MeshClientOptions = {}): TLSSocket {
  const { spiffeId = "spiffe://cluster.local/ns/default/sa/productpage", ca = testCa, alpn = ISTIO_HTTP, serverName = "outbound_.9080_._.reviews.default.svc.cluster.local", session } = options;
  const issued = spiffeId === null ? null : ca.issue(spiffeId);
  return connect({
    socket, servername: serverName, rejectUnauthorized: false,
    ...(session === undefined ? {} : { session }),
    ...(alpn.length > 0 ? { ALPNProtocols: [...alpn] } : {}),
    ...(issued === null ? {} : { cert: issued.certificateChainPem, key: issued.privateKeyPem }),
  });
}
