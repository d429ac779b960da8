import type { SniRouteSpec } from "../snapshot.ts";
import { listenerName } from "./listener-set.ts";
import type { ListenerSet } from "./listener-set.ts";
import { classOf } from "./port-protocol.ts";
import { sharedRouteTable, singleRouteTable } from "./route-table.ts";
import type { RoutedService, RouteTableParts } from "./route-table.ts";
import type { Service, ServicePort } from "./service.ts";
import type { EgressScope } from "./sidecar-scope.ts";
import { SharedPort } from "./shared-port.ts";
import { ruledSniRoutes, sniRoutes } from "./sni-route.ts";
import { type OpaqueRoutes, ownTcpRoute, tcpRoute } from "./tcp-route.ts";

/**
 * The logical listeners of everything one egress scope imports (spec/02 2.1): a service with addresses of its own has a
 * listener on each, except for HTTP, which all services of a port share. Those without, or with blocks of addresses, share the
 * port.
 *
 * @param claimed ports that other entries of the Sidecar resource have for themselves.
 */
export function addCapturedListeners(set: ListenerSet, scope: EgressScope, claimed: ReadonlySet<number>, parts: RouteTableParts): void {
  const shared = new Map<number, SharedPort>();
  for (const service of scope.services) {
    for (const port of service.ports) {
      if (!claimed.has(port.number)) addPort(set, shared, service, port, scope, parts);
    }
  }
  const members = httpMembers(scope);
  for (const [port, entry] of [...shared].toSorted(([a], [b]) => a - b)) {
    const table = entry.hasHttp ? sharedRouteTable(String(port), port, members.get(port) ?? [], scope, parts) : null;
    const protocol = table === null ? "tcp" : entry.hasOpaque ? "auto" : "http";
    set.add({ name: listenerName(null, port), address: null, port, bind: null, protocol, routeTable: table?.name ?? null, tls: entry.tls.all, ...entry.routes }, table, entry.owner);
  }
}

function addPort(
  set: ListenerSet,
  shared: Map<number, SharedPort>,
  service: Service,
  port: ServicePort,
  scope: EgressScope,
  parts: RouteTableParts,
): void {
  const protocol = classOf(port.protocol);
  if (protocol === "udp") return;
  const addresses = protocol === "http" ? [] : listenAddresses(service, port, parts.workload.addresses);
  for (const address of addresses) addOwn(set, address, service, port, scope, parts);
  const blocks = service.addressBlocks ?? [];
  // The pods of a headless service are its addresses, even while there are none.
  const hasOwn = addresses.length > 0 || (service.isHeadless && protocol !== "http");
  if (hasOwn && blocks.length === 0) return;
  const entry = shared.get(port.number) ?? new SharedPort(port.number);
  shared.set(port.number, entry);
  if (protocol === "tls") {
    const routes = sniRoutes(service, port.number, scope.rules, parts);
    entry.tls.add(service, port.number, blocks.length === 0 ? routes : routes.map((route) => ({ destinationSubnets: blocks, ...route })), parts.problems);
    return;
  }
  if (protocol !== "tcp") entry.hasHttp = true;
  if (protocol === "http") return;
  const routes = tcpRoute(service, port.number, scope.rules, parts);
  if (blocks.length > 0) entry.addBlocks(service, routes, protocol === "tcp", parts.problems);
  else entry.addOpaque(service, routes, protocol !== "tcp", parts.problems);
}

/** The addresses a service can be told apart by: its virtual IPs, or the pods of a headless one, but never our own. */
function listenAddresses(service: Service, port: ServicePort, own: readonly string[]): readonly string[] {
  if (!service.isHeadless) return service.addresses;
  return [...new Set(port.endpoints.map((endpoint) => endpoint.address))].filter((address) => !own.includes(address));
}

function addOwn(set: ListenerSet, address: string, service: Service, port: ServicePort, scope: EgressScope, parts: RouteTableParts): void {
  const isAuto = classOf(port.protocol) === "auto";
  const table = isAuto ? singleRouteTable(`${service.host}:${port.number}`, service, port.number, scope, parts) : null;
  set.add({
    name: listenerName(address, port.number),
    address,
    port: port.number,
    bind: null,
    protocol: isAuto ? "auto" : "tcp",
    routeTable: table?.name ?? null,
    ...ownRoutes(service, port, scope, parts),
  }, table, service);
}

/** `tls` rules are for TLS ports and `tcp` rules for all others; a server name that `tls` rules do not have is unknown. */
function ownRoutes(service: Service, port: ServicePort, scope: EgressScope, parts: RouteTableParts): OpaqueRoutes & { tls: SniRouteSpec[] } {
  if (classOf(port.protocol) !== "tls") return { tls: [], ...tcpRoute(service, port.number, scope.rules, parts) };
  const tls = ruledSniRoutes(service, port.number, scope.rules, parts);
  return { tls, tcp: tls.length > 0 ? null : ownTcpRoute(service, port.number) };
}

/** By port, every service with an HTTP port of that number, also those that are reached by an address of their own. */
function httpMembers(scope: EgressScope): Map<number, RoutedService[]> {
  const byPort = new Map<number, RoutedService[]>();
  for (const service of scope.services) {
    const ports = new Set(service.ports.filter(({ protocol }) => ["http", "auto"].includes(classOf(protocol))).map(({ number }) => number));
    for (const port of ports) {
      const members = byPort.get(port);
      if (members === undefined) byPort.set(port, [{ service, port }]);
      else members.push({ service, port });
    }
  }
  return byPort;
}
