import type { WorkloadIdentity } from "../../../../src/config/compile/workload-identity.ts";
import type { PolicySpec } from "../../../../src/config/snapshot-security.ts";
import { compileYaml } from "./compile-yaml.ts";

/** One policy of the workload's namespace with one rule, both in YAML, as it is compiled under such a MeshConfig. */
export function compiledPolicy(action: string, rule: string, mesh: string, identity: Partial<WorkloadIdentity>): PolicySpec {
  const { snapshot } = compileYaml(`
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: p, namespace: default }
spec: { action: ${action}, rules: [${rule}] }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: istio, namespace: istio-system }
data: { mesh: "${mesh}" }
`, identity);
  const { deny, allow } = snapshot.inbound.authorization;
  return [...deny, ...allow][0] as PolicySpec;
}
