import * as v from "valibot";
import { fieldHint } from "./field-hint.ts";
import { didYouMean } from "./suggestion.ts";

/*
 * The building blocks of every kind's schema. They word their messages for the person who wrote the YAML; the place
 * and the field path are added by whoever prints them.
 */

/** A value from the file as a message quotes it: short, on one line. */
export function quote(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "an empty value";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a mapping";
  const text = JSON.stringify(value) ?? "something else";
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

const expected = (what: string) => (issue: { readonly input: unknown }) => `must be ${what}, not ${quote(issue.input)}`;

/**
 * A mapping with exactly these fields. An unknown field is an error that suggests the nearest known one: a field
 * that is silently ignored is a policy that is silently not in force.
 */
export function object<const T extends v.ObjectEntries>(entries: T) {
  return v.strictObject(entries, (issue) => {
    if (issue.expected === "Object") return `must be a mapping, not ${quote(issue.input)}${asMapping(issue.input, entries)}`;
    if (issue.expected !== "never") return "is required";
    // An array has its indices for keys.
    if (Array.isArray(issue.path?.[0]?.input)) return "is an entry of a list where a mapping belongs; write the fields without \"- \"";
    return `unknown field${fieldHint(String(issue.input), entries)}`;
  });
}

/** `mode: STRICT` written as `STRICT`. */
function asMapping(input: unknown, entries: v.ObjectEntries): string {
  const [only = "", ...others] = Object.keys(entries);
  return typeof input === "string" && others.length === 0 ? `; write { ${only}: ${quote(input)} }` : "";
}

/** A mapping read from somebody else's export: other fields are left alone. */
export function lenientObject<const T extends v.ObjectEntries>(entries: T) {
  return v.object(entries, (issue) =>
    issue.expected === "Object" ? `must be a mapping, not ${quote(issue.input)}` : "is required");
}

/** A list; absent is empty. */
export function list<const T extends v.GenericSchema>(item: T) {
  return v.optional(v.array(item, expected("a list")), []);
}

/** A list that, where present, has at least one entry; absent stays undefined. */
export function filledList<const T extends v.GenericSchema>(item: T) {
  return v.optional(v.pipe(v.array(item, expected("a list")), v.minLength(1, "must not be an empty list; leave the field out instead")));
}

/** A mapping from arbitrary names; absent stays undefined. */
export function mapOf<const T extends v.GenericSchema>(value: T) {
  return v.optional(v.record(v.string(), value as T, expected("a mapping")));
}

export const text = v.string((issue) => `${expected("a string")(issue)}${typeof issue.input === "number" || typeof issue.input === "boolean" ? "; put it in quotes" : ""}`);
export const filledText = v.pipe(text, v.nonEmpty("must not be empty"));
/** A file by its path. Who writes what is in it instead must not find a key of theirs in every message about the file. */
export const filePath = v.pipe(text, v.check((path) => !/\p{Cc}|-----BEGIN/u.test(path), "must be the path of a file, not what is in it"));
export const flag = v.boolean(expected("true or false"));

/** A whole number within bounds, both included. */
export function integer(min: number, max: number) {
  const message = expected(`a whole number from ${min} to ${max}`);
  return v.pipe(v.number(message), v.integer(message), v.minValue(min, message), v.maxValue(max, message));
}

export const int32 = integer(-2_147_483_648, 2_147_483_647);
export const uint32 = integer(0, 4_294_967_295);
export const portNumber = integer(1, 65_535);
/** Percentage as a double, 0 to 100. */
export const percentage = v.pipe(
  v.number(expected("a number from 0 to 100")),
  v.minValue(0, expected("a number from 0 to 100")),
  v.maxValue(100, expected("a number from 0 to 100")),
);

/** One of some words. */
export function oneOf<const T extends readonly string[]>(...words: T) {
  return v.picklist(words, (issue) => {
    const hint = typeof issue.input === "string" ? didYouMean(issue.input, words) : "";
    return `must be one of ${words.join(", ")}, not ${quote(issue.input)}${hint}`;
  });
}

/** Anything at all, for parts of a kind that Outrider accepts without reading them. */
export const anything = v.unknown();
/** Any mapping, unread. */
export const anyMapping = v.record(v.string(), v.unknown(), expected("a mapping"));

/** Label names to values, as `matchLabels`, `sourceLabels` and `subset.labels` use them; no wildcards. */
export const labels = v.pipe(
  v.record(text, text, expected("a mapping of labels")),
  v.check((input) => !Object.entries(input).some(([key, value]) => key === "" || key.includes("*") || value.includes("*")),
    "label names must not be empty and neither names nor values may contain '*'"),
);
