import type { AnyResource, ResourceOf } from "../kinds/kind-specs.ts";
import { selects } from "./export-to.ts";
import type { ProblemList } from "./problem-list.ts";
import { oldestFirst } from "./resource-order.ts";
import type { WorkloadIdentity } from "./workload-identity.ts";

type ProxyConfig = ResourceOf<"ProxyConfig">;

/** What the mesh says of how a sidecar is started. */
export interface EffectiveProxyConfig {
  /** Data threads; 0: one for each CPU; null: nobody says. */
  readonly concurrency: number | null;
  /** Environment variables by name. */
  readonly environment: ReadonlyMap<string, string>;
}

/**
 * The ProxyConfig of a workload (spec/00 0.2): `defaultConfig` of the mesh, over it the root namespace's, over that the
 * workload's namespace's, over that the one that selects the workload. Of each the oldest counts; environment variables
 * add up, name by name.
 */
export function effectiveProxyConfig(
  resources: readonly AnyResource[],
  workload: Pick<WorkloadIdentity, "namespace" | "labels">,
  problems: ProblemList,
): EffectiveProxyConfig {
  const mesh = oldestFirst(resources, "MeshConfig")[0]?.spec;
  const rootNamespace = mesh?.rootNamespace ?? "istio-system";
  const layers = proxyConfigsOf(resources, workload, rootNamespace, problems).map(({ spec }) => spec);
  const { concurrency, proxyMetadata } = mesh?.defaultConfig ?? {};
  const environment = new Map(Object.entries(proxyMetadata ?? {}));
  for (const layer of layers) for (const [name, value] of Object.entries(layer.environmentVariables ?? {})) environment.set(name, value);
  return { concurrency: layers.findLast((layer) => layer.concurrency !== undefined)?.concurrency ?? concurrency ?? null, environment };
}

/** Those in force for the workload: root namespace, namespace, workload; later ones win. */
function proxyConfigsOf(
  resources: readonly AnyResource[],
  { namespace, labels }: Pick<WorkloadIdentity, "namespace" | "labels">,
  rootNamespace: string,
  problems: ProblemList,
): ProxyConfig[] {
  const all = oldestFirst(resources, "ProxyConfig");
  const general = (of: string): ProxyConfig[] => all.filter((entry) => entry.metadata.namespace === of && !hasSelector(entry));
  const selecting = all.filter((entry) => entry.metadata.namespace === namespace && hasSelector(entry) && selects(entry.spec.selector?.matchLabels, labels));
  const tiers = [general(rootNamespace), namespace === rootNamespace ? [] : general(namespace), selecting];
  return tiers.flatMap(([first, ...others]) => {
    if (first === undefined) return [];
    for (const ignored of others) {
      problems.shadowed(ignored, [], `ignored for this workload: ProxyConfig ${first.metadata.name} is older and has the same scope; the two are not merged`, first);
    }
    return [first];
  });
}

function hasSelector(resource: ProxyConfig): boolean {
  return Object.keys(resource.spec.selector?.matchLabels ?? {}).length > 0;
}
