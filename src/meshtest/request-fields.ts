import * as v from "valibot";
import { anyMapping, filledText, flag, object, oneOf, quote, text } from "../config/kinds/field.ts";

/** Header lines in the order they are sent. */
export type HeaderPairs = readonly (readonly [string, string])[];

const headerPair = v.tuple([filledText, text], (issue) => `must be [name, value], not ${quote(issue.input)}`);
const headerValue = v.lazy((input) => (Array.isArray(input) ? v.array(text) : text));

/** Headers as a mapping, a name with several lines having a list; or as a list of `[name, value]`. */
const headers = v.lazy((input) => (Array.isArray(input)
  ? v.array(headerPair)
  : v.pipe(
    v.record(filledText, headerValue, (issue) => `must be a mapping of header names to values, not ${quote(issue.input)}`),
    v.transform((named): [string, string][] => Object.entries(named).flatMap(([name, value]) => [value].flat().map((line): [string, string] => [name, line]))),
  )));

const requestObject = object({
  direction: v.optional(oneOf("inbound", "outbound")),
  from: v.optional(filledText),
  to: v.optional(filledText),
  method: v.optional(filledText),
  url: v.optional(filledText),
  headers: v.optional(headers as v.GenericSchema<unknown, HeaderPairs>),
  sourceIp: v.optional(filledText),
  tls: v.optional(flag),
  sni: v.optional(filledText),
  protocol: v.optional(oneOf("http", "tcp")),
  jwt: v.optional(anyMapping),
});

/** Any part of a request, in the words of `outrider explain --requests`. */
export type RequestFields = v.InferOutput<typeof requestObject>;

const LINE = /^(?:(inbound|outbound) +)?([!#$%&'*+.^_`|~0-9A-Za-z-]+) +(\S+)$/;

/** `GET http://reviews:9080/x`, with `inbound` or `outbound` before it where it matters. */
const requestLine = v.pipe(
  text,
  v.rawTransform(({ dataset, addIssue, NEVER }): RequestFields => {
    const [, direction, method, url] = LINE.exec(dataset.value) ?? [];
    if (method === undefined || url === undefined) {
      addIssue({ message: `must read "METHOD URL" or "inbound METHOD URL", not ${quote(dataset.value)}` });
      return NEVER;
    }
    return { ...(direction === undefined ? {} : { direction: direction as "inbound" | "outbound" }), method, url };
  }),
);

/** What a case asks about, short or as a mapping. */
export const requestFields = v.lazy((input) => (typeof input === "string" ? requestLine : requestObject)) as v.GenericSchema<unknown, RequestFields>;
/** What every request of a suite has unless it says otherwise. */
export const requestDefaults = v.optional(requestObject as v.GenericSchema<unknown, RequestFields>, {});

/** A request with what it does not say itself; a header it names replaces the lines of that name. */
export function withDefaults(request: RequestFields, defaults: RequestFields): RequestFields {
  const own = request.headers ?? [];
  const named = new Set(own.map(([name]) => name.toLowerCase()));
  const inherited = (defaults.headers ?? []).filter(([name]) => !named.has(name.toLowerCase()));
  return { ...defaults, ...request, headers: [...inherited, ...own] };
}
