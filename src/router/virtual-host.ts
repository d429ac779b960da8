import type { RouteSpec, VirtualHostSpec } from "../config/snapshot.ts";
import type { RequestHead } from "../message/head.ts";
import { RouteIndex } from "./route-index.ts";
import { CompiledRoute, type FailedCondition } from "./route-match.ts";

/** Fewer routes are looked through faster than found by their paths. */
const INDEXED_FROM = 9;

/** A route that was tried; `failed` is null if it was taken. */
export interface TriedRoute {
  readonly route: RouteSpec;
  readonly failed: FailedCondition | null;
}

/**
 * One virtual host with its routes. They are made ready when the first request comes: most of a mesh's hosts are never
 * called by one workload. Regular expressions are compiled at once, so that a snapshot with one that cannot be is never
 * obeyed.
 */
export class VirtualHost {
  readonly spec: VirtualHostSpec;
  #routes: readonly CompiledRoute[] | null;
  #index: RouteIndex | null = null;

  constructor(spec: VirtualHostSpec) {
    this.spec = spec;
    this.#routes = hasRegex(spec) ? this.#prepare() : null;
  }

  /** The first route whose conditions hold, null when none does. `path` is normalised, without query. */
  find(request: RequestHead, path: string, query: string | null): RouteSpec | null {
    const routes = this.#routes ?? this.#prepare();
    if (this.#index !== null) return this.#index.find(request, path, query)?.spec ?? null;
    for (let index = 0; index < routes.length; index++) {
      const route = routes[index] as CompiledRoute;
      if (route.match.holds(request, path, query)) return route.spec;
    }
    return null;
  }

  /** The routes one after another, up to the one that `find` gives. */
  explain(request: RequestHead, path: string, query: string | null): TriedRoute[] {
    const tried: TriedRoute[] = [];
    for (const route of this.#routes ?? this.#prepare()) {
      const failed = route.match.explain(request, path, query);
      tried.push({ route: route.spec, failed });
      if (failed === null) break;
    }
    return tried;
  }

  #prepare(): readonly CompiledRoute[] {
    const routes = this.spec.routes.map((route) => new CompiledRoute(route));
    this.#routes = routes;
    if (routes.length >= INDEXED_FROM) this.#index = new RouteIndex(routes);
    return routes;
  }
}

function hasRegex({ routes }: VirtualHostSpec): boolean {
  return routes.some(({ match }) => {
    const { uri, method, authority, scheme, headers, withoutHeaders, queryParams } = match;
    return [uri, method, authority, scheme].some((each) => each?.kind === "regex")
      || [headers, withoutHeaders, queryParams].some((list) => list.some((each) => each.match.kind === "regex"));
  });
}
