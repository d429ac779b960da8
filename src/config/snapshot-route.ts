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

/**
 * A local rate limit: a token bucket, or one for each value of a descriptor, shared by all data threads. The first
 * matching limit without a token refuses the request.
 */
export interface RateLimitSpec {
  /** Unique in the snapshot; living buckets are kept by it. */
  readonly name: string;
  readonly maxTokens: number;
  readonly tokensPerFill: number;
  readonly fillIntervalMs: number;
  /** What a bucket stands for; empty: one for all requests. */
  readonly descriptor: readonly RateLimitKeySpec[];
  /** Buckets at most; beyond, the one longest unused makes room. */
  readonly maxBuckets: number;
  readonly status: number;
  /** `RateLimit` and `Retry-After` headers are sent. */
  readonly sendsHeaders: boolean;
  /** Counted, and never refused. */
  readonly isDryRun: boolean;
}

/** With `value`, only requests that have it are limited; without, each value has its own bucket. */
export interface RateLimitKeySpec {
  readonly kind: "header" | "principal" | "path" | "method" | "remote-address";
  /** The header's name in lower case; else empty. */
  readonly name: string;
  readonly value: StringMatchSpec | null;
}
