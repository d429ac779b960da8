import type { SniRouteSpec } from "../snapshot.ts";
import { aliasesFor } from "./alias-index.ts";
import { outboundClusterName } from "./cluster-name.ts";
import type { ProblemList } from "./problem-list.ts";
import { provenanceOf } from "./resource-order.ts";
import type { RouteTableParts } from "./route-table.ts";
import type { Service } from "./service.ts";
import { holdsForTcp } from "./static-condition.ts";
import type { VirtualServiceIndex } from "./virtual-service-index.ts";
import { compileDestinations } from "./weighted-destination.ts";

/**
 * The routes by server name that a service's VirtualService has for one of its TLS ports (spec/02 2.5, spec/03 3.12): one
 * for each block of a `tls` rule whose static conditions hold; of blocks with the same names and addresses only the first.
 * Empty: the whole port is the service's.
 */
export function ruledSniRoutes(service: Service, port: number, rules: VirtualServiceIndex, parts: RouteTableParts): SniRouteSpec[] {
  const resource = rules.of(service.host);
  if (resource === null) return [];
  const routes: SniRouteSpec[] = [];
  const handled = new Set<string>();
  for (const [index, rule] of resource.spec.tls.entries()) {
    const blocks = rule.match.filter((block) => holdsForTcp(block, parts.workload, port));
    if (blocks.length === 0) continue;
    const clusters = compileDestinations(rule.route, resource.metadata.namespace, port, parts.lookup);
    if (clusters.length === 0) {
      parts.problems.error(resource, ["spec", "tls", index, "route"], "every destination has weight 0: the rule is skipped");
      continue;
    }
    for (const block of blocks) {
      const sniHosts = [...new Set(block.sniHosts.map(serverName))];
      const subnets = block.destinationSubnets.length === 0 ? {} : { destinationSubnets: block.destinationSubnets };
      const key = `${sniHosts.toSorted().join(" ")} ${addressesOf(subnets)}`;
      if (handled.has(key)) continue;
      handled.add(key);
      routes.push({ sniHosts, ...subnets, clusters, provenance: provenanceOf(resource, ["spec", "tls", index], index) });
    }
  }
  return routes;
}

/** The routes of a service that nothing but server names tells apart: those of its rules, else its own names. */
export function sniRoutes(service: Service, port: number, rules: VirtualServiceIndex, parts: RouteTableParts): SniRouteSpec[] {
  const ruled = ruledSniRoutes(service, port, rules, parts);
  if (ruled.length > 0) return ruled;
  return [{ sniHosts: [service.host, ...aliasesFor(service.host, parts.aliases)], clusters: [{ name: outboundClusterName(port, "", service.host), weight: 1 }], provenance: null }];
}

/** As a ClientHello's name is compared: lower case, no trailing dot. */
function serverName(host: string): string {
  const lower = host.toLowerCase();
  return lower.endsWith(".") ? lower.slice(0, -1) : lower;
}

/** The addresses a route is for, as one text; empty for any. */
function addressesOf({ destinationSubnets }: Pick<SniRouteSpec, "destinationSubnets">): string {
  return destinationSubnets === undefined ? "" : destinationSubnets.toSorted().join(" ");
}

/** The server names of one port under construction: each is the first's that claims it, which is the oldest service's. */
export class SniRouteSet {
  readonly all: SniRouteSpec[] = [];
  /** By name and addresses. */
  readonly #claims = new Map<string, { readonly owner: Service; readonly route: SniRouteSpec }>();

  /** Adds a service's routes for `port`, without the names that are taken, which is a problem unless one rule has them all. */
  add(service: Service, port: number, routes: readonly SniRouteSpec[], problems: ProblemList): void {
    for (const route of routes) {
      const claimOf = (host: string): string => `${host} ${addressesOf(route)}`;
      const free = route.sniHosts.filter((host) => !this.#claims.has(claimOf(host)));
      for (const host of route.sniHosts) {
        const rival = this.#claims.get(claimOf(host));
        if (rival === undefined) this.#claims.set(claimOf(host), { owner: service, route });
        else if (rival.owner !== service && !isOneResource(rival.route, route)) {
          problems.warning(service.resource, ["spec", "ports"], `${service.host} port ${port} is not reachable by the server name ${host}: it is routed for ${rival.owner.host} already`, "unreachable-port");
        }
      }
      if (free.length > 0) this.all.push({ ...route, sniHosts: free });
    }
  }
}

function isOneResource(a: SniRouteSpec, b: SniRouteSpec): boolean {
  return a.provenance !== null && a.provenance.resource === b.provenance?.resource;
}
