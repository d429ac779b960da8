import type { KeyedBucketSpec, RateLimitKeySpec, RateLimitSpec, TokenBucketSpec } from "../../../src/config/snapshot-route.ts";
import type { FilterRequest } from "../../../src/filter/filter-chain.ts";
import { RequestHead } from "../../../src/message/head.ts";
import { HeaderList } from "../../../src/message/header-list.ts";
import { StreamInfo } from "../../../src/message/stream-info.ts";
import { connection } from "../telemetry/fixtures.ts";
import { NO_BODY } from "./no-body.ts";

/** A limit of which the test says what matters. */
export function limitOf(limit: Partial<RateLimitSpec>): RateLimitSpec {
  return {
    name: "limit", statName: "limit", place: { resource: "VirtualService default/reviews", rule: null, file: "f.yaml", line: 1 },
    enabledPerMillion: 1_000_000, enforcedPerMillion: 1_000_000, buckets: [], total: null, alwaysTakesTotal: false, isPerConnection: false,
    status: 429, grpcStatus: 8, headers: "none", refusalHeaders: [], passedHeaders: [], ...limit,
  };
}

export function keyOf(kind: RateLimitKeySpec["kind"], more: Partial<RateLimitKeySpec> = {}): RateLimitKeySpec {
  return { kind, name: "", match: null, isInverted: false, takesAbsent: false, each: false, ...more };
}

/** One bucket for each value of a header. */
export function byHeader(name: string, bucket: TokenBucketSpec, maxBuckets = 1000): KeyedBucketSpec {
  return { keys: [keyOf("header", { name, each: true })], bucket, maxBuckets };
}

/** A request as a gate sees it. */
export function requestOf(options: { headers?: readonly (readonly [string, string])[]; path?: string; method?: string; peer?: string | null } = {}): FilterRequest {
  const facts = connection(options.peer ?? null);
  return {
    head: new RequestHead(options.method ?? "GET", "reviews", options.path ?? "/", HeaderList.of(...(options.headers ?? []))),
    connection: facts, info: new StreamInfo("outbound", facts, 0), route: null, changeResponse() {}, onAbandoned() {}, ...NO_BODY,
  };
}
