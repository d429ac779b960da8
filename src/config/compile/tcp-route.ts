import type { TcpRule } from "../kinds/virtual-service.ts";
import type { WeightedClusterSpec } from "../snapshot.ts";
import { outboundClusterName } from "./cluster-name.ts";
import type { RouteParts } from "./http-route.ts";
import type { Service } from "./service.ts";
import { holdsForTcp } from "./static-condition.ts";
import type { VirtualServiceIndex } from "./virtual-service-index.ts";
import { compileDestinations } from "./weighted-destination.ts";

/**
 * Where the opaque connections to a service's port go (spec/02 2.5): by the first `tcp` rule of its VirtualService that
 * applies, else to the service itself.
 */
export function tcpRoute(service: Service, port: number, rules: VirtualServiceIndex, parts: RouteParts): WeightedClusterSpec[] {
  const resource = rules.of(service.host);
  if (resource === null) return ownTcpRoute(service, port);
  for (const [index, rule] of resource.spec.tcp.entries()) {
    if (!applies(rule, port, parts)) continue;
    const clusters = compileDestinations(rule.route, resource.metadata.namespace, port, parts.lookup);
    if (clusters.length > 0) return clusters;
    parts.problems.error(resource, ["spec", "tcp", index, "route"], "every destination has weight 0: the rule is skipped");
  }
  return ownTcpRoute(service, port);
}

/** Where they go when no rule says otherwise. */
export function ownTcpRoute(service: Service, port: number): WeightedClusterSpec[] {
  return [{ name: outboundClusterName(port, "", service.host), weight: 1 }];
}

/** Whether one of the blocks holds; one that needs what only the connection knows, `destinationSubnets`, does not. */
function applies(rule: TcpRule, port: number, parts: RouteParts): boolean {
  if (rule.match.length === 0) return true;
  return rule.match.some((block) => block.destinationSubnets.length === 0 && holdsForTcp(block, parts.workload, port));
}
