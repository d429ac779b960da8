/** Clusters that always exist. */
export const PASSTHROUGH_CLUSTER = "PassthroughCluster";
export const BLACK_HOLE_CLUSTER = "BlackHoleCluster";
export const INBOUND_PASSTHROUGH_CLUSTER = "InboundPassthroughCluster";

/** The name operators and metrics rely on (spec/00 0.3); `subset` is empty for the whole service. */
export function outboundClusterName(port: number, subset: string, host: string): string {
  return `outbound|${port}|${subset}|${host}`;
}

/** The cluster of the application's own port. */
export function inboundClusterName(port: number): string {
  return `inbound|${port}||`;
}
