import type { ResourceOf } from "../kinds/kind-specs.ts";
import type { LocalRateLimitSettings } from "../kinds/local-rate-limit.ts";
import type { RateLimitActions } from "../kinds/rate-limit-action.ts";
import { positionOf, resourceName } from "../resource.ts";
import type { AddedHeaderSpec, RateLimitSpec } from "../snapshot-route.ts";
import type { ProblemList } from "./problem-list.ts";
import { bucketsOf, tokenBucketOf } from "./rate-limit-descriptors.ts";

const MILLION = 1_000_000;
const DEFAULT_STATUS = 429;

/** Settings of Envoy's local rate limit, and the patch that wrote them. */
export interface WrittenLimit {
  readonly settings: LocalRateLimitSettings;
  readonly resource: ResourceOf<"EnvoyFilter">;
  readonly patch: number;
}

/**
 * Envoy's settings as a limit of ours, null where they limit nothing: without a bucket, or by `filter_enabled`, which is 0 % unless
 * it is written. `where`: the place in the path; each place has buckets of its own.
 */
export function envoyLimit({ settings, resource, patch }: WrittenLimit, where: string, actions: readonly RateLimitActions[], problems: ProblemList): RateLimitSpec | null {
  const path = ["spec", "configPatches", patch];
  const { statPrefix, tokenBucket, filterEnabled, filterEnforced, status } = settings;
  if (tokenBucket === undefined) return null;
  if (filterEnabled === 0) {
    problems.warning(resource, path, "limits nothing: filter_enabled is 0 % unless it is written");
    return null;
  }
  if (filterEnforced === 0) problems.warning(resource, path, "refuses nothing and only counts: filter_enforced is 0 % unless it is written");
  const buckets = bucketsOf(settings, actions);
  if (typeof buckets === "string") {
    problems.error(resource, path, `${buckets} is not supported: this limit is not in force`);
    return null;
  }
  const { namespace, name } = resource.metadata;
  const code = status?.code ?? DEFAULT_STATUS;
  return {
    name: `EnvoyFilter/${namespace}/${name}/${patch}/${where}`,
    statName: statPrefix,
    place: { resource: resourceName(resource), rule: patch, file: resource.file, line: positionOf(resource, path).line },
    enabledPerMillion: Math.round(filterEnabled * MILLION),
    enforcedPerMillion: Math.round(filterEnforced * MILLION),
    buckets,
    total: tokenBucketOf(tokenBucket),
    alwaysTakesTotal: settings.alwaysConsumeDefaultTokenBucket,
    isPerConnection: settings.localRateLimitPerDownstreamConnection,
    status: code < 400 ? DEFAULT_STATUS : code,
    grpcStatus: settings.rateLimitedAsResourceExhausted ? 8 : 14,
    headers: settings.enableXRatelimitHeaders === "OFF" ? "none" : "x-ratelimit",
    refusalHeaders: headersOf(settings.responseHeadersToAdd),
    passedHeaders: headersOf(settings.requestHeadersToAddWhenNotEnforced),
  };
}

/** One without a value is added only where that is wanted. */
function headersOf(headers: LocalRateLimitSettings["responseHeadersToAdd"]): AddedHeaderSpec[] {
  return headers.filter(({ value, keepEmptyValue }) => value !== "" || keepEmptyValue).map(({ name, value, action }) => ({ name, value, action }));
}
