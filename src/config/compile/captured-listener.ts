import type { WeightedClusterSpec } from "../snapshot.ts";
import { listenerName } from "./listener-set.ts";
import type { ListenerSet } from "./listener-set.ts";
import { classOf } from "./port-protocol.ts";
import { sharedRouteTable, singleRouteTable } from "./route-table.ts";
import type { RoutedService, RouteTableParts } from "./route-table.ts";
import type { Service, ServicePort } from "./service.ts";
import type { EgressScope } from "./sidecar-scope.ts";
import { tcpRoute } from "./tcp-route.ts";

/**
 * The logical listeners of everything one egress scope imports (spec/02 2.1): a service with addresses of its own has a
 * listener on each, except for HTTP, which all services of a port share.
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
  for (const [port, { hasHttp, opaque }] of [...shared].toSorted(([a], [b]) => a - b)) {
    const table = hasHttp ? sharedRouteTable(String(port), port, membersOf(scope, port), scope, parts) : null;
    const protocol = table === null ? "tcp" : opaque === null ? "http" : "auto";
    const tcp = opaque === null ? null : opaque.clusters;
    set.add({ name: listenerName(null, port), address: null, port, bind: null, protocol, routeTable: table?.name ?? null, tls: [], tcp }, table, opaque?.owner ?? null);
  }
}

/** What services without an address of their own have in common on a port. */
interface SharedPort {
  hasHttp: boolean;
  opaque: { readonly owner: Service; readonly clusters: WeightedClusterSpec[] } | null;
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
  // The pods of a headless service are its addresses, even while there are none.
  if (addresses.length > 0 || (service.isHeadless && protocol !== "http")) return;
  if (protocol === "tls") {
    reportServerName(service, port, parts);
    return;
  }
  const entry = shared.get(port.number) ?? { hasHttp: false, opaque: null };
  shared.set(port.number, entry);
  if (protocol !== "tcp") entry.hasHttp = true;
  if (protocol === "http") return;
  if (entry.opaque === null) entry.opaque = { owner: service, clusters: tcpRoute(service, port.number, scope.rules, parts) };
  else if (protocol === "tcp") {
    parts.problems.warning(service.resource, ["spec", "ports"], `${service.host} port ${port.number} is not reachable: opaque connections to any address on this port go to ${entry.opaque.owner.host}, which is older`);
  }
}

/** The addresses a service can be told apart by: its virtual IPs, or the pods of a headless one, but never our own. */
function listenAddresses(service: Service, port: ServicePort, own: readonly string[]): readonly string[] {
  if (!service.isHeadless) return service.addresses;
  return [...new Set(port.endpoints.map((endpoint) => endpoint.address))].filter((address) => !own.includes(address));
}

function addOwn(set: ListenerSet, address: string, service: Service, port: ServicePort, scope: EgressScope, parts: RouteTableParts): void {
  const isAuto = classOf(port.protocol) === "auto";
  const table = isAuto ? singleRouteTable(`${service.host}:${port.number}`, service, port.number, scope, parts) : null;
  const tcp = tcpRoute(service, port.number, scope.rules, parts);
  set.add({
    name: listenerName(address, port.number),
    address,
    port: port.number,
    bind: null,
    protocol: isAuto ? "auto" : "tcp",
    routeTable: table?.name ?? null,
    tls: [],
    tcp,
  }, table, service);
}

/** Every service with an HTTP port of this number, also those that are reached by an address of their own. */
function membersOf(scope: EgressScope, port: number): RoutedService[] {
  return scope.services
    .filter((service) => service.ports.some((own) => own.number === port && ["http", "auto"].includes(classOf(own.protocol))))
    .map((service) => ({ service, port }));
}

function reportServerName(service: Service, port: ServicePort, parts: RouteTableParts): void {
  const path = ["spec", "ports"];
  const what = `${service.host} port ${port.number} has no address of its own and routing by server name is not supported`;
  if (parts.outboundMode === "REGISTRY_ONLY") parts.problems.error(service.resource, path, `${what}: connections to it are refused (REGISTRY_ONLY)`);
  else parts.problems.warning(service.resource, path, `${what}: connections to it pass through unrouted`);
}
