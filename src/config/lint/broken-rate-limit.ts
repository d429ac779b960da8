import { BROKEN_RATE_LIMIT, RATE_LIMIT_PATH, rateLimitFault } from "../compile/rate-limits.ts";
import type { Finding } from "./finding.ts";
import type { LintModel } from "./lint-model.ts";

/** Limits of Services and ServiceEntries that are not in force. The compiler says so too, to their workloads alone. */
export function brokenRateLimits(model: LintModel): Finding[] {
  return [...model.all("Service"), ...model.all("ServiceEntry")].flatMap((resource) => {
    const message = rateLimitFault(resource, true);
    return message === null ? [] : [{ lint: BROKEN_RATE_LIMIT, severity: "error" as const, resource, path: RATE_LIMIT_PATH, message }];
  });
}
