import type { ConnectionPool } from "../kinds/connection-pool.ts";
import type { ClusterSpec, EndpointSpec, WorkloadSpec } from "../snapshot.ts";
import { inboundClusterName } from "./cluster-name.ts";
import { compileLimits } from "./limits.ts";
import type { MeshSettings } from "./mesh-settings.ts";
import type { PortProtocol } from "./port-protocol.ts";
import type { Service } from "./service.ts";
import { compileHttp2KeepAlive, inboundUpstreamProtocol } from "./upstream-protocol.ts";

/**
 * Where the application is: `original` at the address the caller dialled, from 127.0.0.6 so that capture lets the
 * connection pass; an address of its own; or `nowhere`, when the configuration asks for what is not supported.
 */
export type Application =
  | { readonly kind: "original" }
  | { readonly kind: "address"; readonly address: string; readonly port: number; readonly fromLoopbackSource: boolean }
  | { readonly kind: "nowhere" };

/** The cluster `inbound|port||` (spec/02 2.8). */
export function inboundCluster(
  port: number,
  protocol: PortProtocol,
  service: Service | null,
  application: Application,
  pool: ConnectionPool | undefined,
  workload: WorkloadSpec,
  mesh: MeshSettings,
): ClusterSpec {
  const endpoints: EndpointSpec[] = application.kind !== "address" ? [] : [{
    address: application.address,
    port: application.port,
    weight: 1,
    isHealthy: true,
    isMeshTls: false,
    labels: workload.metrics,
  }];
  return {
    name: inboundClusterName(port),
    kind: application.kind === "original" ? "original-destination" : "endpoints",
    service: service?.ref ?? null,
    endpoints,
    loadBalancer: "LEAST_REQUEST",
    limits: compileLimits(pool, mesh),
    outlierDetection: null,
    tls: null,
    fromLoopbackSource: application.kind === "original" || (application.kind === "address" && application.fromLoopbackSource),
    protocol: inboundUpstreamProtocol(protocol, pool),
    hop: false,
    http2KeepAlive: compileHttp2KeepAlive(pool),
  };
}
