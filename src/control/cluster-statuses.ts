import type { ClusterStatus, EndpointStatus, LimitStatus } from "../admin/admin-sources.ts";
import type { ClusterState, EndpointState } from "../cluster/cluster-state.ts";
import type { ThreadClusters } from "../data-plane.ts";

const LIMITS: readonly (readonly [LimitStatus["name"], keyof ClusterState["limits"]])[] = [
  ["max_connections", "connections"], ["max_pending_requests", "pendingRequests"], ["max_requests", "requests"], ["max_retries", "retries"],
];

/** The clusters of all data threads as one list for `/clusters`: counts are summed, an endpoint ejected by one thread shows. */
export function clusterStatuses(threads: readonly ThreadClusters[]): ClusterStatus[] {
  const byName = new Map<string, { readonly states: ClusterState[]; readonly endpoints: Map<string, EndpointStatus> }>();
  for (const thread of threads) {
    for (const cluster of [...thread.outbound, ...thread.inbound]) {
      const known = byName.get(cluster.name) ?? { states: [], endpoints: new Map<string, EndpointStatus>() };
      byName.set(cluster.name, known);
      known.states.push(cluster);
      for (const endpoint of cluster.endpoints) known.endpoints.set(endpoint.address, sum(known.endpoints.get(endpoint.address), endpointStatus(endpoint)));
    }
  }
  return [...byName].map(([name, { states, endpoints }]) => {
    const limits = limitStatuses(states);
    return { name, ...(limits.length === 0 ? {} : { limits }), endpoints: [...endpoints.values()] };
  });
}

/** The limits of a cluster that are set, with what its states in all threads count against them. */
function limitStatuses(states: readonly ClusterState[]): LimitStatus[] {
  return LIMITS.flatMap(([name, key]) => {
    const max = states[0]?.limits[key].max ?? null;
    return max === null ? [] : [{ name, count: states.reduce((sum, { limits }) => sum + limits[key].count, 0), max }];
  });
}

/** One endpoint under the names of Envoy's `/clusters` (`spec/06` 6.9). */
function endpointStatus(endpoint: EndpointState): EndpointStatus {
  const { busy, idle, tcp } = endpoint.connections;
  const [region = "", zone = "", subzone = ""] = endpoint.locality.split("/");
  return {
    address: endpoint.address,
    cx_active: busy + idle + tcp,
    cx_connect_fail: endpoint.connectFailures,
    rq_active: endpoint.activeRequests,
    rq_total: endpoint.totalRequests,
    weight: endpoint.weight,
    priority: endpoint.priority,
    region,
    zone,
    sub_zone: subzone,
    health_flags: healthFlags(endpoint),
    mesh_tls: endpoint.isMeshTls,
    consecutive_5xx: endpoint.consecutive5xx,
    ejections: endpoint.ejections,
    ejected_for_ms: endpoint.ejectedForMs ?? 0,
  };
}

function healthFlags(endpoint: EndpointState): string {
  const flags = [...(endpoint.isHealthy ? [] : ["/failed_eds_health"]), ...(endpoint.isFailingChecks ? ["/failed_active_hc"] : []), ...(endpoint.isEjected ? ["/failed_outlier_check"] : [])];
  return flags.length === 0 ? "healthy" : flags.join("");
}

const SUMMED: ReadonlySet<string> = new Set(["cx_active", "cx_connect_fail", "rq_active", "rq_total", "ejections"]);

function sum(known: EndpointStatus | undefined, added: EndpointStatus): EndpointStatus {
  if (known === undefined) return added;
  const merged: Record<string, string | number | boolean> & { address: string } = { ...added };
  for (const key of SUMMED) merged[key] = Number(known[key]) + Number(added[key]);
  if (known["health_flags"] !== "healthy") merged["health_flags"] = known["health_flags"] as string;
  return merged;
}
