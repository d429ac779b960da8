import type { ClusterSpec } from "../snapshot.ts";
import { BLACK_HOLE_CLUSTER, INBOUND_PASSTHROUGH_CLUSTER, PASSTHROUGH_CLUSTER } from "./cluster-name.ts";
import { compileLimits } from "./limits.ts";
import type { MeshSettings } from "./mesh-settings.ts";

/** The clusters that exist whatever the configuration says. */
export function staticClusters(mesh: MeshSettings): ClusterSpec[] {
  const make = (name: string, kind: ClusterSpec["kind"], fromLoopbackSource: boolean): ClusterSpec => ({
    name,
    kind,
    service: null,
    endpoints: [],
    loadBalancer: "LEAST_REQUEST",
    limits: compileLimits(undefined, mesh),
    outlierDetection: null,
    tls: null,
    fromLoopbackSource,
    protocol: "downstream",
    hop: false,
    http2KeepAlive: null,
  });
  return [
    make(PASSTHROUGH_CLUSTER, "original-destination", false),
    // Without endpoints: whatever is sent here goes nowhere.
    make(BLACK_HOLE_CLUSTER, "endpoints", false),
    make(INBOUND_PASSTHROUGH_CLUSTER, "original-destination", true),
  ];
}
