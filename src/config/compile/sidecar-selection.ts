import type { AnyResource, ResourceOf } from "../kinds/kind-specs.ts";
import { selects } from "./export-to.ts";
import type { ProblemList } from "./problem-list.ts";
import { oldestFirst } from "./resource-order.ts";
import type { WorkloadIdentity } from "./workload-identity.ts";

type Sidecar = ResourceOf<"Sidecar">;

/**
 * The one Sidecar resource in force for a workload (spec/00 0.5): the oldest that selects it, else its namespace's
 * default, else the root namespace's. They are never merged.
 */
export function selectSidecar(
  resources: readonly AnyResource[],
  workload: WorkloadIdentity,
  rootNamespace: string,
  problems: ProblemList,
): Sidecar | null {
  const all = oldestFirst(resources, "Sidecar");
  const own = all.filter((sidecar) => sidecar.metadata.namespace === workload.namespace);
  const hasSelector = (sidecar: Sidecar): boolean => Object.keys(sidecar.spec.workloadSelector?.labels ?? {}).length > 0;
  const tiers = [
    own.filter((sidecar) => hasSelector(sidecar) && selects(sidecar.spec.workloadSelector?.labels, workload.labels)),
    own.filter((sidecar) => !hasSelector(sidecar)),
    all.filter((sidecar) => sidecar.metadata.namespace === rootNamespace && !hasSelector(sidecar)),
  ];
  const tier = tiers.find((candidates) => candidates.length > 0) ?? [];
  const [first, ...others] = tier;
  if (first === undefined) return null;
  for (const ignored of others) {
    problems.shadowed(ignored, [], `ignored for ${workload.podName}: Sidecar ${first.metadata.name} is older and applies to the same workloads`, first);
  }
  return first;
}
