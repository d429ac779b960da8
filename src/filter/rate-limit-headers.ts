import type { AddedHeaderSpec, RateLimitSpec } from "../config/snapshot-route.ts";
import type { HeaderList } from "../message/header-list.ts";
import type { BucketVerdict } from "./rate-limiter.ts";

type Field = readonly [name: string, value: string];

/**
 * What a client is told of the bucket that decided. `ratelimit`: `RateLimit-Policy` and `RateLimit` of
 * draft-ietf-httpapi-ratelimit-headers-10, sections 3 and 4 (`q` quota, `w` window, `r` remaining, `t` seconds until it is
 * full). `x-ratelimit`: what Envoy sends for `DRAFT_VERSION_03` (`spec/00` 0.6).
 */
export function limitFields({ headers, name }: RateLimitSpec, { bucket, remaining, resetS }: BucketVerdict): Field[] {
  const { maxTokens, tokensPerFill, fillIntervalMs } = bucket.spec;
  if (headers === "x-ratelimit") {
    return [["x-ratelimit-limit", String(maxTokens)], ["x-ratelimit-remaining", String(remaining)], ["x-ratelimit-reset", String(resetS)]];
  }
  if (headers === "none") return [];
  const id = JSON.stringify(name.replaceAll(/[^ -~]/g, "?"));
  // The window in which the whole quota comes in anew, in whole seconds.
  const windowS = Math.max(1, Math.ceil((maxTokens / tokensPerFill) * fillIntervalMs / 1000));
  return [["RateLimit-Policy", `${id};q=${maxTokens};w=${windowS}`], ["RateLimit", `${id};r=${remaining};t=${resetS}`]];
}

/** Several limits each say theirs: lists (RFC 9651) may come in several lines, the older fields are replaced. */
export function addLimitFields(headers: HeaderList, fields: readonly Field[]): void {
  for (const [name, value] of fields) {
    if (name.startsWith("x-")) headers.set(name, value);
    else headers.append(name, value);
  }
}

/** Adds configured fields, each in its way (Envoy's `HeaderValueOption`). */
export function addHeaders(headers: HeaderList, added: readonly AddedHeaderSpec[]): void {
  for (const { name, value, action } of added) {
    const isThere = headers.has(name.toLowerCase());
    if (action === "APPEND_IF_EXISTS_OR_ADD") headers.append(name, value);
    else if (action === "OVERWRITE_IF_EXISTS_OR_ADD" || (action === "OVERWRITE_IF_EXISTS") === isThere) headers.set(name, value);
  }
}
