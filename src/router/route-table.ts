import type { RouteSpec, RouteTableSpec, VirtualHostSpec } from "../config/snapshot.ts";
import type { RequestHead } from "../message/head.ts";
import { type TriedRoute, VirtualHost } from "./virtual-host.ts";

/** The way to a route, or past all of them. */
export interface RouteExplanation {
  /** Null: no virtual host has the request's host, and there is no `*`. */
  readonly virtualHost: string | null;
  /** The routes tried in order; the last one has `failed` null if it was taken. */
  readonly tried: readonly TriedRoute[];
}

/**
 * A route table compiled once per snapshot. Finding the virtual host costs one map lookup, plus one per label of the host
 * when only a wildcard can match, however many virtual hosts there are (`spec/02` 2.3).
 */
export class RouteTable {
  readonly spec: RouteTableSpec;
  readonly #virtualHosts = new Map<VirtualHostSpec, VirtualHost>();
  readonly #exact = new Map<string, VirtualHost>();
  /** By what follows the star, dot included: `.example.com`. */
  readonly #suffixes = new Map<string, VirtualHost>();
  #fallback: VirtualHost | null = null;

  /** @param last the table of that name before: virtual hosts of which it has the very spec are taken over from it. */
  constructor(spec: RouteTableSpec, last: RouteTable | null = null) {
    this.spec = spec;
    const known = last === null ? null : last.#virtualHosts;
    for (const virtualHostSpec of spec.virtualHosts) {
      const virtualHost = known?.get(virtualHostSpec) ?? new VirtualHost(virtualHostSpec);
      this.#virtualHosts.set(virtualHostSpec, virtualHost);
      // A domain named twice belongs to whom it was given first.
      for (const domain of virtualHostSpec.domains) this.#add(domain.endsWith(".") ? domain.slice(0, -1) : domain, virtualHost);
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
    return virtualHost.find(request, path, query);
  }

  /** The same decision with its reasons; not for the hot path. */
  explainFind(request: RequestHead, host: string): RouteExplanation {
    const virtualHost = this.#virtualHost(host);
    if (virtualHost === null) return { virtualHost: null, tried: [] };
    const [path = "", ...rest] = request.path.split("?");
    const query = rest.length === 0 ? null : rest.join("?");
    return { virtualHost: virtualHost.spec.name, tried: virtualHost.explain(request, path, query) };
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
