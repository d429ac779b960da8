import type { SniRouteSpec } from "../config/snapshot.ts";
import { parseIpAddress } from "../core/cidr.ts";
import { BySubnet } from "./by-subnet.ts";
import { inspectClientHello } from "./client-hello.ts";

/** A connection that begins with a ClientHello, whole or so malformed that its name cannot be told. */
export interface PassedTls {
  /** Null: the client sent none. */
  readonly serverName: string | null;
  /** Null: none of the routes has it. */
  readonly route: SniRouteSpec | null;
}

/**
 * The TLS routes of a listener, made ready once per snapshot (`spec/02` 2.5). As in Istio's sidecar the address counts
 * before the name: routes for the narrowest block that holds it are asked first. Where they do not have the name, routes
 * for wider blocks are, and at last those for any address.
 */
export class SniRoutes {
  readonly #names: ServerNames;
  /** Null where no route asks for an address. */
  readonly #bySubnet: BySubnet<ServerNames> | null;

  constructor(routes: readonly SniRouteSpec[]) {
    this.#names = new ServerNames(routes.filter(({ destinationSubnets }) => destinationSubnets === undefined));
    const blocks = Map.groupBy(
      routes.flatMap((route) => (route.destinationSubnets ?? []).map((block) => ({ block, route }))),
      ({ block }) => block,
    );
    const entries = [...blocks].map(([block, inside]) => ({ block, value: new ServerNames(inside.map(({ route }) => route)) }));
    this.#bySubnet = entries.length === 0 ? null : new BySubnet(entries);
  }

  /**
   * The route for a ClientHello's server name, null when none of them has it.
   *
   * @param serverName lower case without trailing dot (`inspectClientHello`); null when the client sent none.
   * @param destination the address that was dialled.
   */
  find(serverName: string | null, destination: string): SniRouteSpec | null {
    const address = this.#bySubnet === null ? null : parseIpAddress(destination);
    const found = address === null ? null : this.#bySubnet?.find(address, (names) => names.find(serverName));
    return found ?? this.#names.find(serverName);
  }

  /**
   * What all the first bytes of a connection so far come to. Once they begin a ClientHello they are never `not-tls` again,
   * so that no cut or broken hello is served as something else.
   */
  inspect(bytes: Buffer, destination: string): PassedTls | "incomplete" | "not-tls" {
    const hello = inspectClientHello(bytes);
    if (hello.kind === "incomplete" || hello.kind === "not-tls") return hello.kind;
    if (hello.kind === "malformed") return { serverName: null, route: null };
    return { serverName: hello.serverName, route: this.find(hello.serverName, destination) };
  }
}

/**
 * Routes by server name alone. The exact name counts before the longest wildcard, wherever they are listed; among equal
 * names the first listed counts.
 */
class ServerNames {
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

  #add(host: string, route: SniRouteSpec): void {
    if (host === "*") this.#any ??= route;
    else if (host.startsWith("*")) addOnce(this.#suffixes, host.slice(1), route);
    else addOnce(this.#exact, host, route);
  }
}

function addOnce(map: Map<string, SniRouteSpec>, key: string, route: SniRouteSpec): void {
  if (!map.has(key)) map.set(key, route);
}
