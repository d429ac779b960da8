import type { RateLimitSpec } from "../config/snapshot-route.ts";
import { CorsPolicy } from "../filter/cors-policy.ts";
import type { FilterRequest } from "../filter/filter-chain.ts";
import { allocate, partsOf } from "../filter/rate-limit-memory.ts";
import { RateLimiter } from "../filter/rate-limiter.ts";
import type { FilterAccount } from "./recorded-filter.ts";
import { writtenAt } from "./written-at.ts";

/** What the fault gate says of a request. What happens to some requests only is said, and not drawn. */
export function accountOfFault({ route, info }: FilterRequest): FilterAccount | null {
  const fault = route?.fault;
  if (fault === undefined) return null;
  const { delay, abort } = fault;
  const parts: string[] = [];
  if (delay !== null) parts.push(`${share(delay.perMillion, "delays", "would delay")} by ${delay.durationMs} ms`);
  if (abort !== null) {
    const answer = abort.grpcStatus === null || !info.isGrpc ? `${abort.httpStatus}` : `gRPC status ${abort.grpcStatus}`;
    parts.push(`${share(abort.perMillion, "aborts", "would abort")} with ${answer}`);
  }
  return { ...writtenAt(route?.provenance ?? null), reason: parts.join(", "), nearMiss: null };
}

function share(perMillion: number, always: string, sometimes: string): string {
  return perMillion >= 1_000_000 ? `${always} every request` : `${sometimes} ${perMillion / 10_000} % of requests`;
}

/** What the CORS gate says of a request. */
export function accountOfCors({ route, head }: FilterRequest): FilterAccount | null {
  const spec = route?.cors;
  if (spec === undefined) return null;
  const origin = head.headers.get("origin");
  const reason = origin === undefined || origin === "" ? "there is no Origin header"
    : CorsPolicy.of(spec).allows(origin) ? `origin ${JSON.stringify(origin)} is allowed` : `origin ${JSON.stringify(origin)} is not allowed`;
  return { ...writtenAt(route?.provenance ?? null), reason, nearMiss: null };
}

/** Which buckets a request would take tokens of; none is taken. */
export function accountOfRateLimits(request: FilterRequest): FilterAccount | null {
  const limits = request.route?.rateLimits ?? [];
  const [first] = limits;
  if (first === undefined) return null;
  return { ...writtenAt(first.place), reason: limits.map((limit) => describeLimit(limit, request)).join("; "), nearMiss: null };
}

/** Made once for each limit, to be asked and not to be taken from. */
const limiters = new WeakMap<RateLimitSpec, RateLimiter>();

function limiterOf(limit: RateLimitSpec): RateLimiter {
  const known = limiters.get(limit);
  if (known !== undefined) return known;
  const { buckets, total } = partsOf(limit);
  const limiter = new RateLimiter(limit, { buckets: buckets === null ? null : allocate(buckets), total: total === null ? null : allocate(total) }, () => {});
  limiters.set(limit, limiter);
  return limiter;
}

function describeLimit(limit: RateLimitSpec, request: FilterRequest): string {
  const buckets = limiterOf(limit).bucketsFor(request);
  const name = `limit ${JSON.stringify(limit.name)}`;
  if (buckets.length === 0) return `${name} is not for it`;
  const beyond = limit.enforcedPerMillion >= 1_000_000 ? `beyond it ${limit.status}` : limit.enforcedPerMillion === 0 ? "beyond it only counted" : `beyond it ${limit.status} for ${limit.enforcedPerMillion / 10_000} %`;
  const noted = limit.enabledPerMillion >= 1_000_000 ? "takes" : `takes, for ${limit.enabledPerMillion / 10_000} % of requests,`;
  return `${name} ${noted} a token of ${buckets.map((entry) => describeBucket(entry, request)).join(" and of ")}, ${beyond}`;
}

function describeBucket({ bucket, keys }: ReturnType<RateLimiter["bucketsFor"]>[number], request: FilterRequest): string {
  const { maxTokens, tokensPerFill, fillIntervalMs } = bucket.spec;
  const values = keys.map((key) => `${key.spec.kind}${key.spec.name === "" ? "" : ` ${key.spec.name}`} ${JSON.stringify(key.valueIn(request))}`);
  const whose = values.length === 0 ? "all requests" : values.join(", ");
  return `the bucket of ${whose} (${tokensPerFill} in ${fillIntervalMs} ms, ${maxTokens} at most)`;
}
