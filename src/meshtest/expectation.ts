import * as v from "valibot";
import { durationOrZero } from "../config/kinds/duration.ts";
import { filledText, flag, integer, object, oneOf, quote, text } from "../config/kinds/field.ts";
import { regex } from "../config/kinds/string-match.ts";

/*
 * What a case says must become of its request. Every field is optional, and what is not written is not asserted.
 * `null` where something may be absent asserts that it is.
 */

/** Either a text, or the mapping that says the same at length. */
function textOr<const T extends v.GenericSchema>(schema: T) {
  return v.lazy((input): v.GenericSchema<unknown, string | v.InferOutput<T>> => (typeof input === "object" && input !== null ? schema : text) as v.GenericSchema<unknown, string | v.InferOutput<T>>);
}

const conditions = object({
  exact: v.optional(text), prefix: v.optional(text), suffix: v.optional(text), contains: v.optional(text), regex: v.optional(regex),
});
/** The text itself, or conditions all of which must hold; `regex` is RE2 and matches the whole text. */
const textMatch = textOr(conditions);
export type TextMatch = v.InferOutput<typeof textMatch>;

const place = object({
  resource: v.optional(filledText), rule: v.optional(integer(0, 1_000_000)), name: v.optional(text), file: v.optional(filledText), line: v.optional(integer(1, 1_000_000)),
});
const denial = object({
  filter: v.optional(filledText), resource: v.optional(v.nullable(filledText)), rule: v.optional(v.nullable(integer(0, 1_000_000))), reason: v.optional(textMatch),
});

const listOrText = v.lazy((input): v.GenericSchema<unknown, readonly string[]> => (typeof input === "string"
  ? v.pipe(text, v.transform((one) => one.split(",").map((entry) => entry.trim()).filter((entry) => entry !== "")))
  : v.array(text, (issue) => `must be a list or a text, not ${quote(issue.input)}`)) as v.GenericSchema<unknown, readonly string[]>);

const weight = v.pipe(v.number((issue) => `must be a number, not ${quote(issue.input)}`), v.minValue(0, "must not be negative"));
/** One name, several whatever their weights, or names to weights; the list is whole. */
const clusters = v.lazy((input): v.GenericSchema<unknown, string | readonly string[] | Readonly<Record<string, number>>> => {
  if (Array.isArray(input)) return v.array(filledText);
  if (typeof input === "object" && input !== null) return v.record(filledText, weight);
  return v.pipe(v.string((issue) => `must be a cluster's name, a list of names, or names with their weights, not ${quote(issue.input)}`), v.nonEmpty("must not be empty"));
});

/** One header as it is sent upstream: its value, its lines, a condition on one of them, or null for "not there". */
const header = v.lazy((input): v.GenericSchema<unknown, string | readonly string[] | null | HeaderConditions> => {
  if (input === null) return v.null();
  if (Array.isArray(input)) return v.array(text);
  if (typeof input === "object") return headerConditions as v.GenericSchema<unknown, HeaderConditions>;
  return v.string((issue) => `must be a value, a list of values, a condition such as {present: true}, or null for "not there", not ${quote(issue.input)}`);
});
const headerConditions = object({
  present: v.optional(flag), exact: v.optional(text), prefix: v.optional(text), suffix: v.optional(text), contains: v.optional(text), regex: v.optional(regex),
});
export type HeaderConditions = v.InferOutput<typeof headerConditions>;
export type HeaderExpectation = v.InferOutput<typeof header>;

const headers = v.record(filledText, header, (issue) => `must be a mapping of header names, not ${quote(issue.input)}`);

const retries = object({
  attempts: v.optional(integer(0, 1_000_000)), perTryTimeout: v.optional(durationOrZero), retryOn: v.optional(listOrText),
});
const attempts = integer(0, 1_000_000);

export const expectation = object({
  verdict: v.optional(oneOf("route", "reply", "deny", "reset")),
  status: v.optional(v.nullable(integer(100, 599))),
  flag: v.optional(text),
  details: v.optional(textMatch),
  route: v.optional(v.nullable(textOr(place))),
  clusters: v.optional(clusters),
  endpoints: v.optional(v.array(filledText, (issue) => `must be a list of addresses, not ${quote(issue.input)}`)),
  method: v.optional(filledText),
  authority: v.optional(textMatch),
  path: v.optional(textMatch),
  headers: v.optional(headers),
  timeout: v.optional(v.nullable(durationOrZero)),
  retries: v.optional(v.nullable(v.lazy((input): v.GenericSchema<unknown, number | v.InferOutput<typeof retries>> =>
    (typeof input === "object" ? retries : attempts) as v.GenericSchema<unknown, number | v.InferOutput<typeof retries>>))),
  deniedBy: v.optional(v.nullable(textOr(denial))),
  filters: v.optional(v.record(filledText, oneOf("pass", "deny", "reply", "skipped"), (issue) => `must be a mapping of filters to verdicts, not ${quote(issue.input)}`)),
  asks: v.optional(v.nullable(filledText)),
  transport: v.optional(oneOf("mtls", "mixed", "tls", "plaintext")),
  body: v.optional(textMatch),
  replyHeaders: v.optional(headers),
});
export type Expectation = v.InferOutput<typeof expectation>;
