import * as v from "valibot";
import { envoyDuration } from "./envoy-message.ts";
import { filledText, flag, integer, list, object, oneOf, text, uint32 } from "./field.ts";
import { rateLimitActions } from "./rate-limit-action.ts";

/*
 * `envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit` (`spec/00` 0.6), in camel case (`envoy-message.ts`).
 * Refused like an unknown field: `local_cluster_rate_limit`, which needs a cluster of proxies that know of each other.
 */

/** Envoy refills no faster. */
const MIN_FILL_INTERVAL_MS = 50;

const tokenBucket = object({
  maxTokens: integer(1, 4_294_967_295),
  tokensPerFill: v.optional(integer(1, 4_294_967_295), 1),
  /** Milliseconds. */
  fillInterval: envoyDuration(MIN_FILL_INTERVAL_MS),
});

const DENOMINATORS = { HUNDRED: 100, TEN_THOUSAND: 10_000, MILLION: 1_000_000 } as const;

/** `RuntimeFractionalPercent` as a fraction from 0 to 1. There is no runtime to look its key up in: the default counts. */
const fraction = v.pipe(
  object({
    runtimeKey: v.optional(text),
    defaultValue: v.optional(object({
      numerator: v.optional(uint32, 0),
      denominator: v.optional(oneOf("HUNDRED", "TEN_THOUSAND", "MILLION"), "HUNDRED"),
    }), {}),
  }),
  v.transform(({ defaultValue: { numerator, denominator } }) => Math.min(1, numerator / DENOMINATORS[denominator])),
);

const headerOption = v.pipe(
  object({
    header: object({ key: filledText, value: v.optional(text, "") }),
    append: v.optional(flag),
    appendAction: v.optional(oneOf("APPEND_IF_EXISTS_OR_ADD", "ADD_IF_ABSENT", "OVERWRITE_IF_EXISTS_OR_ADD", "OVERWRITE_IF_EXISTS")),
    keepEmptyValue: v.optional(flag, false),
  }),
  v.check(({ append, appendAction }) => append === undefined || appendAction === undefined, "set only one of append and append_action"),
  v.transform(({ header, append, appendAction, keepEmptyValue }) => ({
    name: header.key, value: header.value, keepEmptyValue,
    action: appendAction ?? (append === false ? "OVERWRITE_IF_EXISTS_OR_ADD" as const : "APPEND_IF_EXISTS_OR_ADD" as const),
  })),
);
const headerOptions = v.pipe(list(headerOption), v.maxLength(10, "must have at most 10 entries"));

const descriptor = object({
  /** An entry with an empty value stands for any value, each with a bucket of its own. */
  entries: v.pipe(list(object({ key: filledText, value: v.optional(text, "") })), v.minLength(1, "must have at least one entry")),
  tokenBucket,
});

export const localRateLimit = object({
  statPrefix: filledText,
  status: v.optional(object({ code: v.optional(integer(100, 599)) })),
  tokenBucket: v.optional(tokenBucket),
  filterEnabled: v.optional(fraction, {}),
  filterEnforced: v.optional(fraction, {}),
  requestHeadersToAddWhenNotEnforced: headerOptions,
  responseHeadersToAdd: headerOptions,
  descriptors: list(descriptor),
  stage: v.optional(integer(0, 10), 0),
  localRateLimitPerDownstreamConnection: v.optional(flag, false),
  enableXRatelimitHeaders: v.optional(oneOf("OFF", "DRAFT_VERSION_03"), "OFF"),
  vhRateLimits: v.optional(oneOf("OVERRIDE", "INCLUDE", "IGNORE"), "OVERRIDE"),
  alwaysConsumeDefaultTokenBucket: v.optional(flag, true),
  rateLimitedAsResourceExhausted: v.optional(flag, false),
  rateLimits: list(rateLimitActions),
  maxDynamicDescriptors: v.optional(uint32, 20),
});

/** One limit: durations in milliseconds, percentages as fractions from 0 to 1, headers with what is done where there is one. */
export type LocalRateLimitSettings = v.InferOutput<typeof localRateLimit>;

/** What the schema cannot say, or null. */
export function localRateLimitFault(settings: LocalRateLimitSettings): { readonly path: (string | number)[]; readonly message: string } | null {
  const interval = settings.tokenBucket?.fillInterval;
  if (interval === undefined && settings.descriptors.length > 0) return { path: [], message: "has descriptors, so it needs a token_bucket as well" };
  const odd = settings.descriptors.findIndex((entry) => interval !== undefined && entry.tokenBucket.fillInterval % interval !== 0);
  if (odd >= 0) return { path: ["descriptors", odd, "tokenBucket", "fillInterval"], message: `must be a multiple of ${interval}ms, the fill_interval of the limit itself` };
  return null;
}
