import type { TrafficPolicy } from "../kinds/destination-rule.ts";
import type { ClusterSpec } from "../snapshot.ts";
import type { Block } from "./effective-policy.ts";
import type { ProblemList } from "./problem-list.ts";

/**
 * `tunnel` and `proxyProtocol` of a traffic policy (spec/04 4.8), as far as they are set. A tunnel that cannot be had is kept
 * as one: its connections fail, and are never sent to the proxy as if it were the destination.
 */
export function compileTunnel(
  tunnel: Block<NonNullable<TrafficPolicy["tunnel"]>> | null,
  proxyProtocol: Block<NonNullable<TrafficPolicy["proxyProtocol"]>> | null,
  problems: ProblemList,
): Pick<ClusterSpec, "tunnel" | "proxyProtocol"> {
  return {
    ...(tunnel === null ? {} : { tunnel: { protocol: protocolOf(tunnel, problems), targetHost: tunnel.value.targetHost, targetPort: tunnel.value.targetPort } }),
    // Without a version it is V1, Istio's default.
    ...(proxyProtocol === null ? {} : { proxyProtocol: proxyProtocol.value.version ?? "V1" }),
  };
}

function protocolOf({ value, resource, path }: Block<NonNullable<TrafficPolicy["tunnel"]>>, problems: ProblemList): "CONNECT" | "POST" {
  const protocol = value.protocol ?? "CONNECT";
  if (protocol === "" || protocol === "CONNECT") return "CONNECT";
  problems.error(resource, [...path, "protocol"], `unsupported: ${JSON.stringify(protocol)}; only CONNECT is. Opaque connections are refused`);
  return "POST";
}
