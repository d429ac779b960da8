/** An id that the list of hostile input gives: `B17`, `CVE-2020-8659`, `ISTIO-2026-002`. */
export interface HostileId {
  /** As it is told when no test names it. */
  readonly name: string;
  /** Matches a text that names it. */
  readonly pattern: RegExp;
}

const NUMBER = String.raw`(?:\d{4}-)?\d{2,6}`;
/** One id, and what is written behind it without repeating its beginning: `CVE-2021-29492/31920`, `CVE-2019-9511…9518, 2020-11080`. */
const SERIES = new RegExp(String.raw`(?:(CVE|ISTIO)-)?(\d{4})-(\d{3,6})\b†?((?:(?:\s*\([^()|]*\))?(?:,\s+\**|\s*/\s*|…|–)${NUMBER}\b(?!\s*(?:[a-z%]|×))†?\**)*)`, "g");

/**
 * Every id in the text of the list. A number that is written without its year may be of any: rows put bugs of several
 * years behind the year of the first.
 */
export function hostileIds(text: string): HostileId[] {
  const found = new Map<string, HostileId>();
  const add = (name: string, source: string): void => {
    if (!found.has(source)) found.set(source, { name, pattern: new RegExp(String.raw`\b${source}\b`) });
  };
  for (const [row] of text.matchAll(/^\| B\d\d(?= \|)/gm)) add(row.slice(2), row.slice(2));
  for (const [, prefix = "CVE", year, number, rest] of text.matchAll(SERIES)) {
    if (year === undefined || number === undefined || Number(year) < 2018 || Number(year) > 2030) continue;
    add(`${prefix}-${year}-${number}`, `${prefix}-${year}-${number}`);
    let last = number;
    for (const [, sign, laterYear, later] of (rest ?? "").matchAll(/([,/…–])\s*\**(?:(\d{4})-)?(\d{2,6})/g)) {
      if (later === undefined) continue;
      if (laterYear !== undefined) add(`${prefix}-${laterYear}-${later}`, `${prefix}-${laterYear}-${later}`);
      else for (const each of numbersTo(last, later, sign === "…" || sign === "–")) add(`${prefix}-20xx-${each}`, `${prefix}-20\\d\\d-${each}`);
      last = later;
    }
  }
  return [...found.values()];
}

/** The numbers a further one stands for: itself, or with a sign of range all from the one before; `32213–15` ends at 32215. */
function numbersTo(from: string, written: string, isRange: boolean): string[] {
  if (!isRange) return [written];
  const last = Number(from.slice(0, Math.max(0, from.length - written.length)) + written);
  return Array.from({ length: last - Number(from) }, (_, at) => String(Number(from) + 1 + at));
}

/**
 * The texts of a test file that may be names of tests: those in quotes, where rows of tables stand as well. Comments name
 * nothing.
 */
export function testNames(source: string): string {
  const names: string[] = [];
  for (const [token] of source.matchAll(/\/\*[\s\S]*?\*\/|\/\/[^\n]*|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`/g)) {
    if (!token.startsWith("/")) names.push(token);
  }
  return names.join("\n");
}
