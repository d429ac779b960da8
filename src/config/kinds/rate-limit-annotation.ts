import * as v from "valibot";
import { parse } from "yaml";
import { formatPath } from "../resource.ts";
import { duration } from "./duration.ts";
import { filledText, flag, integer, object, portNumber, text } from "./field.ts";
import { isHeaderName } from "./header-rules.ts";
import { stringMatch } from "./string-match.ts";

/*
 * `outrider.io/rate-limit`, the annotation by which requests are limited: a YAML list, an entry for each limit. On a
 * VirtualService it limits what is sent by its rules, on a Service what its workloads are sent.
 */

export const RATE_LIMIT_ANNOTATION = "outrider.io/rate-limit";

/** More than this is no configuration. */
const MAX_TEXT_LENGTH = 16_384;
const MAX_ENTRIES = 64;
const MAX_TOKENS = 1_000_000_000;

export const PLAIN_KEYS = ["principal", "namespace", "requestPrincipal", "method", "path", "host", "address"] as const;

/** `principal`, `header NAME`, ... */
const keyName = v.pipe(text, v.rawTransform(({ dataset, addIssue, NEVER }) => {
  const [kind = "", name, ...more] = dataset.value.trim().split(/\s+/);
  const plain = PLAIN_KEYS.find((known) => known === kind);
  if (plain !== undefined && name === undefined) return { kind: plain, name: "" };
  if (kind === "header" && name !== undefined && more.length === 0 && isHeaderName(name)) return { kind: "header" as const, name: name.toLowerCase() };
  if (kind === "query" && name !== undefined && more.length === 0) return { kind: "query" as const, name };
  addIssue({ message: `must be one of ${PLAIN_KEYS.join(", ")}, header NAME and query NAME, not ${JSON.stringify(dataset.value)}` });
  return NEVER;
}));

const condition = v.union([v.pipe(filledText, v.transform((exact) => ({ exact }))), stringMatch], "must be a text, or one of exact, prefix and regex");

/** The keys of a mapping are read like those of `by`. */
const conditions = v.pipe(
  v.record(v.string(), condition, "must be a mapping from what is asked for to its value"),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const read = Object.entries(dataset.value).map(([key, match]) => ({ key: v.safeParse(keyName, key), match }));
    const fault = read.flatMap(({ key }) => (key.success ? [] : [key.issues[0].message]))[0];
    if (fault === undefined) return read.flatMap(({ key, match }) => (key.success ? [{ ...key.output, match }] : []));
    addIssue({ message: fault });
    return NEVER;
  }),
);

const entry = object({
  /** In metrics and headers; undefined: made of the object's name. */
  name: v.optional(v.pipe(filledText, v.regex(/^[\w.-]{1,63}$/, "must be made of letters, digits, '.', '_' and '-', 63 at most"))),
  /** The rule of the VirtualService; undefined: each of them, together. */
  rule: v.optional(filledText),
  /** The port of the Service; undefined: all of them, together. */
  port: v.optional(portNumber),
  requests: integer(1, MAX_TOKENS),
  per: duration,
  burst: v.optional(integer(1, MAX_TOKENS)),
  by: v.optional(v.pipe(v.unknown(), v.transform((input) => (Array.isArray(input) ? input as unknown[] : [input])), v.array(keyName)), []),
  when: v.optional(conditions, {}),
  maxKeys: v.optional(integer(1, 1_000_000), 10_000),
  status: v.optional(integer(400, 599), 429),
  headers: v.optional(flag, true),
  dryRun: v.optional(flag, false),
});

export type RateLimitEntry = v.InferOutput<typeof entry>;

const entries = v.pipe(v.array(entry, "must be a list, an entry for each limit"), v.maxLength(MAX_ENTRIES, `must have at most ${MAX_ENTRIES} entries`));

/** The limits of an annotation, or what is wrong with it. */
export function readRateLimits(annotation: string): readonly RateLimitEntry[] | { readonly fault: string } {
  if (annotation.length > MAX_TEXT_LENGTH) return { fault: `is longer than ${MAX_TEXT_LENGTH} characters` };
  let value: unknown;
  try {
    value = parse(annotation, { maxAliasCount: 0, prettyErrors: false });
  } catch (error) {
    return { fault: `is not YAML: ${error instanceof Error ? error.message : String(error)}` };
  }
  const parsed = v.safeParse(entries, value, { abortEarly: true });
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  const path = formatPath((issue.path ?? []).map((item) => item.key as string | number));
  return { fault: path === "" ? issue.message : `${path}: ${issue.message}` };
}
