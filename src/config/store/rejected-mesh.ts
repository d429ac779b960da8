import type { AnyResource } from "../kinds/kind-specs.ts";
import type { RefusedMesh } from "../source/parsed.ts";

/** What of a refused object tells whether it is the mesh's configuration; see `RejectedObject`. */
interface Refused {
  readonly mesh: RefusedMesh | null;
  readonly hasLastGood: boolean;
}

/**
 * The MeshConfig that was refused, where no other is in force: the first of several. Null where one is, be it a good
 * version of the same.
 */
export function rejectedMesh<T extends Refused>(rejected: readonly T[], resources: readonly AnyResource[]): (T & { readonly mesh: RefusedMesh }) | null {
  if (resources.some(({ kind }) => kind === "MeshConfig")) return null;
  return rejected.find((object): object is T & { readonly mesh: RefusedMesh } => object.mesh !== null && !object.hasLastGood) ?? null;
}

/** What is in force of it, as a sentence. */
export function describeRejectedMesh({ rootNamespace, outboundMode, leastTlsVersion }: RefusedMesh): string {
  const counting = [
    rootNamespace === null ? null : `the root namespace is ${JSON.stringify(rootNamespace)}`,
    outboundMode === null ? null : `outboundTrafficPolicy.mode is ${outboundMode}`,
    leastTlsVersion === null ? null : `meshMTLS.minProtocolVersion is ${leastTlsVersion}`,
  ].filter((part) => part !== null);
  const counts = [...counting, "everything else is as by default"].join(", ");
  return rootNamespace === null ? `all access to workloads is denied, since its rootNamespace cannot be read; ${counts}` : `only this of it counts: ${counts}`;
}
