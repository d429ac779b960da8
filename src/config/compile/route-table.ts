import type { RouteSpec, RouteTableSpec, VirtualHostSpec } from "../snapshot.ts";
import { aliasesFor } from "./alias-index.ts";
import { BLACK_HOLE_CLUSTER, PASSTHROUGH_CLUSTER } from "./cluster-name.ts";
import { compileRoutes, defaultRoute } from "./http-route.ts";
import type { RouteParts } from "./http-route.ts";
import { MATCH_ALL } from "./route-match.ts";
import type { Service } from "./service.ts";
import type { EgressScope } from "./sidecar-scope.ts";
import { unregisteredHosts } from "./unregistered-host.ts";
import { domainsOf, domainsOfHost } from "./virtual-host-domain.ts";

/** A service and the number of its port that a route table is about. */
export interface RoutedService {
  readonly service: Service;
  readonly port: number;
}

export interface RouteTableParts extends RouteParts {
  readonly outboundMode: "ALLOW_ANY" | "REGISTRY_ONLY";
  /** Cluster that takes unknown destinations with ALLOW_ANY; absent: they go where they were sent. */
  readonly egressProxy?: string;
  /** ExternalName hosts to the host they stand for. */
  readonly aliases: ReadonlyMap<string, string>;
}

/** Istio honours a VirtualService whose hosts are in no registry on this port only. */
const UNREGISTERED_PORT = 80;

/**
 * The route table of a port that several services share, told apart by `Host` (spec/02 2.3): hosts with a VirtualService
 * before those without, each domain for the first that claims it, and last the catch-all.
 *
 * @param listenerPort the port the requests arrive on.
 */
export function sharedRouteTable(
  name: string,
  listenerPort: number,
  members: readonly RoutedService[],
  scope: EgressScope,
  parts: RouteTableParts,
): RouteTableSpec {
  const hosts = new VirtualHosts();
  const routed = new Map<Service, RouteSpec[]>();
  for (const { service, port } of members) {
    const rule = scope.rules.of(service.host);
    const routes = rule === null ? [] : compileRoutes(rule, port, parts);
    if (routes.length > 0) routed.set(service, routes);
  }
  const ordered = [...members.filter(({ service }) => routed.has(service)), ...members.filter(({ service }) => !routed.has(service))];
  const add = ({ service, port }: RoutedService): void => {
    const aliases = aliasesFor(service.host, parts.aliases);
    const routes = routed.get(service) ?? [defaultRoute(port, service.host, parts.mesh)];
    hosts.add(`${service.host}:${port}`, domainsOf(service, parts.workload.namespace, aliases), routes);
  };
  for (const member of ordered.filter(({ service }) => routed.has(service))) add(member);
  addUnregistered(hosts, listenerPort, members, scope, parts);
  for (const member of ordered.filter(({ service }) => !routed.has(service))) add(member);
  return { name, virtualHosts: [...hosts.all, catchAll(parts)] };
}

/** The table of a listener that has one service to itself: any `Host` is for it. */
export function singleRouteTable(name: string, service: Service, port: number, scope: EgressScope, parts: RouteTableParts): RouteTableSpec {
  const rule = scope.rules.of(service.host);
  const routes = rule === null ? [] : compileRoutes(rule, port, parts);
  return {
    name,
    virtualHosts: [{
      name: `${service.host}:${port}`,
      domains: ["*"],
      routes: routes.length > 0 ? routes : [defaultRoute(port, service.host, parts.mesh)],
    }],
  };
}

/** Hosts that only a VirtualService knows: on port 80, or beside the VirtualService's registered hosts. */
function addUnregistered(
  hosts: VirtualHosts,
  listenerPort: number,
  members: readonly RoutedService[],
  scope: EgressScope,
  parts: RouteTableParts,
): void {
  const unregistered = unregisteredHosts(scope);
  if (unregistered.length === 0) return;
  const ruled = new Set(members.map(({ service }) => scope.rules.of(service.host)));
  for (const { host, rule, hasRegisteredHost } of unregistered) {
    if (!ruled.has(rule) && (listenerPort !== UNREGISTERED_PORT || hasRegisteredHost)) continue;
    const routes = compileRoutes(rule, listenerPort, parts);
    if (routes.length === 0) continue;
    hosts.add(`${host}:${listenerPort}`, domainsOfHost(host, rule.metadata.namespace, parts.workload.namespace), routes);
  }
}

/** What becomes of a `Host` that nobody claims. */
function catchAll({ outboundMode, egressProxy = PASSTHROUGH_CLUSTER }: RouteTableParts): VirtualHostSpec {
  const route = (name: string, action: RouteSpec["action"]): VirtualHostSpec =>
    ({ name, domains: ["*"], routes: [{ name, match: MATCH_ALL, action, provenance: null }] });
  if (outboundMode === "REGISTRY_ONLY") {
    return route("block_all", { kind: "direct-response", status: 502, body: "", clusterName: BLACK_HOLE_CLUSTER });
  }
  return route("allow_any", { kind: "forward", clusters: [{ name: egressProxy, weight: 1 }], timeoutMs: 0, retry: null });
}

/** Virtual hosts under construction: a domain is the first's that claims it. */
class VirtualHosts {
  readonly all: VirtualHostSpec[] = [];
  readonly #taken = new Set<string>(["*"]);

  add(name: string, domains: readonly string[], routes: readonly RouteSpec[]): void {
    const own = domains.filter((domain) => !this.#taken.has(domain));
    if (own.length === 0) return;
    for (const domain of own) this.#taken.add(domain);
    this.all.push({ name, domains: own, routes });
  }
}
