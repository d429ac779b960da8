import type { Random } from "../core/random.ts";
import { type Chance, certainty, drawnChance } from "./chance.ts";
import { type FilterMetrics, NO_FILTER_METRICS } from "./filter-metrics.ts";
import { RateLimiters, type RateLimitParts } from "./rate-limiters.ts";

/** What the gates that draw, count and take tokens are given. */
export interface GateParts {
  readonly chance: Chance;
  readonly metrics: FilterMetrics;
  /** Null: no token is taken and nothing refused. */
  readonly limiters: RateLimiters | null;
}

/** For live traffic of one direction. */
export function liveGates(random: Random, metrics: FilterMetrics, rateLimits: RateLimitParts): GateParts {
  return { chance: drawnChance(random), metrics, limiters: new RateLimiters(rateLimits, metrics) };
}

/** For whoever explains: what is certain happens, nothing is drawn, counted or taken. */
export const DRY_GATES: GateParts = { chance: certainty, metrics: NO_FILTER_METRICS, limiters: null };
