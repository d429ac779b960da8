import { resourceName } from "../resource.ts";
import type { HttpRule } from "../kinds/virtual-service.ts";
import type { RouteSpec } from "../snapshot.ts";
import type { ProblemList } from "./problem-list.ts";
import { annotatedLimits, BROKEN_RATE_LIMIT, RATE_LIMIT_PATH } from "./rate-limits.ts";
import type { RuleOrigin } from "./rule-origin.ts";
import type { VirtualService } from "./virtual-service-index.ts";

/**
 * The limits that annotations put on a rule: those of its VirtualService, and where that delegated, those of the delegate
 * as well. An entry without `rule` is one limit for all rules together.
 */
export function rateLimitsOf(resource: VirtualService, rule: HttpRule, origin: RuleOrigin, problems: ProblemList): Pick<RouteSpec, "rateLimits"> {
  const isDelegated = resourceName(origin.resource) !== resourceName(resource);
  const limits = limitsFor(resource, rule.name, problems);
  const own = isDelegated ? limitsFor(origin.resource, origin.resource.spec.http[origin.index]?.name, problems) : [];
  return limits.length + own.length === 0 ? {} : { rateLimits: [...limits, ...own] };
}

function limitsFor(resource: VirtualService, ruleName: string | undefined, problems: ProblemList) {
  const limits = annotatedLimits(resource, false, problems);
  for (const { entry: { rule } } of limits) {
    if (rule !== undefined && !resource.spec.http.some(({ name }) => name === rule)) {
      problems.error(resource, RATE_LIMIT_PATH, `no rule is called ${JSON.stringify(rule)}: its limit holds for nothing`, BROKEN_RATE_LIMIT);
    }
  }
  return limits.filter(({ entry: { rule } }) => rule === undefined || rule === ruleName).map(({ limit }) => limit);
}
