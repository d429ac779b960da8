import type { TestRun } from "./test-run.ts";

/**
 * One JSON object: `cases` (`file`, `line`, `name`, `ok`, `ms`, `differences` with `field`, `line`, `col`, `expected`,
 * `got`; and `explanation`, that of `outrider explain`, where something differs), `problems` as `outrider check -o json`
 * has them, and `totals`.
 */
export function jsonReport(run: TestRun): string {
  const cases = run.cases.map(({ file, line, name, ms, differences, decided }) => ({
    file, line, name, ok: differences.length === 0, ms: round(ms),
    differences: differences.map((difference) => ({ ...difference, field: difference.field.join(".") })),
    explanation: differences.length === 0 ? null : decided?.explanation ?? null,
  }));
  const failed = cases.filter(({ ok }) => !ok).length;
  const totals = { files: run.files, configurations: run.configurations, cases: cases.length, ok: cases.length - failed, failed, problems: run.problems.length, ms: round(run.ms) };
  return `${JSON.stringify({ cases, problems: run.problems, totals }, null, 2)}\n`;
}

function round(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
