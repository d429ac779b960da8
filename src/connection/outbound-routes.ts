import type { OutboundListenerSpec, OutboundSpec, RouteSpec, RouteTableSpec, WeightedClusterSpec } from "../config/snapshot.ts";
import { normalizeAuthority } from "../message/authority.ts";
import type { SocketAddress } from "../message/connection-facts.ts";
import type { RequestHead } from "../message/head.ts";
import { type RouteExplanation, RouteTable } from "../router/route-table.ts";
import { type OpaqueRoute, OpaqueRoutes } from "./opaque-routes.ts";
import { SniRoutes } from "./sni-routes.ts";

const PASSTHROUGH: readonly WeightedClusterSpec[] = [{ name: "PassthroughCluster", weight: 1 }];
/** Nothing of a listener with a socket of its own may be passed through to where it came from. */
export const BLACK_HOLE: readonly WeightedClusterSpec[] = [{ name: "BlackHoleCluster", weight: 1 }];

/**
 * Where what the application opens goes, by one snapshot: made once for it and asked for every connection and request,
 * by live traffic and by `explain` alike.
 */
export class OutboundRoutes {
  /** Where captured connections go that no listener knows. */
  readonly catchAll: readonly WeightedClusterSpec[];
  readonly #listeners = new Map<string, OutboundListenerSpec>();
  /** Of the listeners that have any. */
  readonly #sniRoutes = new Map<OutboundListenerSpec, SniRoutes>();
  readonly #opaqueRoutes = new Map<OutboundListenerSpec, OpaqueRoutes>();
  readonly #tables: ReadonlyMap<string, RouteTable>;

  /** @param last those before: what is made of parts that are the same objects in both specs is taken over from them. */
  constructor(spec: OutboundSpec, last: OutboundRoutes | null = null) {
    const lastTables = last === null ? null : last.#tables;
    const lastSniRoutes = last === null ? null : last.#sniRoutes;
    this.catchAll = spec.catchAll === "REGISTRY_ONLY" ? BLACK_HOLE : spec.egressProxy === undefined ? PASSTHROUGH : [{ name: spec.egressProxy, weight: 1 }];
    this.#tables = new Map(spec.routeTables.map((table) => [table.name, tableFor(table, lastTables?.get(table.name) ?? null)]));
    for (const listener of spec.listeners) {
      const key = listener.bind === null ? listenerKey(listener.address, listener.port) : listener.name;
      this.#listeners.set(key, listener);
      if (listener.tls.length > 0) this.#sniRoutes.set(listener, lastSniRoutes?.get(listener) ?? new SniRoutes(listener.tls));
      this.#opaqueRoutes.set(listener, new OpaqueRoutes(listener));
    }
  }

  /** The logical listener of an original destination (`spec/02` 2.1): the exact address first, then the port alone. */
  captured({ address, port }: SocketAddress): OutboundListenerSpec | null {
    return this.#listeners.get(listenerKey(address, port)) ?? this.#listeners.get(listenerKey(null, port)) ?? null;
  }

  /** The listener called `name` that has a socket of its own. */
  bound(name: string): OutboundListenerSpec | null {
    return this.#listeners.get(name) ?? null;
  }

  /** The server names of a listener; undefined where it has none and does not look for TLS. `opaque`: as for `tableOf`. */
  sniRoutes(listener: OutboundListenerSpec, opaque: OpaqueRoute | null): SniRoutes | undefined {
    return opaque?.isDeclared === true ? undefined : this.#sniRoutes.get(listener);
  }

  /** Where the opaque bytes of a listener that were sent to `destination` go; null: the catch-all. */
  opaqueRoute(listener: OutboundListenerSpec, destination: string): OpaqueRoute | null {
    return this.#opaqueRoutes.get(listener)?.find(destination) ?? null;
  }

  hasTable(name: string): boolean {
    return this.#tables.has(name);
  }

  /** The first route of a table that takes a request; null when none does, or when its host is none. */
  findRoute(tableName: string, head: RequestHead): RouteSpec | null {
    const authority = normalizeAuthority(head.authority);
    return authority === null ? null : (this.#tables.get(tableName)?.find(head, authority.host) ?? null);
  }

  /** The same with its reasons; not for the hot path. */
  explainRoute(tableName: string, head: RequestHead): RouteExplanation {
    const authority = normalizeAuthority(head.authority);
    return (authority === null ? undefined : this.#tables.get(tableName)?.explainFind(head, authority.host)) ?? { virtualHost: null, tried: [] };
  }
}

/**
 * The table in which a listener looks up HTTP requests; null where it does not look for HTTP.
 *
 * @param opaque where the connection's opaque bytes go.
 */
export function tableOf(listener: OutboundListenerSpec | null, opaque: OpaqueRoute | null): string | null {
  return listener === null || listener.protocol === "tcp" || opaque?.isDeclared === true ? null : listener.routeTable;
}

function tableFor(spec: RouteTableSpec, last: RouteTable | null): RouteTable {
  return last?.spec === spec ? last : new RouteTable(spec, last);
}

/** For exact and wildcard listeners alike: `*:9080`, `10.0.0.1:3306`. */
function listenerKey(address: string | null, port: number): string {
  return address === null ? `*:${port}` : `${address}:${port}`;
}
