import { isIP, isIPv4 } from "node:net";
import type { EndpointSpec } from "../snapshot.ts";
import type { DnsFamily, DnsSpec } from "../snapshot-cluster.ts";
import type { MeshSettings } from "./mesh-settings.ts";
import type { Service } from "./service.ts";

/** How a cluster's names are resolved (Envoy's STRICT_DNS and LOGICAL_DNS); null where every endpoint is an address. */
export function dnsOf(service: Service, endpoints: readonly EndpointSpec[], family: DnsFamily, mesh: MeshSettings): DnsSpec | null {
  if (endpoints.every(({ address }) => isIP(address) !== 0)) return null;
  return { mode: service.resolution === "dns-round-robin" ? "LOGICAL_DNS" : "STRICT_DNS", family, refreshMs: mesh.dnsRefreshMs };
}

/** The addresses that are of use to a workload: of the families it has itself; IPv4 where that is not known. */
export function dnsFamily(ownAddresses: readonly string[]): DnsFamily {
  const hasV4 = ownAddresses.some((address) => isIPv4(address));
  const hasV6 = ownAddresses.some((address) => isIP(address) === 6);
  if (hasV6) return hasV4 ? "all" : "v6";
  return "v4";
}
