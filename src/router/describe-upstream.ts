import type { Endpoint } from "../cluster/endpoint.ts";
import type { RequestLease } from "../cluster/request-lease.ts";
import type { StreamInfo } from "../message/stream-info.ts";

/** Notes for telemetry which endpoint is tried, and who it proved to be; `lease` null: no connection came about. */
export function describeUpstream(info: StreamInfo, endpoint: Endpoint, lease: RequestLease | null): void {
  info.upstreamHost = endpoint.name;
  info.upstreamPrincipal = lease?.peerSpiffeId ?? null;
  info.upstreamLocalAddress = lease?.facts?.local ?? null;
  if (info.direction === "outbound") info.peer = endpoint.spec.labels;
}
