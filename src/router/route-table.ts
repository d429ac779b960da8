import type { RouteSpec, RouteTableSpec, VirtualHostSpec } from "../config/snapshot.ts";
import type { RequestHead } from "../message/head.ts";
import { CompiledRoute } from "./route-match.ts";
import type { FailedCondition } from "./route-match.ts";

class VirtualHost {
  readonly spec: VirtualHostSpec;
  readonly routes: readonly CompiledRoute[];

  constructor(spec: VirtualHostSpec) {
    this.spec = spec;
    this.routes = spec.routes.map((route) => new CompiledRoute(route));
  }
}

/** The way to a route, or past all of them. */
export interface RouteExplanation {
  /** Null: no virtual host has the request's host, and there is no `*`. */
  readonly virtualHost: string | null;
  /** The routes tried in order; the last one has `failed` null if it was taken. */
  readonly tried: readonly { readonly route: RouteSpec; readonly failed: FailedCondition | null }[];
}

/**
 * A route table compiled once per snapshot. Finding the virtual host costs one map lookup, plus one per label of the host
 * when only a wildcard can match, however many virtual hosts there are (`spec/02` 2.3).
 */
export class RouteTable {
  readonly spec: RouteTableSpec;
  readonly #exact = new Map<string, VirtualHost>();
  /** By what follows the star, dot included: `.example.com`. */
  readonly #suffixes = new Map<string, VirtualHost>();
  #fallback: VirtualHost | null = null;

  constructor(spec: RouteTableSpec) {
    this.spec = spec;
    for (const virtualHostSpec of spec.virtualHosts) {
      const virtualHost = new VirtualHost(virtualHostSpec);
      // A domain named twice belongs to whom it was given first.
      for (const domain of virtualHostSpec.domains) this.#add(domain.replace(/\.$/, ""), virtualHost);
    }
  }

  /**
   * The route of a request, null when none matches. `host` is its authority in lower case without port and trailing
   * dot (`normalizeAuthority`), `request.path` is normalised.
   */
  find(request: RequestHead, host: string): RouteSpec | null {
    const virtualHost = this.#virtualHost(host);
    if (virtualHost === null) return null;
    const queryAt = request.path.indexOf("?");
    const path = queryAt < 0 ? request.path : request.path.slice(0, queryAt);
    const query = queryAt < 0 ? null : request.path.slice(queryAt + 1);
    for (let index = 0; index < virtualHost.routes.length; index++) {
      const route = virtualHost.routes[index] as CompiledRoute;
      if (route.match.holds(request, path, query)) return route.spec;
    }
    return null;
  }

  /** The same decision with its reasons; not for the hot path. */
  explainFind(request: RequestHead, host: string): RouteExplanation {
    const virtualHost = this.#virtualHost(host);
    if (virtualHost === null) return { virtualHost: null, tried: [] };
    const [path = "", ...rest] = request.path.split("?");
    const query = rest.length === 0 ? null : rest.join("?");
    const tried: { route: RouteSpec; failed: FailedCondition | null }[] = [];
    for (const route of virtualHost.routes) {
      const failed = route.match.explain(request, path, query);
      tried.push({ route: route.spec, failed });
      if (failed === null) break;
    }
    return { virtualHost: virtualHost.spec.name, tried };
  }

  #add(domain: string, virtualHost: VirtualHost): void {
    if (domain === "*") this.#fallback ??= virtualHost;
    else if (domain.startsWith("*.")) addOnce(this.#suffixes, domain.slice(1), virtualHost);
    else addOnce(this.#exact, domain, virtualHost);
  }

  #virtualHost(host: string): VirtualHost | null {
    const exact = this.#exact.get(host);
    if (exact !== undefined) return exact;
    if (this.#suffixes.size > 0) {
      // The leftmost dot starts the longest suffix.
      for (let dot = host.indexOf(".", 1); dot > 0; dot = host.indexOf(".", dot + 1)) {
        const found = this.#suffixes.get(host.slice(dot));
        if (found !== undefined) return found;
      }
    }
    return this.#fallback;
  }
}

function addOnce(map: Map<string, VirtualHost>, key: string, virtualHost: VirtualHost): void {
  if (!map.has(key)) map.set(key, virtualHost);
}
