import { isDeepStrictEqual } from "node:util";

import type { OriginatedTlsSpec } from "../config/snapshot-cluster.ts";
import { type OriginatedTls, originatedTls } from "../upstream/transport-tls.ts";

/** Hosts remembered per cluster, each with connections of its own; one that was asked for longest ago makes room. */
const MAX_HOSTS = 256;

/**
 * The TLS of a cluster that originates it. Where the server's name is the request's host, connections of one host must not
 * serve another: each host has a TLS object, and so pools, of its own. The same name gives the same object for as long as
 * the spec is equal.
 */
export class OriginatedNames {
  readonly #forgotten: (tls: OriginatedTls) => void;
  #spec: OriginatedTlsSpec;
  /** In the order of last use, the most recent at the end; null for what has no host. */
  #byHost = new Map<string | null, OriginatedTls>();

  /** `forgotten` is told of every TLS object that is not used any more. */
  constructor(spec: OriginatedTlsSpec, forgotten: (tls: OriginatedTls) => void) {
    this.#spec = spec;
    this.#forgotten = forgotten;
  }

  /** Takes a new spec. */
  apply(spec: OriginatedTlsSpec): void {
    if (isDeepStrictEqual(spec, this.#spec)) return;
    this.#spec = spec;
    this.clear();
  }

  /** True when what is said to the server, or asked of it, depends on the request's host. */
  get dependsOnHost(): boolean {
    return this.#spec.serverName === null;
  }

  /** The TLS for a request's host, null for a connection that has none. */
  of(host: string | null): OriginatedTls {
    const key = this.dependsOnHost ? host : null;
    const known = this.#byHost.get(key);
    if (known === undefined) return this.#add(key);
    if (this.#byHost.size > 1) {
      this.#byHost.delete(key);
      this.#byHost.set(key, known);
    }
    return known;
  }

  /** Forgets all of them. */
  clear(): void {
    const old = this.#byHost;
    this.#byHost = new Map();
    for (const tls of old.values()) this.#forgotten(tls);
  }

  #add(key: string | null): OriginatedTls {
    const tls = originatedTls(this.#spec, key);
    this.#byHost.set(key, tls);
    if (this.#byHost.size > MAX_HOSTS) this.#forgetOldest();
    return tls;
  }

  #forgetOldest(): void {
    for (const [key, tls] of this.#byHost) {
      this.#byHost.delete(key);
      this.#forgotten(tls);
      return;
    }
  }
}
