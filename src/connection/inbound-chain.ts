import type { MtlsMode, ProtocolSpec } from "../config/snapshot.ts";

/** ALPN names by which an Istio peer announces mesh mTLS, and what it will speak inside (`spec/02` 2.7). */
const MESH_HTTP = new Set(["istio-http/1.0", "istio-http/1.1", "istio-h2"]);
const MESH_ANY = new Set([...MESH_HTTP, "istio", "istio-peer-exchange"]);

/** What the first bytes showed. */
export type Observed =
  | { readonly kind: "tls"; readonly alpn: readonly string[] }
  | { readonly kind: "http" }
  | { readonly kind: "opaque" };

/**
 * How an inbound connection is served. `terminate`: mesh mTLS, then the protocol named. `terminate-own`: the same with the
 * port's own TLS. `refuse`: no filter chain matches; the reason is for the log and the metric.
 */
export type InboundChain =
  | { readonly kind: "terminate" | "terminate-own"; readonly protocol: "http" | "tcp" }
  | { readonly kind: "plaintext"; readonly protocol: "http" | "tcp" }
  | { readonly kind: "refuse"; readonly reason: UnmatchedReason };

export type UnmatchedReason = "plaintext_on_strict_port" | "tls_without_mesh_alpn" | "plaintext_on_tls_port";

/** True when the port's chain can be told without waiting for the downstream to speak: it may be waiting for us. */
export function servesUnseen(mode: MtlsMode, protocol: ProtocolSpec, hasOwnTls = false): boolean {
  return mode === "DISABLE" && protocol === "tcp" && !hasOwnTls;
}

/**
 * True when plaintext that is no HTTP may be served on the port, so that its application may be the one who speaks
 * first. Never where only TLS is: nothing the application says may reach a peer that has not proved who it is.
 */
export function dialsEarly(mode: MtlsMode, protocol: ProtocolSpec, hasOwnTls = false): boolean {
  return mode !== "STRICT" && protocol !== "http" && !hasOwnTls && !servesUnseen(mode, protocol);
}

/**
 * The inbound filter-chain matrix of `spec/02` 2.7, one row per mode and port class, conditions in match order. Only
 * a peer that offers one of Istio's ALPN names means the sidecar; any other TLS under PERMISSIVE belongs to the
 * application. `hasOwnTls`: a Sidecar has TLS for the port, whose mutual TLS is off.
 */
export function chooseInboundChain(mode: MtlsMode, protocol: ProtocolSpec, observed: Observed, hasOwnTls = false): InboundChain {
  if (hasOwnTls) {
    if (observed.kind !== "tls") return { kind: "refuse", reason: "plaintext_on_tls_port" };
    return { kind: "terminate-own", protocol: protocol === "http" ? "http" : "tcp" };
  }
  if (mode === "DISABLE") return { kind: "plaintext", protocol: disabledProtocol(protocol, observed) };
  if (observed.kind !== "tls") {
    if (mode === "STRICT") return { kind: "refuse", reason: "plaintext_on_strict_port" };
    const isHttp = protocol === "http" || (protocol === "auto" && observed.kind === "http");
    return { kind: "plaintext", protocol: isHttp ? "http" : "tcp" };
  }
  const offersHttp = observed.alpn.some((name) => MESH_HTTP.has(name));
  if (mode === "STRICT") {
    const isHttp = protocol === "http" || (protocol === "auto" && offersHttp);
    return { kind: "terminate", protocol: isHttp ? "http" : "tcp" };
  }
  const offersMesh = observed.alpn.some((name) => MESH_ANY.has(name));
  if (!offersMesh) {
    return protocol === "http" ? { kind: "refuse", reason: "tls_without_mesh_alpn" } : { kind: "plaintext", protocol: "tcp" };
  }
  const isHttp = protocol === "http" || (protocol === "auto" && offersHttp);
  return { kind: "terminate", protocol: isHttp ? "http" : "tcp" };
}

/** With mTLS off nothing looks for TLS: a ClientHello to an HTTP port is bad HTTP, to any other it is opaque. */
function disabledProtocol(protocol: ProtocolSpec, observed: Observed): "http" | "tcp" {
  if (protocol === "auto") return observed.kind === "http" ? "http" : "tcp";
  return protocol;
}
