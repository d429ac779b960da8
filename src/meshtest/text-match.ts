import { compileRegex } from "../core/regex.ts";
import type { HeaderConditions, HeaderExpectation, TextMatch } from "./expectation.ts";

/** Whether a text is what a case wrote: the text itself, or all of the conditions. */
export function holds(wanted: TextMatch, got: string): boolean {
  if (typeof wanted === "string") return got === wanted;
  return (wanted.exact === undefined || got === wanted.exact)
    && (wanted.prefix === undefined || got.startsWith(wanted.prefix))
    && (wanted.suffix === undefined || got.endsWith(wanted.suffix))
    && (wanted.contains === undefined || got.includes(wanted.contains))
    && (wanted.regex === undefined || compileRegex(wanted.regex).matches(got));
}

/** `"/x"`, or `prefix "/x" and suffix ".html"`. */
export function describeMatch(wanted: TextMatch): string {
  if (typeof wanted === "string") return JSON.stringify(wanted);
  const parts = Object.entries(wanted).filter(([, value]) => value !== undefined);
  return parts.length === 0 ? "anything" : parts.map(([kind, value]) => (kind === "exact" ? JSON.stringify(value) : `${kind} ${JSON.stringify(value)}`)).join(" and ");
}

/** Whether the lines of one header are what a case wrote; a condition asks for one line that meets it. */
export function holdsForLines(wanted: HeaderExpectation, lines: readonly string[]): boolean {
  if (wanted === null) return lines.length === 0;
  if (typeof wanted === "string") return lines.length === 1 && lines[0] === wanted;
  if (isList(wanted)) return lines.length === wanted.length && wanted.every((line, index) => lines[index] === line);
  const { present, ...conditions } = wanted;
  if (present === false) return lines.length === 0;
  return lines.some((line) => holds(conditions, line));
}

/** The same in words. */
export function describeHeader(wanted: HeaderExpectation): string {
  if (wanted === null) return "not there";
  if (typeof wanted === "string") return JSON.stringify(wanted);
  if (isList(wanted)) return describeLines(wanted);
  const { present, ...conditions } = wanted;
  if (present === false) return "not there";
  return Object.keys(conditions).length === 0 ? "there" : describeMatch(conditions);
}

/** The lines of a header as a message quotes them. */
export function describeLines(lines: readonly string[]): string {
  return lines.length === 0 ? "not there" : lines.map((line) => JSON.stringify(line)).join(", ");
}

function isList(wanted: readonly string[] | HeaderConditions): wanted is readonly string[] {
  return Array.isArray(wanted);
}
