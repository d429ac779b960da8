import { visibleLine } from "../core/visible-text.ts";
import type { ReplayChange, ReplayRule, ReplaySummary } from "./replay-summary.ts";

/** The summary for a reader: totals, then rule by rule what they change, then what could not be replayed. */
export function replayText(summary: ReplaySummary): string {
  const { lines, replayed, same, changed, skipped } = summary.totals;
  const head = `${requests(replayed)} of ${lines} ${lines === 1 ? "line" : "lines"} replayed: ${same} decided as before, ${changed} otherwise\n`;
  const rules = summary.rules().map(ruleText).join("");
  const untold = summary.untold === 0 ? "" : `\nfurther rules: ${requests(summary.untold)}\n`;
  const reasons = summary.skipped().map(({ reason, count, line }) => `  ${count} because ${visibleLine(reason)} (first in line ${line})\n`).join("");
  return `${head}${rules}${untold}${skipped === 0 ? "" : `\n${skipped} not replayed:\n${reasons}`}`;
}

/**
 * The same as one JSON object: `lines`, `replayed`, `same`, `changed`, `skipped`, `untold`; `rules`, each with its
 * place, `count`, `untold` and `changes` (`was`, `now`, `parts`, `assuming`, `count`, `example`); `reasons` for what was skipped.
 */
export function replayJson(summary: ReplaySummary): string {
  return `${JSON.stringify({ ...summary.totals, untold: summary.untold, rules: summary.rules(), reasons: summary.skipped() }, null, 2)}\n`;
}

function ruleText(rule: ReplayRule): string {
  return `\n${ruleName(rule)}: ${requests(rule.count)}\n${rule.changes.map(changeText).join("")}${rule.untold === 0 ? "" : `  ${rule.untold} in further ways\n`}`;
}

function ruleName({ side, resource, rule, file, line }: ReplayRule): string {
  if (resource === null) return "no rule of a resource";
  const name = `${file}:${line}: ${resource}${rule === null ? "" : `, rule ${rule}`}`;
  return side === "was" ? `${name}, of the old configuration` : name;
}

function changeText({ was, now, parts, assuming, count, example }: ReplayChange): string {
  const from = example.from === null ? "" : ` from ${example.from}`;
  const what = example.url === null ? `connection to ${example.to}` : `${example.method} ${example.url}`;
  const difference = was === now ? `${now}, with other ${parts.join(", ")}` : `${was} -> ${now}`;
  const lines = [`  ${count}: ${difference}`, `     such as line ${example.line}: ${example.direction} ${what}${from}`];
  if (assuming !== null) lines.push(`     also depends on ${assuming}, which the log does not hold`);
  return lines.map((line) => `${visibleLine(line)}\n`).join("");
}

function requests(count: number): string {
  return `${count} ${count === 1 ? "request" : "requests"}`;
}
