import type { Random } from "../core/random.ts";

/** What a picker needs to know of a candidate. */
export interface Candidate {
  /** Positive and relative to the other candidates. */
  readonly weight: number;
  /** Requests that were given to it and are not over. */
  readonly activeRequests: number;
}

/**
 * A choice among candidates that do not change. When membership, health or weights change, a new picker takes its
 * place; `pick` cannot see half an update.
 */
export interface Picker<C extends Candidate> {
  /** The next candidate, or null when there is none. */
  pick(random: Random): C | null;
}
