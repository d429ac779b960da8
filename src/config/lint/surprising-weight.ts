import type { Finding } from "./finding.ts";
import type { LintModel } from "./lint-model.ts";

/**
 * Weights are shares of their sum, whatever that is (spec/03 3.3). Two forms of it surprise: a single destination that
 * asks for a part, and percentages that were meant to add up to 100 and do not.
 */
export function surprisingWeights(model: LintModel): Finding[] {
  const findings: Finding[] = [];
  for (const resource of model.virtualServices) {
    for (const kind of ["http", "tls", "tcp"] as const) {
      resource.spec[kind].forEach((rule, index) => {
        const weights = rule.route.map((route) => route.weight);
        const message = surpriseOf(weights);
        if (message === null) return;
        const path = ["spec", kind, index, "route", ...(weights.length === 1 ? [0, "weight"] : [])];
        findings.push({ lint: "surprising-weight", resource, path, message });
      });
    }
  }
  return findings;
}

function surpriseOf(weights: readonly number[]): string | null {
  const [first] = weights;
  if (weights.length === 1 && first !== undefined) {
    if (first === 0 || first === 1 || first === 100) return null;
    return `the only destination gets all traffic, not ${first} %; leave weight out, or add the destination that gets the rest`;
  }
  const sum = weights.reduce((total, weight) => total + weight, 0);
  const isEven = weights.every((weight) => weight === first);
  if (isEven || sum === 100 || sum < 80 || sum > 120) return null;
  const shares = weights.map((weight) => `${weight}/${sum}`).join(", ");
  return `the weights add up to ${sum}, not 100; they count as shares of their sum, ${shares}; write weights that add up to 100`;
}
