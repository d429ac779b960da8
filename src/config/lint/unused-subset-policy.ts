import { hostOf } from "../compile/destination-rule-index.ts";
import type { Finding } from "./finding.ts";
import type { LintModel } from "./lint-model.ts";

/** The policy of a subset is in force for requests that a rule routes to the subset, and for no others. */
export function unusedSubsetPolicies(model: LintModel): Finding[] {
  const routed = routedSubsets(model);
  const findings: Finding[] = [];
  for (const rule of model.destinationRules) {
    const hosts = new Set(model.services.within(hostOf(rule)).map((service) => service.host));
    if (hosts.size === 0) continue;
    rule.spec.subsets.forEach((subset, index) => {
      if (subset.trafficPolicy === undefined || [...hosts].some((host) => routed.has(`${subset.name} ${host}`))) return;
      findings.push({
        lint: "unused-subset-policy", resource: rule, path: ["spec", "subsets", index, "trafficPolicy"],
        message: `is never in force: no VirtualService routes to subset ${subset.name} of ${hostOf(rule)}; add a route with subset: ${subset.name}, or move the policy up to spec.trafficPolicy`,
      });
    });
  }
  return findings;
}

/** `subset host` of every destination. */
function routedSubsets(model: LintModel): Set<string> {
  const routed = new Set<string>();
  for (const { spec, metadata } of model.virtualServices) {
    const mirrors = spec.http.flatMap((rule) => [...(rule.mirror === undefined ? [] : [rule.mirror]), ...rule.mirrors.map((mirror) => mirror.destination)]);
    const routes = [...spec.http, ...spec.tls, ...spec.tcp].flatMap((rule) => rule.route).map((route) => route.destination);
    for (const destination of [...routes, ...mirrors]) {
      if (destination.subset !== undefined && destination.subset !== "") routed.add(`${destination.subset} ${model.destinationHost(destination, metadata.namespace)}`);
    }
  }
  return routed;
}
