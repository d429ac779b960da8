import type { TcpRule } from "../kinds/virtual-service.ts";
import type { OutboundListenerSpec, TcpRouteSpec, WeightedClusterSpec } from "../snapshot.ts";
import { outboundClusterName } from "./cluster-name.ts";
import type { RouteParts } from "./http-route.ts";
import { provenanceOf } from "./resource-order.ts";
import type { Service } from "./service.ts";
import { holdsForTcp } from "./static-condition.ts";
import type { VirtualServiceIndex } from "./virtual-service-index.ts";
import { compileDestinations } from "./weighted-destination.ts";

/** The part of a listener that says where opaque bytes go. */
export type OpaqueRoutes = Pick<OutboundListenerSpec, "tcp" | "tcpProvenance" | "tcpBySubnet">;

/**
 * Where the opaque connections to a service's port go (spec/02 2.5, spec/03 3.12): by the `tcp` rules of its VirtualService
 * that hold for the workload and port. A rule with `destinationSubnets` takes the connections to those addresses; the first
 * without ends the list, and takes all others. Where none does, they go to the service itself.
 */
export function tcpRoute(service: Service, port: number, rules: VirtualServiceIndex, parts: RouteParts): OpaqueRoutes {
  const own = ownTcpRoute(service, port);
  const resource = rules.of(service.host);
  if (resource === null) return { tcp: own };
  const bySubnet: TcpRouteSpec[] = [];
  for (const [index, rule] of resource.spec.tcp.entries()) {
    const destinationSubnets = subnetsOf(rule, port, parts);
    if (destinationSubnets === null) continue;
    const clusters = compileDestinations(rule.route, resource.metadata.namespace, port, parts.lookup);
    if (clusters.length === 0) {
      parts.problems.error(resource, ["spec", "tcp", index, "route"], "every destination has weight 0: the rule is skipped");
      continue;
    }
    const provenance = provenanceOf(resource, ["spec", "tcp", index], index);
    if (destinationSubnets.length === 0) return { tcp: clusters, tcpProvenance: provenance, ...listed(bySubnet) };
    bySubnet.push({ destinationSubnets, clusters, provenance });
  }
  return { tcp: own, ...listed(bySubnet) };
}

/** Where they go when no rule says otherwise. */
export function ownTcpRoute(service: Service, port: number): WeightedClusterSpec[] {
  return [{ name: outboundClusterName(port, "", service.host), weight: 1 }];
}

function listed(bySubnet: readonly TcpRouteSpec[]): Pick<OpaqueRoutes, "tcpBySubnet"> {
  return bySubnet.length === 0 ? {} : { tcpBySubnet: bySubnet };
}

/** The addresses a rule is for: empty for all, as one block without `destinationSubnets` makes it; null for none. */
function subnetsOf(rule: TcpRule, port: number, parts: RouteParts): string[] | null {
  if (rule.match.length === 0) return [];
  const blocks = rule.match.filter((block) => holdsForTcp(block, parts.workload, port));
  if (blocks.length === 0) return null;
  if (blocks.some(({ destinationSubnets }) => destinationSubnets.length === 0)) return [];
  return [...new Set(blocks.flatMap(({ destinationSubnets }) => destinationSubnets))];
}
