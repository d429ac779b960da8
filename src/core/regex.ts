import { createRequire } from "node:module";
import type { RE2JS } from "re2js";

/** Longest regex a resource may hold (`spec/03` 3.2, ISTIO-2026-006). */
export const MAX_REGEX_LENGTH = 1024;

/** A compiled RE2 expression. */
export interface Regex {
  /** Whether the whole of `value` (a string as read from the wire, a char per byte) matches; time linear in its length. */
  matches(value: string): boolean;
}

const NON_ASCII = /[\u0080-\uffff]/;

type Engine = typeof RE2JS;
let engine: Engine | null = null;

/** The regex engine costs 3 MB and most configurations have no regex, so it is loaded when the first one appears. */
function loadEngine(): Engine {
  // In the bundle `require` exists and the bundler sees the call; run from source this is an ES module without it.
  const loaded = typeof require === "function" ? require("re2js") : createRequire(import.meta.url)("re2js");
  return (loaded as { RE2JS: Engine }).RE2JS;
}

/** A compiled RE2 expression and what stands in place of its matches. */
export interface Replacement {
  /** `value` with every match replaced; time linear in its length. */
  replaceAll(value: string): string;
}

class Re2Regex implements Regex {
  readonly #compiled: RE2JS;

  constructor(source: string, ignoreCase: boolean) {
    engine ??= loadEngine();
    this.#compiled = engine.compile(source, ignoreCase ? engine.CASE_INSENSITIVE : 0);
  }

  matches(value: string): boolean {
    // The expression was written as Unicode text, the value is bytes: let `.` be a character again, as in Envoy.
    return this.#compiled.testExact(NON_ASCII.test(value) ? Buffer.from(value, "latin1").toString("utf8") : value);
  }
}

/**
 * Compiles RE2 syntax: no look-around, no back-references, never exponential (CVE-2019-14993, hostile row B25).
 * @throws Error that says what is wrong with `source`.
 */
export function compileRegex(source: string, ignoreCase = false): Regex {
  if (source.length > MAX_REGEX_LENGTH) throw new Error(`regex is longer than ${MAX_REGEX_LENGTH} characters`);
  return new Re2Regex(source, ignoreCase);
}

class Re2Replacement implements Replacement {
  readonly #compiled: RE2JS;
  /** Text, and numbers of groups. */
  readonly #parts: readonly (string | number)[];

  constructor(source: string, template: string) {
    engine ??= loadEngine();
    this.#compiled = engine.compile(source);
    this.#parts = parseReplacement(template, this.#compiled.groupCount());
  }

  replaceAll(value: string): string {
    return this.#compiled.matcher(value).replaceAll((...groups: (string | undefined)[]) =>
      this.#parts.map((part) => (typeof part === "string" ? part : (groups[part] ?? ""))).join(""));
  }
}

function parseReplacement(template: string, groups: number): (string | number)[] {
  return template.split(/(\\.?)/s).filter((part) => part !== "").map((part) => {
    if (!part.startsWith("\\")) return part;
    if (part === "\\\\") return "\\";
    if (!/^\\\d$/.test(part)) throw new Error(`"${part}" in a replacement is neither \\0 to \\9 nor \\\\`);
    const group = Number(part.slice(1));
    if (group > groups) throw new Error(`"${part}" in a replacement names a group that the regex does not have`);
    return group;
  });
}

/**
 * Compiles an RE2 expression and the text for its matches, in which `\1` is the first group and `\0` the whole match.
 * @throws Error that says what is wrong with either.
 */
export function compileReplacement(source: string, template: string): Replacement {
  if (source.length > MAX_REGEX_LENGTH) throw new Error(`regex is longer than ${MAX_REGEX_LENGTH} characters`);
  return new Re2Replacement(source, template);
}
