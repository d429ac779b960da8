import { selects } from "./export-to.ts";
import { MESH_GATEWAY } from "./virtual-service-index.ts";
import type { WorkloadIdentity } from "./workload-identity.ts";

/** Conditions of a `match` block that are known before any request comes (spec/03 3.2 and 3.12). */
interface StaticCondition {
  readonly port?: number | undefined;
  readonly gateways: readonly string[];
  readonly sourceLabels?: Readonly<Record<string, string>> | undefined;
  readonly sourceNamespace?: string | undefined;
}

/** HTTP: `gateways`, when given, decides alone and cancels the conditions on the source. */
export function holdsForHttp(match: StaticCondition, workload: WorkloadIdentity, port: number): boolean {
  if (match.port !== undefined && match.port !== port) return false;
  if (match.gateways.length > 0) return match.gateways.includes(MESH_GATEWAY);
  return isFromSource(match, workload);
}

/** TCP and TLS: all conditions must hold. */
export function holdsForTcp(match: StaticCondition, workload: WorkloadIdentity, port: number): boolean {
  if (match.port !== undefined && match.port !== port) return false;
  if (match.gateways.length > 0 && !match.gateways.includes(MESH_GATEWAY)) return false;
  return isFromSource(match, workload);
}

function isFromSource(match: StaticCondition, workload: WorkloadIdentity): boolean {
  const namespace = match.sourceNamespace ?? "";
  return selects(match.sourceLabels, workload.labels) && (namespace === "" || namespace === workload.namespace);
}
