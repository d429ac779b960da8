import type { RouteMatchSpec, RouteSpec, WeightedClusterSpec } from "../config/snapshot.ts";
import type { Random } from "../core/random.ts";
import { compileStringMatch } from "../core/string-match.ts";
import type { StringMatcher, StringMatchSpec } from "../core/string-match.ts";
import type { RequestHead } from "../message/head.ts";
import { RequestField } from "../message/request-field.ts";

const URI = 0;
const FIELD = 1;
const WITHOUT_FIELD = 2;
const QUERY_PARAM = 3;

/** One condition of a route; one class for all kinds, so that the loop over them stays monomorphic. */
class RouteCondition {
  /** The field of the VirtualService it comes from: `uri`, `headers.x-user`, ... */
  readonly name: string;
  readonly matcher: StringMatcher;
  readonly #kind: number;
  readonly #field: RequestField;

  constructor(kind: number, name: string, key: string, spec: StringMatchSpec) {
    this.name = name;
    this.matcher = compileStringMatch(spec);
    this.#kind = kind;
    this.#field = new RequestField(key);
  }

  holds(request: RequestHead, path: string, query: string | null): boolean {
    switch (this.#kind) {
      case URI:
        return this.matcher.matches(path);
      case FIELD: {
        const value = this.#field.joined(request);
        return value !== undefined && this.matcher.matches(value);
      }
      case WITHOUT_FIELD: {
        // A missing header counts as the empty string, except that presence asks whether it is there at all.
        const value = this.#field.joined(request);
        return this.matcher.isPresence ? value === undefined : !this.matcher.matches(value ?? "");
      }
      default: {
        const value = query === null ? undefined : queryParam(query, this.#field.key);
        return value !== undefined && this.matcher.matches(value);
      }
    }
  }

  /** What the condition looked at, for `explain`. */
  valueIn(request: RequestHead, path: string, query: string | null): string | null {
    if (this.#kind === URI) return path;
    if (this.#kind === QUERY_PARAM) return (query === null ? undefined : queryParam(query, this.#field.key)) ?? null;
    return this.#field.joined(request) ?? null;
  }
}

/** Why a route was passed over. */
export interface FailedCondition {
  readonly condition: string;
  readonly wanted: StringMatchSpec;
  /** Null: the request has no such value. */
  readonly got: string | null;
}

/** The conditions of one route, compiled once per snapshot (`spec/03` 3.2). */
export class RouteMatch {
  /** The condition on the path; null: there is none. */
  readonly uri: StringMatcher | null;
  readonly #conditions: readonly RouteCondition[];

  constructor(spec: RouteMatchSpec) {
    const conditions: RouteCondition[] = [];
    const field = (name: string, key: string, match: StringMatchSpec | null) => {
      if (match !== null) conditions.push(new RouteCondition(FIELD, name, key, match));
    };
    if (spec.uri !== null) conditions.push(new RouteCondition(URI, "uri", "", spec.uri));
    field("method", ":method", spec.method);
    field("authority", ":authority", spec.authority);
    field("scheme", ":scheme", spec.scheme);
    for (const header of spec.headers) field(`headers.${header.name}`, header.name, header.match);
    for (const { name, match } of spec.withoutHeaders) {
      conditions.push(new RouteCondition(WITHOUT_FIELD, `withoutHeaders.${name}`, name, match));
    }
    for (const { name, match } of spec.queryParams) {
      conditions.push(new RouteCondition(QUERY_PARAM, `queryParams.${name}`, name, match));
    }
    this.#conditions = conditions;
    this.uri = spec.uri === null ? null : (conditions[0] as RouteCondition).matcher;
  }

  /** Whether all conditions hold. `path` is normalised and without query; `query` is what follows `?`, null without one. */
  holds(request: RequestHead, path: string, query: string | null): boolean {
    return this.#firstFailing(request, path, query) === null;
  }

  /** The first condition that fails, described; null when all hold. */
  explain(request: RequestHead, path: string, query: string | null): FailedCondition | null {
    const failing = this.#firstFailing(request, path, query);
    if (failing === null) return null;
    return { condition: failing.name, wanted: failing.matcher.spec, got: failing.valueIn(request, path, query) };
  }

  #firstFailing(request: RequestHead, path: string, query: string | null): RouteCondition | null {
    for (let index = 0; index < this.#conditions.length; index++) {
      const condition = this.#conditions[index] as RouteCondition;
      if (!condition.holds(request, path, query)) return condition;
    }
    return null;
  }
}

/** The first value of a query parameter as it was sent, not decoded; `""` for one without `=`; undefined when absent. */
export function queryParam(query: string, name: string): string | undefined {
  let start = 0;
  while (start <= query.length) {
    const ampersand = query.indexOf("&", start);
    const end = ampersand < 0 ? query.length : ampersand;
    if (query.startsWith(name, start)) {
      const after = start + name.length;
      if (after === end) return "";
      if (after < end && query.charCodeAt(after) === 0x3d) return query.slice(after + 1, end);
    }
    start = end + 1;
  }
  return undefined;
}

/** The route of a VirtualService, or of a service without one, ready to be matched. */
export class CompiledRoute {
  readonly spec: RouteSpec;
  readonly match: RouteMatch;

  constructor(spec: RouteSpec) {
    this.spec = spec;
    this.match = new RouteMatch(spec.match);
  }
}

/** Draws one of at least one cluster in proportion to the weights; a single one is taken whatever its weight. */
export function chooseCluster(clusters: readonly WeightedClusterSpec[], random: Random): WeightedClusterSpec {
  const last = clusters[clusters.length - 1] as WeightedClusterSpec;
  if (clusters.length === 1) return last;
  let total = 0;
  for (let index = 0; index < clusters.length; index++) total += (clusters[index] as WeightedClusterSpec).weight;
  let left = random() * total;
  for (let index = 0; index < clusters.length; index++) {
    const cluster = clusters[index] as WeightedClusterSpec;
    left -= cluster.weight;
    if (left < 0) return cluster;
  }
  return last;
}
