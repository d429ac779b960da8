import { formatProblem } from "../config/problem.ts";
import { visibleLine } from "../core/visible-text.ts";
import { describeExplanation } from "../explain/describe-explanation.ts";
import type { CaseResult, TestRun } from "./test-run.ts";

/** A line for each case, below it what differs and why the proxy decides so; then the totals. */
export function textReport(run: TestRun): string {
  const problems = run.problems.map((problem) => `${formatProblem(problem)}\n`).join("");
  return `${run.cases.map(caseLines).join("")}${problems}${totals(run)}\n`;
}

function caseLines({ file, line, name, ms, differences, decided }: CaseResult): string {
  const head = `${differences.length === 0 ? "ok  " : "FAIL"} ${file}:${line}: ${visibleLine(name)} (${milliseconds(ms)})\n`;
  if (differences.length === 0) return head;
  const found = differences.map((difference) =>
    `     ${file}:${difference.line}:${difference.col}: ${difference.field.join(".")}: expected ${visibleLine(difference.expected)}, got ${visibleLine(difference.got)}\n`);
  const reason = decided === null ? "" : describeExplanation(decided.explanation, decided.request).trimEnd().split("\n").map((text) => `     | ${text}\n`).join("");
  return `${head}${found.join("")}${reason}`;
}

function totals({ cases, problems, files, configurations, ms }: TestRun): string {
  const failed = cases.filter(({ differences }) => differences.length > 0).length;
  const deciding = cases.reduce((sum, result) => sum + result.ms, 0);
  const parts = [`${cases.length} ${cases.length === 1 ? "case" : "cases"} in ${files} ${files === 1 ? "file" : "files"}`];
  if (cases.length > 0) parts.push(failed === 0 ? "all as expected" : `${failed} ${failed === 1 ? "differs" : "differ"}`);
  if (problems.length > 0) parts.push(`${problems.length} ${problems.length === 1 ? "error keeps" : "errors keep"} tests from running`);
  return `${parts.join(", ")} (${configurations} ${configurations === 1 ? "configuration" : "configurations"}, decided in ${milliseconds(deciding)}, ${milliseconds(ms)} in all)`;
}

function milliseconds(ms: number): string {
  return `${ms < 10 ? ms.toFixed(2) : Math.round(ms)} ms`;
}
