import { canonicalRange } from "./cidr.ts";

/** Options that mean the same under two names. */
const synonyms = new Map([
  ["--to-port", "--to-ports"],
  ["--destination-ports", "--dports"],
]);

/**
 * One spelling for a rule, so that what we planned can be compared with what the kernel shows: matches in any order,
 * ranges with host bits cleared, match modules (`-m tcp`) left out since the options name them anyway. Two rules that
 * differ in effect never get the same spelling; two equal ones that get different spellings (a group given by name)
 * only cost a rewrite of the rules.
 */
export function canonicalRule(chain: string, words: readonly string[]): string {
  const conditions: string[] = [];
  let negation = "";
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? "";
    if (word === "!") {
      negation = "! ";
      continue;
    }
    const option = synonyms.get(word) ?? word;
    const values: string[] = [];
    while (at + 1 < words.length && !isOption(words[at + 1] ?? "")) values.push(words[++at] ?? "");
    if (option !== "-m") conditions.push(negation + option + " " + canonicalValue(option, values.join(" ")));
    negation = "";
  }
  return [chain, ...conditions.toSorted()].join(" | ");
}

function isOption(word: string): boolean {
  return word.startsWith("-") || word === "!";
}

function canonicalValue(option: string, value: string): string {
  return option === "-s" || option === "-d" ? (canonicalRange(value) ?? value) : value;
}
