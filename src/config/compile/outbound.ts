import type { OutboundSpec } from "../snapshot.ts";
import { addCapturedListeners } from "./captured-listener.ts";
import { addEgressListener } from "./egress-listener.ts";
import { ListenerSet } from "./listener-set.ts";
import type { RouteTableParts } from "./route-table.ts";
import type { SidecarScope } from "./sidecar-scope.ts";

/** Everything about the connections the application opens (spec/02 2.1 to 2.5). */
export function compileOutbound(scope: SidecarScope, parts: RouteTableParts): OutboundSpec {
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
  return set.toSpec(scope.outboundMode);
}
