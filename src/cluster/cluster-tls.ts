import { isDeepStrictEqual } from "node:util";

import type { ClusterSpec, UpstreamTlsSpec } from "../config/snapshot.ts";
import type { TransportTls } from "../upstream/transport-tls.ts";
import type { Endpoint } from "./endpoint.ts";
import type { EndpointPools } from "./endpoint-pools.ts";
import { HOP_OFFER, HTTP1_OFFER, HTTP2_OFFER, type HttpOffer, ORIGINATED_HTTP1_OFFER, ORIGINATED_HTTP2_OFFER } from "./http-offer.ts";
import { OriginatedNames } from "./originated-names.ts";

/** What of a request decides about its transport. */
interface TransportWish {
  readonly protocol: "http1" | "http2";
  readonly isUpgrade?: boolean;
}

/** How the connections of one cluster are protected, and what they offer: mesh TLS, TLS to the outside, or nothing. */
export class ClusterTls {
  readonly #pools: EndpointPools;
  readonly #canMultiplex: boolean;
  /** The mesh TLS in force; the same object for as long as it is equal. */
  #mesh: UpstreamTlsSpec | null = null;
  /** TLS to servers outside of the mesh; `#mesh` is null then. */
  #originated: OriginatedNames | null = null;
  #hasHop = false;

  constructor(pools: EndpointPools, canMultiplex: boolean) {
    this.#pools = pools;
    this.#canMultiplex = canMultiplex;
  }

  /** Takes a new spec. Pools of what is not said to servers outside of the mesh any more are retired. */
  apply({ tls, hop, originatedTls }: ClusterSpec): void {
    if (!isDeepStrictEqual(this.#mesh, tls)) this.#mesh = tls;
    this.#hasHop = hop;
    if (originatedTls === undefined) {
      this.#originated?.clear();
      this.#originated = null;
    } else if (this.#originated === null) {
      this.#pools.retireAll();
      this.#originated = new OriginatedNames(originatedTls, (unused) => this.#pools.retireTls(unused));
    } else {
      this.#originated.apply(originatedTls);
    }
  }

  /** Retires the pools of endpoints that speak another mesh TLS than the one in force. */
  retireOthers(endpoints: readonly Endpoint[]): void {
    if (this.#originated !== null) return;
    for (const endpoint of endpoints) this.#pools.retire(endpoint, this.#meshTlsOf(endpoint));
  }

  /** The host of a request is part of what TLS says and verifies. */
  get wantsHost(): boolean {
    return this.#originated !== null && this.#originated.dependsOnHost;
  }

  /** The TLS of a connection to `endpoint`; null: plaintext. `host`: the request's, where `wantsHost` says so. */
  of(endpoint: Endpoint, host: string | null): TransportTls | null {
    return this.#originated === null ? this.#meshTlsOf(endpoint) : this.#originated.of(host);
  }

  /** What a request's connection offers where it has `tls`. */
  offerFor({ protocol, isUpgrade }: TransportWish, tls: TransportTls | null): HttpOffer {
    if (this.#originated !== null) return protocol === "http2" && this.#canMultiplex ? ORIGINATED_HTTP2_OFFER : ORIGINATED_HTTP1_OFFER;
    if (!this.#canMultiplex) return HTTP1_OFFER;
    if (protocol === "http2") return HTTP2_OFFER;
    return tls !== null && this.#hasHop && isUpgrade !== true ? HOP_OFFER : HTTP1_OFFER;
  }

  #meshTlsOf(endpoint: Endpoint): UpstreamTlsSpec | null {
    return endpoint.spec.isMeshTls ? this.#mesh : null;
  }
}
