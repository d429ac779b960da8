/** The ALPN name by which two Outriders agree to carry HTTP/1 requests as streams of one connection. */
export const HOP_ALPN = "outrider";

/** What the HTTP connections of a pool speak, and what they offer by ALPN where TLS is spoken (`spec/05` 5.4). */
export interface HttpOffer {
  readonly protocol: "http1" | "http2";
  /** The hop is offered too; whether the peer takes it shows after the handshake. */
  readonly hop: boolean;
  readonly alpn: readonly string[];
}

/* One object for each combination, so that pools compare them by identity. */

export const HTTP1_OFFER: HttpOffer = { protocol: "http1", hop: false, alpn: ["istio-http/1.1", "istio", "http/1.1"] };
/** Requests are HTTP/1.1 for any peer but an Outrider. */
export const HOP_OFFER: HttpOffer = { protocol: "http1", hop: true, alpn: [HOP_ALPN, ...HTTP1_OFFER.alpn] };
export const HTTP2_OFFER: HttpOffer = { protocol: "http2", hop: false, alpn: ["istio-h2", "istio", "h2"] };
/** To servers outside of the mesh nothing is offered but what is needed (`spec/04` 4.7). */
export const ORIGINATED_HTTP1_OFFER: HttpOffer = { protocol: "http1", hop: false, alpn: [] };
export const ORIGINATED_HTTP2_OFFER: HttpOffer = { protocol: "http2", hop: false, alpn: ["h2"] };

/** True when a connection with this ALPN result is a hop. */
export function isHop(alpn: string | null): boolean {
  return alpn === HOP_ALPN;
}

/**
 * True when a connection made with `offer` carries many requests at once: what was agreed on says so, or HTTP/2 was
 * declared, which is then spoken whether or not the peer agreed on anything.
 */
export function isMultiplexed(offer: HttpOffer, alpn: string | null): boolean {
  return offer.protocol === "http2" || alpn === HOP_ALPN || alpn === "h2";
}
