import type { StringMatchSpec } from "../core/string-match.ts";

/*
 * What a route does besides choosing where a request goes (`spec/03` 3.3, 3.8 to 3.10). Part of the snapshot: plain
 * data. Whatever is absent or null is not done, and costs nothing.
 */

/** First what is removed, then the values in their order (`spec/03` 3.3 "headers"). */
export interface HeaderOperationsSpec {
  /** Names in lower case. */
  readonly remove: readonly string[];
  readonly values: readonly HeaderValueSpec[];
}

export interface HeaderValueSpec {
  readonly name: string;
  /** As written: may hold `%VARIABLES%`; `%%` is a percent sign. */
  readonly value: string;
  /** True adds one more line; false replaces those there are. */
  readonly isAppended: boolean;
}

/** How a request and its response are changed on the way, by a rule or by one of several destinations. */
export interface ChangesSpec {
  readonly request: HeaderOperationsSpec | null;
  readonly response: HeaderOperationsSpec | null;
  /** Of a rule only. */
  readonly path: PathRewriteSpec | null;
  readonly authority: string | null;
}

/**
 * How the path of a request is changed; its query stays.
 * - `prefix`: the first `length` characters of the path, those the match consumed, become `value`.
 * - `whole`: the path becomes `value`.
 * - `regex`: every match of the RE2 expression becomes `value`, in which `\1` is the first group.
 */
export type PathRewriteSpec =
  | { readonly kind: "prefix"; readonly length: number; readonly value: string }
  | { readonly kind: "whole"; readonly value: string }
  | { readonly kind: "regex"; readonly regex: string; readonly value: string };

/** An answer of ours that sends the client elsewhere; its body is empty. */
export interface RedirectSpec {
  readonly kind: "redirect";
  readonly status: 301 | 302 | 303 | 307 | 308;
  readonly scheme: "http" | "https" | null;
  readonly authority: string | null;
  /** A number; or none, as the protocol has it; or that of the listener; null: as in the authority of the request. */
  readonly port: number | "FROM_PROTOCOL_DEFAULT" | "FROM_REQUEST_PORT" | null;
  /** As for a rewrite; a `whole` value that holds a query replaces that of the request. Null: the path of the request. */
  readonly path: PathRewriteSpec | null;
}

/** Faults that are injected before the router: `spec/03` 3.8. Chances are in millionths, drawn one by one. */
export interface FaultSpec {
  readonly delay: { readonly durationMs: number; readonly perMillion: number } | null;
  readonly abort: {
    /** For gRPC requests the gRPC status, if there is one, stands in its place. */
    readonly httpStatus: number;
    readonly grpcStatus: number | null;
    readonly perMillion: number;
  } | null;
}

/** `spec/03` 3.10. */
export interface CorsSpec {
  /** Of the whole `Origin`, scheme and port included. */
  readonly allowOrigins: readonly StringMatchSpec[];
  /** Joined with `,` as they are; `*` alone echoes what was asked for. */
  readonly allowMethods: readonly string[];
  readonly allowHeaders: readonly string[];
  readonly exposeHeaders: readonly string[];
  /** Whole seconds; null: not said. */
  readonly maxAgeSeconds: number | null;
  readonly allowCredentials: boolean;
  readonly unmatchedPreflights: "FORWARD" | "IGNORE";
}

/** A copy of requests that nobody waits for: `spec/03` 3.9. */
export interface MirrorSpec {
  readonly cluster: string;
  readonly perMillion: number;
}

/** Tokens come in evenly, `tokensPerFill` of them in each `fillIntervalMs`, until there are `maxTokens`. A request takes one. */
export interface TokenBucketSpec {
  readonly maxTokens: number;
  readonly tokensPerFill: number;
  readonly fillIntervalMs: number;
}

/**
 * A local rate limit: token buckets that all data threads share. A request takes a token of the first bucket of each list
 * in `buckets` whose keys fit it, the one that fills most slowly first, and of `total` if none did, or always. The first
 * that has none refuses the request.
 */
export interface RateLimitSpec {
  /** Unique in the snapshot; living buckets are kept by it as long as they are the same. */
  readonly name: string;
  /** What metrics call it; several limits may share a name. */
  readonly statName: string;
  /** Where it was written, as `Provenance`. */
  readonly place: { readonly resource: string; readonly rule: number | null; readonly file: string; readonly line: number };
  /** Of how many requests it takes note at all, and of those beyond it how many it refuses; in millionths. */
  readonly enabledPerMillion: number;
  readonly enforcedPerMillion: number;
  readonly buckets: readonly (readonly KeyedBucketSpec[])[];
  readonly total: TokenBucketSpec | null;
  readonly alwaysTakesTotal: boolean;
  /** Each connection has buckets of its own. */
  readonly isPerConnection: boolean;
  readonly status: number;
  /** What gRPC clients are told: RESOURCE_EXHAUSTED or UNAVAILABLE. */
  readonly grpcStatus: 8 | 14;
  /** Fields that tell the client how much is left: IETF's `RateLimit`, or the older `x-ratelimit-*`. */
  readonly headers: "none" | "ratelimit" | "x-ratelimit";
  /** Added to a refusal, and to a request that was beyond the limit and let pass. */
  readonly refusalHeaders: readonly AddedHeaderSpec[];
  readonly passedHeaders: readonly AddedHeaderSpec[];
}

/** A bucket for requests whose keys fit; with `each` keys, one for each combination of their values, `maxBuckets` at most. */
export interface KeyedBucketSpec {
  readonly keys: readonly RateLimitKeySpec[];
  readonly bucket: TokenBucketSpec;
  readonly maxBuckets: number;
}

/** Something of a request that a limit asks for. */
export interface RateLimitKeySpec {
  readonly kind: "header" | "query" | "method" | "path" | "host" | "principal" | "namespace" | "requestPrincipal" | "address" | "cluster";
  /** The header's name in lower case, or the query parameter's; else empty. */
  readonly name: string;
  /** The value must be like this; null: any. */
  readonly match: StringMatchSpec | null;
  /** The condition must not hold. */
  readonly isInverted: boolean;
  /** What there is not counts as the empty text; otherwise the key does not fit. */
  readonly takesAbsent: boolean;
  /** Each value has a bucket of its own. */
  readonly each: boolean;
}

export interface AddedHeaderSpec {
  readonly name: string;
  readonly value: string;
  readonly action: "APPEND_IF_EXISTS_OR_ADD" | "ADD_IF_ABSENT" | "OVERWRITE_IF_EXISTS_OR_ADD" | "OVERWRITE_IF_EXISTS";
}
