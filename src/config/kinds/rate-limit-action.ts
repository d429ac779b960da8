import * as v from "valibot";
import { filledText, flag, integer, list, object, text } from "./field.ts";
import { regex } from "./string-match.ts";

/* What a request is counted by: `rate_limits` of an Envoy route (`envoy.config.route.v3.RateLimit`), as far as it is known here. */

const range = object({ start: integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER), end: integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER) });
const safeRegex = object({ regex, googleRe2: v.optional(object({})) });

const stringMatcher = v.pipe(
  object({
    exact: v.optional(text),
    prefix: v.optional(filledText),
    suffix: v.optional(filledText),
    contains: v.optional(filledText),
    safeRegex: v.optional(safeRegex),
    ignoreCase: v.optional(flag, false),
  }),
  v.check(({ ignoreCase: _, ...kinds }) => countSet(kinds) === 1, "set exactly one of exact, prefix, suffix, contains and safe_regex"),
);

const headerMatcher = v.pipe(
  object({
    name: filledText,
    exactMatch: v.optional(text),
    safeRegexMatch: v.optional(safeRegex),
    rangeMatch: v.optional(range),
    presentMatch: v.optional(flag),
    prefixMatch: v.optional(filledText),
    suffixMatch: v.optional(filledText),
    containsMatch: v.optional(filledText),
    stringMatch: v.optional(stringMatcher),
    invertMatch: v.optional(flag, false),
    treatMissingHeaderAsEmpty: v.optional(flag, false),
  }),
  v.check(({ name: _name, invertMatch: _invert, treatMissingHeaderAsEmpty: _treat, ...kinds }) => countSet(kinds) <= 1, "set at most one kind of match"),
);
const queryParameterMatcher = object({ name: filledText, stringMatch: v.optional(stringMatcher), presentMatch: v.optional(flag) });

const countSet = (fields: object): number => Object.values(fields).filter((value) => value !== undefined).length;
const ACTIONS = ["source_cluster", "destination_cluster", "remote_address", "masked_remote_address", "request_headers", "query_parameters", "generic_key", "header_value_match", "query_parameter_value_match"];

const action = v.pipe(
  object({
    sourceCluster: v.optional(object({})),
    destinationCluster: v.optional(object({})),
    remoteAddress: v.optional(object({})),
    maskedRemoteAddress: v.optional(object({ v4PrefixMaskLen: v.optional(integer(0, 32), 32), v6PrefixMaskLen: v.optional(integer(0, 128), 128) })),
    requestHeaders: v.optional(object({ headerName: filledText, descriptorKey: filledText, skipIfAbsent: v.optional(flag, false) })),
    queryParameters: v.optional(object({ queryParameterName: filledText, descriptorKey: filledText, skipIfAbsent: v.optional(flag, false) })),
    genericKey: v.optional(object({ descriptorValue: filledText, descriptorKey: v.optional(filledText, "generic_key") })),
    headerValueMatch: v.optional(object({
      descriptorKey: v.optional(filledText, "header_match"),
      descriptorValue: filledText,
      expectMatch: v.optional(flag, true),
      headers: v.pipe(list(headerMatcher), v.minLength(1, "must name at least one header")),
    })),
    queryParameterValueMatch: v.optional(object({
      descriptorKey: v.optional(filledText, "query_match"),
      descriptorValue: filledText,
      expectMatch: v.optional(flag, true),
      queryParameters: v.pipe(list(queryParameterMatcher), v.minLength(1, "must name at least one query parameter")),
    })),
  }),
  v.check((input) => countSet(input) === 1, `set exactly one of ${ACTIONS.join(", ")}`),
);

/** The entries of one descriptor, in the order of its actions; a request that lacks one of them makes no descriptor. */
export const rateLimitActions = object({
  stage: v.optional(integer(0, 10), 0),
  disableKey: v.optional(text),
  actions: v.pipe(list(action), v.minLength(1, "must hold at least one action")),
});
export type RateLimitActions = v.InferOutput<typeof rateLimitActions>;
