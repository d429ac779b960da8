import type { X509Certificate } from "node:crypto";
import type { TLSSocket } from "node:tls";

import { MAX_CHAIN } from "./certificate-path.ts";

/** The certificates the peer sent, leaf first, at most one more than are ever accepted. */
export function presentedChain(socket: TLSSocket): X509Certificate[] {
  const chain: X509Certificate[] = [];
  let next = socket.getPeerX509Certificate();
  while (next !== undefined && chain.length <= MAX_CHAIN) {
    chain.push(next);
    next = next.issuerCertificate;
  }
  return chain;
}
