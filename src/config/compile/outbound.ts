import type { OutboundSpec } from "../snapshot.ts";
import { addCapturedListeners } from "./captured-listener.ts";
import { addEgressListener } from "./egress-listener.ts";
import { compileDestinations } from "./weighted-destination.ts";
import { ListenerSet } from "./listener-set.ts";
import type { RouteTableParts } from "./route-table.ts";
import type { SidecarScope } from "./sidecar-scope.ts";

/** Everything about the connections the application opens (spec/02 2.1 to 2.5). */
export function compileOutbound(scope: SidecarScope, shared: RouteTableParts): OutboundSpec {
  const proxy = egressProxyOf(scope, shared);
  const parts = { ...shared, ...proxy };
  const set = new ListenerSet(parts.problems);
  const claimed = new Set<number>();
  // Explicit listeners first: they win over what the services of other entries would get by themselves.
  for (const egress of scope.egress) {
    const port = egress.entry?.port;
    if (scope.sidecar === null || port === undefined) continue;
    if (egress.entry?.captureMode !== "NONE") claimed.add(port.number);
    addEgressListener(set, scope.sidecar, egress, port, parts);
  }
  for (const egress of scope.egress) {
    if (egress.entry?.port !== undefined) continue;
    if (scope.sidecar !== null && egress.entry?.captureMode === "NONE") {
      parts.problems.warning(scope.sidecar, ["spec", "egress", egress.index, "captureMode"], "NONE needs a port: the entry is treated as IPTABLES");
    }
    addCapturedListeners(set, egress, claimed, parts);
  }
  return { ...set.toSpec(scope.outboundMode), ...proxy };
}

/** The gateway that a Sidecar sends what it does not know to (`egressProxy`); only where anything may be called at all. */
function egressProxyOf({ sidecar, outboundMode }: SidecarScope, { lookup }: RouteTableParts): Pick<OutboundSpec, "egressProxy"> {
  const destination = sidecar?.spec.outboundTrafficPolicy?.egressProxy;
  if (sidecar === null || destination === undefined || outboundMode === "REGISTRY_ONLY") return {};
  const [cluster] = compileDestinations([{ destination, weight: 1 }], sidecar.metadata.namespace, destination.port?.number ?? 0, lookup);
  return cluster === undefined ? {} : { egressProxy: cluster.name };
}
