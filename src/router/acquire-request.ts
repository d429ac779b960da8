import type { AcquireRequest, Cluster } from "../cluster/cluster.ts";
import type { Endpoint } from "../cluster/endpoint.ts";
import { requestProtocol } from "./request-protocol.ts";
import type { RoutedStream } from "./routed-stream.ts";

/** What an attempt asks of its cluster. `tried`: endpoints that failed it before; `hash`: what a balancer that hashes goes by; null for none. */
export function acquireRequest({ connection, head }: RoutedStream, cluster: Cluster, tried: ReadonlySet<Endpoint> | null, needsFresh: boolean, hash: bigint | null): AcquireRequest {
  return {
    originalDestination: connection.isCaptured ? connection.local : null,
    protocol: requestProtocol(head, cluster.spec.protocol),
    isUpgrade: head.upgrade !== null,
    excludedEndpoints: tried,
    needsFreshConnection: needsFresh,
    hash,
  };
}
