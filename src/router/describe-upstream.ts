import { type Endpoint, endpointName } from "../cluster/endpoint.ts";
import type { RequestLease } from "../cluster/request-lease.ts";
import type { StreamInfo } from "../message/stream-info.ts";

/** Notes for telemetry which endpoint is tried, and who it proved to be; `lease` null: no connection came about. */
export function describeUpstream(info: StreamInfo, endpoint: Endpoint, lease: RequestLease | null): void {
  const { dialAddress } = endpoint;
  info.upstreamHost = typeof dialAddress === "string" ? dialledName(endpoint, dialAddress, lease) : endpoint.name;
  info.upstreamPrincipal = lease?.peerSpiffeId ?? null;
  info.upstreamLocalAddress = lease?.facts?.local ?? null;
  if (info.direction === "outbound") info.peer = endpoint.spec.labels;
}

/** Of an endpoint that is a name, the address: that of the connection, which may be older than the newest answer. */
function dialledName({ port }: Endpoint, dialAddress: string, lease: RequestLease | null): string {
  const remote = lease?.facts?.remote;
  return remote === undefined ? endpointName(dialAddress, port) : endpointName(remote.address, remote.port);
}
