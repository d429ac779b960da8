import type { RetryBudget } from "../kinds/destination-rule.ts";
import type { Resource } from "../resource.ts";
import type { RetryBudgetSpec } from "../snapshot-cluster.ts";
import type { Block } from "./effective-policy.ts";
import type { ProblemList } from "./problem-list.ts";

/** `20%`, `20% 3/s`, or `off`; on a DestinationRule, or on the Service or ServiceEntry itself. */
const ANNOTATION = "outrider.io/retry-budget";
const WRITTEN = /^(\d{1,3}(?:\.\d{1,4})?)%(?: (\d{1,6})\/s)?$/;
const DEFAULT_PER_SECOND = 3;

/** Istio's defaults, `spec/04` 4.3. */
const DEFAULT_PERCENT = 20;
const DEFAULT_CONCURRENCY = 3;

/**
 * What retries to a cluster are limited to: `retryBudget` of its traffic policy, else the annotation on the first of `resources` that
 * has it, else the default of 20 % and three a second, for which this is undefined.
 */
export function compileRetryBudget(block: Block<RetryBudget> | null, resources: readonly (Resource | null)[], problems: ProblemList): RetryBudgetSpec | undefined {
  if (block !== null) {
    const { percent, minRetryConcurrency, budgetInterval } = block.value;
    return { kind: "concurrency", percent: percent ?? DEFAULT_PERCENT, minConcurrency: minRetryConcurrency ?? DEFAULT_CONCURRENCY, intervalMs: budgetInterval ?? 0 };
  }
  for (const resource of resources) {
    const value = resource?.metadata.annotations[ANNOTATION];
    if (resource === null || value === undefined) continue;
    const budget = readBudget(value);
    if (budget !== null) return budget;
    problems.warning(resource, ["metadata", "annotations", ANNOTATION], `${JSON.stringify(value)} is neither "off" nor a share and a rate such as "20% 3/s"; it has no effect`);
  }
  return undefined;
}

function readBudget(text: string): RetryBudgetSpec | null {
  if (text.trim() === "off") return { kind: "none" };
  const found = WRITTEN.exec(text.trim());
  if (found === null || Number(found[1]) > 100) return null;
  return { kind: "rate", percent: Number(found[1]), minPerSecond: found[2] === undefined ? DEFAULT_PER_SECOND : Number(found[2]) };
}
