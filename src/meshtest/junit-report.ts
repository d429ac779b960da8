import { formatProblem } from "../config/problem.ts";
import type { CaseResult, TestRun } from "./test-run.ts";

/** The report as CI systems read it: a `testsuite` for each file; what could not run is an `error`. */
export function junitReport(run: TestRun): string {
  const files = new Map<string, CaseResult[]>();
  for (const result of run.cases) files.set(result.file, [...files.get(result.file) ?? [], result]);
  const suites = [...files].map(([file, results]) => suite(file, results)).join("");
  const errors = run.problems.map((problem) =>
    `    <testcase name="${escape(problem.file)}" classname="${escape(problem.file)}"><error message="${escape(formatProblem(problem))}"/></testcase>\n`).join("");
  const broken = errors === "" ? "" : `  <testsuite name="errors" tests="${run.problems.length}" failures="0" errors="${run.problems.length}">\n${errors}  </testsuite>\n`;
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites time="${seconds(run.ms)}">\n${suites}${broken}</testsuites>\n`;
}

function suite(file: string, results: readonly CaseResult[]): string {
  const failures = results.filter(({ differences }) => differences.length > 0).length;
  const time = seconds(results.reduce((sum, { ms }) => sum + ms, 0));
  return `  <testsuite name="${escape(file)}" tests="${results.length}" failures="${failures}" errors="0" time="${time}">\n${results.map(testCase).join("")}  </testsuite>\n`;
}

function testCase({ file, line, name, ms, differences }: CaseResult): string {
  const head = `    <testcase name="${escape(name)}" classname="${escape(file)}" line="${line}" time="${seconds(ms)}"`;
  if (differences.length === 0) return `${head}/>\n`;
  const lines = differences.map((difference) => `${file}:${difference.line}:${difference.col}: ${difference.field.join(".")}: expected ${difference.expected}, got ${difference.got}`);
  return `${head}><failure message="${escape(lines[0] as string)}">${escape(lines.join("\n"))}</failure></testcase>\n`;
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(6);
}

/** Text and attribute values; what XML 1.0 has no way to write, or a viewer would hide or obey, becomes a question mark. */
function escape(text: string): string {
  return text
    .replaceAll(/[^\P{Cc}\t\n\r]|[\ufffe\uffff]|\p{Cs}|\p{Cf}/gu, "?")
    .replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;").replaceAll("\n", "&#10;");
}
