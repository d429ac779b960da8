import type { TrafficPolicy } from "../kinds/destination-rule.ts";
import type { ClusterSpec } from "../snapshot.ts";
import type { Block } from "./effective-policy.ts";

/** `tunnel` and `proxyProtocol` of a traffic policy (spec/04 4.8), as far as they are set. */
export function compileTunnel(
  tunnel: Block<NonNullable<TrafficPolicy["tunnel"]>> | null,
  proxyProtocol: Block<NonNullable<TrafficPolicy["proxyProtocol"]>> | null,
): Pick<ClusterSpec, "tunnel" | "proxyProtocol"> {
  return {
    ...(tunnel === null ? {} : { tunnel: { protocol: tunnel.value.protocol === "POST" ? "POST" : "CONNECT", targetHost: tunnel.value.targetHost, targetPort: tunnel.value.targetPort } }),
    // Without a version it is V1, Istio's default.
    ...(proxyProtocol === null ? {} : { proxyProtocol: proxyProtocol.value.version ?? "V1" }),
  };
}
