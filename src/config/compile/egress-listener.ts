import { isIP } from "node:net";
import type { SidecarEgress } from "../kinds/sidecar.ts";
import type { Resource } from "../resource.ts";
import type { OutboundListenerSpec, SniRouteSpec, WeightedClusterSpec } from "../snapshot.ts";
import { BLACK_HOLE_CLUSTER } from "./cluster-name.ts";
import { canonicalAddress } from "./ip-address.ts";
import { listenerName } from "./listener-set.ts";
import type { ListenerSet } from "./listener-set.ts";
import { classOf, protocolOfPort } from "./port-protocol.ts";
import type { PortClass } from "./port-protocol.ts";
import { sharedRouteTable } from "./route-table.ts";
import type { RoutedService, RouteTableParts } from "./route-table.ts";
import { portOf } from "./service.ts";
import type { EgressScope } from "./sidecar-scope.ts";
import { SniRouteSet, ruledSniRoutes, sniRoutes } from "./sni-route.ts";
import { type OpaqueRoutes, ownTcpRoute, tcpRoute } from "./tcp-route.ts";

/** The egress entry's port, which the caller has seen to be there. */
type EgressPort = NonNullable<SidecarEgress["port"]>;

/**
 * The listener of an egress entry with a port: a socket of its own where nothing is captured (`captureMode: NONE`), else a
 * claim on that port for the entry's hosts.
 */
export function addEgressListener(set: ListenerSet, sidecar: Resource, scope: EgressScope, port: EgressPort, parts: RouteTableParts): void {
  const isBound = scope.entry?.captureMode === "NONE";
  const address = addressOf(scope, sidecar, isBound, parts);
  if (address === undefined) return;
  const protocol = classOf(protocolOfPort({ appProtocol: port.protocol, name: port.name, port: port.number }));
  const members = membersOf(scope, port.number, isBound);
  if (members.length === 0) {
    parts.problems.warning(sidecar, ["spec", "egress", scope.index, "port"], `none of the imported services has a port ${port.number}`);
  }
  const name = isBound ? `${address}:${port.number}` : String(port.number);
  // What is sent to the socket itself was meant for nobody else: passing it on would come back to us.
  const mode = isBound ? "REGISTRY_ONLY" : parts.outboundMode;
  const isHttp = protocol === "http" || protocol === "auto";
  const table = isHttp ? sharedRouteTable(name, port.number, members, scope, { ...parts, outboundMode: mode }) : null;
  const listener: OutboundListenerSpec = {
    name: listenerName(address, port.number),
    address,
    port: port.number,
    bind: isBound && address !== null ? { address, port: port.number } : null,
    protocol: protocol === "http" || protocol === "auto" ? protocol : "tcp",
    routeTable: table?.name ?? null,
    ...(protocol === "tls"
      ? tlsRoutes(scope, members, isBound, parts)
      : { tls: [], ...opaqueRoutes(sidecar, scope, members, protocol, isBound, parts) }),
  };
  set.add(listener, table, null);
}

/** Null for any address; undefined when the entry cannot be obeyed. */
function addressOf(scope: EgressScope, sidecar: Resource, isBound: boolean, parts: RouteTableParts): string | null | undefined {
  const bind = scope.entry?.bind ?? "";
  if (bind === "") return isBound ? "127.0.0.1" : null;
  if (isIP(bind) === 0) {
    parts.problems.error(sidecar, ["spec", "egress", scope.index, "bind"], "must be an IP address: Unix sockets are not supported, the entry is left out");
    return undefined;
  }
  const address = canonicalAddress(bind);
  return !isBound && (address === "0.0.0.0" || address === "::") ? null : address;
}

/**
 * The imported services that have the port. A socket of our own may stand for a service's only port whatever its number, so
 * that several sidecars fit on one machine.
 */
function membersOf(scope: EgressScope, port: number, isBound: boolean): RoutedService[] {
  return scope.services.flatMap((service) => {
    if (portOf(service, port) !== null) return [{ service, port }];
    const [only] = service.ports;
    return isBound && service.ports.length === 1 && only !== undefined ? [{ service, port: only.number }] : [];
  });
}

/**
 * The routes of a TLS entry. Its only service has all of it where it can be meant alone, by a socket or an address of its
 * own, and no rule routes by server name; else every service has its names, and what has none of them is unknown.
 */
function tlsRoutes(
  scope: EgressScope,
  members: readonly RoutedService[],
  isBound: boolean,
  parts: RouteTableParts,
): { tls: SniRouteSpec[]; tcp: WeightedClusterSpec[] | null } {
  const [first] = members;
  const tcp = isBound ? [{ name: BLACK_HOLE_CLUSTER, weight: 1 }] : null;
  if (first === undefined) return { tls: [], tcp };
  const isAlone = members.length === 1 && (isBound || first.service.addresses.length > 0);
  if (isAlone && ruledSniRoutes(first.service, first.port, scope.rules, parts).length === 0) return { tls: [], tcp: ownTcpRoute(first.service, first.port) };
  const set = new SniRouteSet();
  for (const { service, port } of members) set.add(service, port, sniRoutes(service, port, scope.rules, parts), parts.problems);
  return { tls: set.all, tcp };
}

/** Where opaque bytes go: to the one service of a TCP entry, else to the catch-all. */
function opaqueRoutes(
  sidecar: Resource,
  scope: EgressScope,
  members: readonly RoutedService[],
  protocol: PortClass,
  isBound: boolean,
  parts: RouteTableParts,
): OpaqueRoutes {
  const [first] = members;
  if (protocol !== "http" && first !== undefined) {
    if (members.length > 1) {
      parts.problems.warning(sidecar, ["spec", "egress", scope.index, "hosts"], `several services have this port: opaque connections go to ${first.service.host}, the oldest`);
    }
    return tcpRoute(first.service, first.port, scope.rules, parts);
  }
  return { tcp: isBound ? [{ name: BLACK_HOLE_CLUSTER, weight: 1 }] : null };
}
