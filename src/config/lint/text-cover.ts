import { asciiLowerCase } from "../../core/ascii.ts";
import { compileRegex } from "../../core/regex.ts";
import type { Regex } from "../../core/regex.ts";
import type { StringMatch } from "../kinds/string-match.ts";

/** A condition on one text, reduced to what can be compared with another. */
export interface TextCondition {
  /** `any` holds for every text, and for a header asks only that it is there. */
  readonly kind: "any" | "exact" | "prefix" | "regex";
  readonly value: string;
  readonly ignoreCase: boolean;
  /** Compiled for `regex` only. */
  readonly regex: Regex | null;
}

const ANY: TextCondition = { kind: "any", value: "", ignoreCase: false, regex: null };
const LITERAL = /^(?:[A-Za-z0-9/_\-~:@%=&,; ]|\\[^A-Za-z0-9])*/;

/** A StringMatch; a regex that is only `literal.*` is the prefix it means. */
export function textCondition(match: { readonly [K in keyof StringMatch]?: StringMatch[K] } | undefined, ignoreCase = false): TextCondition {
  if (match?.exact !== undefined) return { kind: "exact", value: match.exact, ignoreCase, regex: null };
  if (match?.prefix !== undefined) return { kind: "prefix", value: match.prefix, ignoreCase, regex: null };
  if (match?.regex === undefined || match.regex === "*") return ANY;
  const literal = literalPrefix(match.regex);
  if (literal.rest === ".*" || literal.rest === ".*$") return { kind: "prefix", value: literal.text, ignoreCase: false, regex: null };
  return { kind: "regex", value: match.regex, ignoreCase: false, regex: compileRegex(match.regex) };
}

/** The condition on a path, where `prefix: /` and its like hold for every one. */
export function pathCondition(match: Parameters<typeof textCondition>[0], ignoreCase: boolean): TextCondition {
  const condition = textCondition(match, ignoreCase);
  return condition.kind === "prefix" && (condition.value === "/" || condition.value === "") ? ANY : condition;
}

/**
 * Whether `outer` holds for every text that `inner` holds for. False where it cannot be told, as with two different
 * regular expressions.
 */
export function coversText(outer: TextCondition, inner: TextCondition): boolean {
  switch (outer.kind) {
    case "any":
      return true;
    case "exact":
      return inner.kind === "exact" && isSame(outer, inner, inner.value);
    case "prefix":
      if (inner.kind === "any") return outer.value === "";
      if (inner.kind === "regex") return isSame(outer, inner, literalPrefix(inner.value).text.slice(0, outer.value.length));
      return isSame(outer, inner, inner.value.slice(0, outer.value.length));
    case "regex":
      if (inner.kind === "regex") return inner.value === outer.value;
      return inner.kind === "exact" && !(inner.ignoreCase && hasLetters(inner.value)) && outer.regex?.matches(inner.value) === true;
  }
}

/** `outer`'s value and a part of `inner`'s, as each of them compares: what ignores case holds for more. */
function isSame(outer: TextCondition, inner: TextCondition, part: string): boolean {
  if (outer.ignoreCase) return asciiLowerCase(outer.value) === asciiLowerCase(part);
  return outer.value === part && !(inner.ignoreCase && hasLetters(part));
}

function hasLetters(text: string): boolean {
  return /[A-Za-z]/.test(text);
}

/** The text every match of a regex begins with, as far as that is plain to see, and what comes behind it. */
function literalPrefix(source: string): { text: string; rest: string } {
  const body = source.startsWith("^") ? source.slice(1) : source;
  let written = LITERAL.exec(body)?.[0] ?? "";
  // A quantifier belongs to the last character: that one may be missing.
  if (/^[*+?{]/.test(body.slice(written.length))) written = written.replace(/(?:\\.|[^\\])$/, "");
  // An alternative may begin with anything.
  if (body.includes("|")) return { text: "", rest: body };
  return { text: written.replaceAll(/\\(.)/g, "$1"), rest: body.slice(written.length) };
}
