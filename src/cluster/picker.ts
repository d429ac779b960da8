import type { Random } from "../core/random.ts";

/** What a picker needs to know of a candidate. */
export interface Candidate {
  /** Positive and relative to the other candidates. */
  readonly weight: number;
  /** Requests that were given to it and are not over. */
  readonly activeRequests: number;
  /** What tells it from the others where they are hashed: `address:port`. */
  readonly hashKey: string;
}

/**
 * A choice among candidates that do not change. When membership, health or weights change, a new picker takes its
 * place; `pick` cannot see half an update.
 */
export interface Picker<C extends Candidate> {
  /** The next candidate, or null when there is none. `hash`: of the request, xxHash64; absent or null: it has none. */
  pick(random: Random, hash?: bigint | null): C | null;
}
