import { localityShares } from "../cluster/locality-shares.ts";
import { priorityLevels } from "../cluster/priority-levels.ts";
import type { ClusterSpec, EndpointSpec, WeightedClusterSpec } from "../config/snapshot.ts";
import { authorityOfAddress } from "../message/authority.ts";
import type { ConnectionFacts } from "../message/connection-facts.ts";
import type { ExplainedCluster } from "./explanation.ts";
import { writtenAt } from "./written-at.ts";

/** The clusters a request may go to, with their endpoints as the snapshot has them. */
export function explainedClusters(
  clusters: readonly WeightedClusterSpec[],
  spec: (name: string) => ClusterSpec | undefined,
  { isCaptured, local }: ConnectionFacts,
): ExplainedCluster[] {
  return clusters.map(({ name, weight }) => {
    const cluster = spec(name);
    if (cluster === undefined) return { name, weight, endpoints: [], unhealthy: [], transport: "plaintext" };
    if (cluster.kind === "original-destination") {
      return { name, weight, endpoints: isCaptured ? [authorityOfAddress(local)] : [], unhealthy: [], transport: toEvery(cluster) ?? "plaintext" };
    }
    if (cluster.refusal !== undefined) {
      const { reason, provenance } = cluster.refusal;
      return { name, weight, endpoints: [], unhealthy: [], transport: "refused", refusal: { ...writtenAt(provenance), reason } };
    }
    const { endpoints } = cluster;
    const used = usedEndpoints(cluster);
    const standby = endpoints.filter((spec) => spec.isHealthy && !used.includes(spec));
    return {
      name,
      weight,
      endpoints: used.map(authorityOfAddress),
      ...(standby.length === 0 ? {} : { standby: standby.map(authorityOfAddress) }),
      unhealthy: endpoints.filter((spec) => !spec.isHealthy && !used.includes(spec)).map(authorityOfAddress),
      transport: transportOf(cluster, endpoints),
    };
  });
}

/** Those that requests go to as long as nothing is ejected, by priority and zone. */
function usedEndpoints({ endpoints, outlierDetection, locality: localities, hash }: ClusterSpec): EndpointSpec[] {
  const placed = endpoints.map((spec) => ({ spec, priority: spec.priority ?? 0, isPickable: spec.isHealthy, locality: spec.locality ?? "" }));
  return priorityLevels(placed, outlierDetection?.minHealthPercent ?? 0).filter(({ load }) => load > 0).flatMap((level) => {
    const shares = localityShares(level, localities ?? null, hash !== undefined);
    return (shares === null ? level.usable : [...shares.values()].flatMap(({ usable }) => usable)).map(({ spec }) => spec);
  });
}

/** What every connection to a cluster is protected by, whatever its endpoint; null: that depends. */
function toEvery({ kind, tls, originatedTls }: ClusterSpec): "mtls" | "tls" | null {
  if (originatedTls !== undefined) return "tls";
  return kind === "original-destination" && tls !== null ? "mtls" : null;
}

function transportOf(cluster: ClusterSpec, endpoints: readonly EndpointSpec[]): ExplainedCluster["transport"] {
  const always = toEvery(cluster);
  if (always !== null) return always;
  if (cluster.tls === null || !endpoints.some(({ isMeshTls }) => isMeshTls)) return "plaintext";
  return endpoints.every(({ isMeshTls }) => isMeshTls) ? "mtls" : "mixed";
}
