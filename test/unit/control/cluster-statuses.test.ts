import { describe, expect, it } from "vitest";
import type { ClusterState, EndpointState } from "../../../src/cluster/cluster-state.ts";
import { clusterStatuses } from "../../../src/control/cluster-statuses.ts";
import { clusterSpec, FakeMesh } from "../cluster/fakes.ts";

/** The state of a cluster with one endpoint, changed. */
function state(name: string, change: Partial<EndpointState> = {}): ClusterState {
  const [cluster] = new FakeMesh(clusterSpec(["10.0.0.1"], { name })).clusters.state();
  if (cluster === undefined) throw new Error("no cluster");
  return { ...cluster, endpoints: cluster.endpoints.map((endpoint) => ({ ...endpoint, ...change })) };
}

describe("clusterStatuses", () => {
  it("names what Envoy's /clusters names", () => {
    expect(clusterStatuses([{ outbound: [state("a")], inbound: [] }])).toEqual([{
      name: "a",
      endpoints: [expect.objectContaining({ address: "10.0.0.1:9080", cx_active: 0, rq_total: 0, weight: 1, health_flags: "healthy", mesh_tls: false, ejected_for_ms: 0 })],
    }]);
  });

  it("adds up the threads, and shows an endpoint that one of them ejected", () => {
    const busy = state("a", { activeRequests: 2, totalRequests: 10, isEjected: true });
    const calm = state("a", { activeRequests: 1, totalRequests: 5 });
    for (const threads of [[busy, calm], [calm, busy]]) {
      const [cluster] = clusterStatuses(threads.map((one) => ({ outbound: [one], inbound: [] })));
      expect(cluster?.endpoints).toEqual([expect.objectContaining({ rq_active: 3, rq_total: 15, health_flags: "/failed_outlier_check" })]);
    }
  });

  it("shows the limits that are set, with what all threads count against them", () => {
    const count = (requests: number): ClusterState => ({ ...state("a"), limits: { ...state("a").limits, requests: { count: requests, max: 10 } } });
    const [cluster] = clusterStatuses([{ outbound: [count(2)], inbound: [] }, { outbound: [count(5)], inbound: [] }]);
    expect(cluster?.limits).toEqual([{ name: "max_requests", count: 7, max: 10 }]);
  });

  it("shows the verdict of active health checks beside the others", () => {
    const [cluster] = clusterStatuses([{ outbound: [state("a", { isHealthy: false, isFailingChecks: true, isEjected: true })], inbound: [] }]);
    expect(cluster?.endpoints[0]?.["health_flags"]).toBe("/failed_eds_health/failed_active_hc/failed_outlier_check");
  });

  it("keeps inbound and outbound clusters, each once", () => {
    const names = clusterStatuses([{ outbound: [state("out")], inbound: [state("in")] }, { outbound: [state("out")], inbound: [state("in")] }]).map(({ name }) => name);
    expect(names).toEqual(["out", "in"]);
  });
});
