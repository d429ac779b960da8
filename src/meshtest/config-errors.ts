import { formatProblem } from "../config/problem.ts";
import type { Problem } from "../config/problem.ts";
import type { Difference } from "./findings.ts";

/** Compares the errors of a configuration with those a suite says it has: each text is part of one, and each error has one. */
export function configErrorDifferences(wanted: readonly string[], errors: readonly Problem[]): Difference[] {
  const lines = errors.map(formatProblem);
  const missing = wanted.filter((text) => !lines.some((line) => line.includes(text)));
  const surplus = lines.filter((line) => !wanted.some((text) => line.includes(text)));
  return [
    ...missing.map((text): Difference => ({ field: ["configErrors"], expected: `an error with ${JSON.stringify(text)}`, got: lines.join("; ") || "no error" })),
    ...surplus.map((line): Difference => ({ field: ["configErrors"], expected: "no other error", got: line })),
  ];
}
