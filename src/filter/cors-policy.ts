import type { CorsSpec } from "../config/snapshot-route.ts";
import { compileStringMatch, type StringMatcher } from "../core/string-match.ts";

/** Prepared once for each spec, which lives as long as its snapshot. */
const prepared = new WeakMap<CorsSpec, CorsPolicy>();

/** What a route says to scripts of other origins (`spec/03` 3.10), ready to be said. */
export class CorsPolicy {
  readonly spec: CorsSpec;
  /** Null: nothing is said of it. A lone `*` stands for whatever is asked for. */
  readonly methods: string | null;
  readonly headers: string | null;
  readonly exposed: string | null;
  readonly #origins: readonly StringMatcher[];
  readonly #takesAny: boolean;

  static of(spec: CorsSpec): CorsPolicy {
    const known = prepared.get(spec);
    if (known !== undefined) return known;
    const policy = new CorsPolicy(spec);
    prepared.set(spec, policy);
    return policy;
  }

  private constructor(spec: CorsSpec) {
    this.spec = spec;
    this.methods = joined(spec.allowMethods);
    this.headers = joined(spec.allowHeaders);
    this.exposed = joined(spec.exposeHeaders);
    this.#origins = spec.allowOrigins.map((origin) => compileStringMatch(origin));
    // Envoy's reading: a condition that `*` itself meets is met by all.
    this.#takesAny = this.#origins.some((origin) => origin.matches("*"));
  }

  allows(origin: string): boolean {
    return this.#takesAny || this.#origins.some((matcher) => matcher.matches(origin));
  }
}

function joined(values: readonly string[]): string | null {
  return values.length === 0 ? null : values.join(",");
}
