import type { ProxyError } from "../message/proxy-error.ts";
import type { TransportTls } from "../upstream/transport-tls.ts";
import type { Endpoint } from "./endpoint.ts";
import type { HttpOffer } from "./http-offer.ts";
import { HttpPool } from "./http-pool.ts";
import type { PoolOwner } from "./pool-owner.ts";

/**
 * The HTTP pools of a cluster. The key is the endpoint and all that TLS verifies: the TLS spec, compared by identity
 * since the cluster keeps the object of an unchanged one, and what is offered by ALPN.
 */
export class EndpointPools {
  readonly #owner: PoolOwner;
  readonly #current = new Map<Endpoint, HttpPool[]>();
  /** No longer asked, with requests still under way. */
  readonly #retired = new Set<HttpPool>();

  constructor(owner: PoolOwner) {
    this.#owner = owner;
  }

  /** The pool to acquire from. */
  of(endpoint: Endpoint, tls: TransportTls | null, offer: HttpOffer): HttpPool {
    let pools = this.#current.get(endpoint);
    if (pools === undefined) {
      pools = [];
      this.#current.set(endpoint, pools);
    }
    for (const pool of pools) {
      if (pool.tls === tls && pool.offer === offer) return pool;
    }
    const pool = new HttpPool(endpoint, tls, offer, this.#owner, (emptied) => this.#retired.delete(emptied));
    pools.push(pool);
    return pool;
  }

  /** Every pool, those being retired too. */
  all(): HttpPool[] {
    return [...this.#current.values()].flat().concat([...this.#retired]);
  }

  /** Retires the pools of an endpoint that do not speak `tls`; all of them when `tls` is undefined. */
  retire(endpoint: Endpoint, tls?: TransportTls | null): void {
    const pools = this.#current.get(endpoint) ?? [];
    const kept = pools.filter((pool) => tls !== undefined && pool.tls === tls);
    if (kept.length === pools.length) return;
    if (kept.length > 0) this.#current.set(endpoint, kept);
    else this.#current.delete(endpoint);
    for (const pool of pools) {
      if (kept.includes(pool)) continue;
      this.#retired.add(pool);
      pool.retire();
    }
  }

  /** Retires the pools of every endpoint that speak `tls`. */
  retireTls(tls: TransportTls): void {
    for (const [endpoint, pools] of this.#current) {
      for (const pool of pools.filter((candidate) => candidate.tls === tls)) this.#drop(endpoint, pool);
    }
  }

  retireAll(): void {
    for (const endpoint of this.#current.keys()) this.retire(endpoint);
  }

  /** Cuts everything. */
  closeAll(error: ProxyError): void {
    const pools = this.all();
    this.retireAll();
    for (const pool of pools) pool.closeAll(error);
  }

  #drop(endpoint: Endpoint, pool: HttpPool): void {
    const kept = (this.#current.get(endpoint) ?? []).filter((other) => other !== pool);
    if (kept.length > 0) this.#current.set(endpoint, kept);
    else this.#current.delete(endpoint);
    this.#retired.add(pool);
    pool.retire();
  }

  /** Closes the idle connections that were made under an older identity or trust. */
  closeStale(): void {
    for (const pool of this.all()) pool.closeStale();
  }
}
