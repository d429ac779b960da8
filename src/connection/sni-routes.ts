import type { SniRouteSpec } from "../config/snapshot.ts";
import { inspectClientHello } from "./client-hello.ts";

/** A connection that begins with a ClientHello, whole or so malformed that its name cannot be told. */
export interface PassedTls {
  /** Null: the client sent none. */
  readonly serverName: string | null;
  /** Null: none of the routes has it. */
  readonly route: SniRouteSpec | null;
}

/**
 * The server names of a listener, made ready once per snapshot (`spec/02` 2.5). As Istio's sidecar does, the exact name
 * counts before the longest wildcard, wherever they are listed; among equal names the first listed counts.
 */
export class SniRoutes {
  readonly #exact = new Map<string, SniRouteSpec>();
  /** By what follows the star. */
  readonly #suffixes = new Map<string, SniRouteSpec>();
  /** The lengths of the suffixes, longest first: a name costs one lookup for each, however many routes there are. */
  readonly #suffixLengths: readonly number[];
  #any: SniRouteSpec | null = null;

  constructor(routes: readonly SniRouteSpec[]) {
    for (const route of routes) {
      for (const host of route.sniHosts) this.#add(host, route);
    }
    this.#suffixLengths = [...new Set([...this.#suffixes.keys()].map((suffix) => suffix.length))].toSorted((a, b) => b - a);
  }

  /**
   * The route for a ClientHello's server name, null when none of them has it.
   *
   * @param serverName lower case without trailing dot (`inspectClientHello`); null when the client sent none.
   */
  find(serverName: string | null): SniRouteSpec | null {
    if (serverName === null) return this.#any;
    const exact = this.#exact.get(serverName);
    if (exact !== undefined) return exact;
    for (const length of this.#suffixLengths) {
      // A star stands for one character at least: `*.a.test` is not `.a.test`, and never `a.test`.
      if (length >= serverName.length) continue;
      const found = this.#suffixes.get(serverName.slice(-length));
      if (found !== undefined) return found;
    }
    return this.#any;
  }

  /**
   * What all the first bytes of a connection so far come to. Once they begin a ClientHello they are never `not-tls` again,
   * so that no cut or broken hello is served as something else.
   */
  inspect(bytes: Buffer): PassedTls | "incomplete" | "not-tls" {
    const hello = inspectClientHello(bytes);
    if (hello.kind === "incomplete" || hello.kind === "not-tls") return hello.kind;
    if (hello.kind === "malformed") return { serverName: null, route: null };
    return { serverName: hello.serverName, route: this.find(hello.serverName) };
  }

  #add(host: string, route: SniRouteSpec): void {
    if (host === "*") this.#any ??= route;
    else if (host.startsWith("*")) addOnce(this.#suffixes, host.slice(1), route);
    else addOnce(this.#exact, host, route);
  }
}

function addOnce(map: Map<string, SniRouteSpec>, key: string, route: SniRouteSpec): void {
  if (!map.has(key)) map.set(key, route);
}
