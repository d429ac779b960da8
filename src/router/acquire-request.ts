import type { AcquireRequest, Cluster } from "../cluster/cluster.ts";
import type { Endpoint } from "../cluster/endpoint.ts";
import { normalizeAuthority } from "../message/authority.ts";
import { requestProtocol } from "./request-protocol.ts";
import type { RoutedStream } from "./routed-stream.ts";

/** What an attempt asks of its cluster. `tried`: endpoints that failed it before; `hash`: what a balancer that hashes goes by; null for none. */
export function acquireRequest({ connection, head }: Pick<RoutedStream, "connection" | "head">, cluster: Cluster, tried: ReadonlySet<Endpoint> | null, needsFresh: boolean, hash: bigint | null): AcquireRequest {
  return {
    originalDestination: connection.isCaptured ? connection.local : null,
    protocol: requestProtocol(head, cluster.spec.protocol),
    isUpgrade: head.upgrade !== null,
    excludedEndpoints: tried,
    needsFreshConnection: needsFresh,
    hash,
    host: cluster.wantsHost ? hostOf(head.authority) : null,
  };
}

/** The host that is asked for, an IPv6 address without brackets; null for what is none. */
function hostOf(authority: string): string | null {
  const host = normalizeAuthority(authority)?.host ?? null;
  return host !== null && host.startsWith("[") ? host.slice(1, -1) : host;
}
