import type { Block, EffectivePolicy } from "./effective-policy.ts";
import type { MeshSettings } from "./mesh-settings.ts";

/**
 * The policy with the mesh's `defaultTrafficPolicy` where a connection pool or an outlier detection is still absent
 * (spec/04 4.1), also below a port-level setting, which resets what it leaves out. Blocks are taken whole.
 */
export function withMeshDefaults(policy: EffectivePolicy, mesh: MeshSettings): EffectivePolicy {
  const { meshConfig } = mesh;
  const defaults = meshConfig?.spec.defaultTrafficPolicy;
  if (meshConfig === null || defaults === undefined) return policy;
  const block = <T>(value: T | undefined, name: string): Block<T> | null =>
    value === undefined ? null : { value, resource: meshConfig, path: ["defaultTrafficPolicy", name] };
  return {
    ...policy,
    connectionPool: policy.connectionPool ?? block(defaults.connectionPool, "connectionPool"),
    outlierDetection: policy.outlierDetection ?? block(defaults.outlierDetection, "outlierDetection"),
  };
}
