import type { RefusalSpec, UpstreamTlsSpec } from "../snapshot.ts";
import type { OriginatedTlsSpec } from "../snapshot-cluster.ts";
import type { EffectivePolicy } from "./effective-policy.ts";
import type { MeshSettings } from "./mesh-settings.ts";
import { originatedTls } from "./originated-tls.ts";
import type { TlsFilesAtHand } from "./originated-tls.ts";
import type { PeerAuthentications } from "./peer-authentication.ts";
import type { ProblemList } from "./problem-list.ts";
import { compareText } from "./resource-order.ts";
import type { Service, ServiceEndpoint, ServicePort } from "./service.ts";

/**
 * What a cluster does about TLS. `auto`: each endpoint as it can; `mesh`: mesh mTLS to all; `originate`: TLS to servers outside
 * of the mesh; `plain`: to none; `refused`: TLS of a kind we cannot speak, so nothing may be sent at all.
 */
export type TlsDecision =
  | { readonly kind: "auto"; readonly tls: UpstreamTlsSpec }
  | { readonly kind: "mesh"; readonly tls: UpstreamTlsSpec }
  | { readonly kind: "originate"; readonly tls: OriginatedTlsSpec }
  | { readonly kind: "plain" }
  | { readonly kind: "refused"; readonly refusal: RefusalSpec };

/** Decides TLS for one cluster (spec/04 4.7, spec/05 5.3 and 5.4). */
export function decideTls(
  service: Service,
  port: ServicePort,
  subset: string,
  policy: EffectivePolicy,
  mesh: MeshSettings,
  files: TlsFilesAtHand,
  problems: ProblemList,
): TlsDecision {
  const serverName = `outbound_.${port.number}_.${subset}_.${service.host}`;
  const block = policy.tls;
  if (block === null) {
    if (!mesh.hasAutoMtls || service.isExternal) return { kind: "plain" };
    return { kind: "auto", tls: { mode: "ISTIO_MUTUAL", serverName, expectedIdentities: identitiesOf(service, mesh) } };
  }
  const { mode, sni, subjectAltNames } = block.value;
  if (mode === "DISABLE") return { kind: "plain" };
  if (mode !== "ISTIO_MUTUAL") {
    const originated = originatedTls(service, port, block, mode, files, problems);
    return "refusal" in originated ? { kind: "refused", refusal: originated.refusal } : { kind: "originate", tls: originated };
  }
  for (const field of ["caCrl", "insecureSkipVerify"] as const) {
    if (block.value[field]) problems.warning(block.resource, [...block.path, field], "has no effect with mode ISTIO_MUTUAL: peers are verified as the mesh does");
  }
  const expectedIdentities = subjectAltNames.length > 0 ? [...subjectAltNames] : identitiesOf(service, mesh);
  return { kind: "mesh", tls: { mode, serverName: sni === undefined || sni === "" ? serverName : sni, expectedIdentities } };
}

/** Whether one endpoint takes mesh mTLS: its label says so, and its own policy does not turn it off. */
export function takesMeshTls(endpoint: ServiceEndpoint, policies: PeerAuthentications): boolean {
  return endpoint.takesMeshTls && policies.modeOf(endpoint.namespace, endpoint.labels, endpoint.port) !== "DISABLE";
}

/**
 * SPIFFE IDs that may answer for a service: the service accounts of all its endpoints, in every trust domain that is
 * ours, and what its ServiceEntry adds. Of the whole service, as in Istio: a subset whose endpoints name no account must
 * not accept more than the service does.
 */
function identitiesOf(service: Service, mesh: MeshSettings): string[] {
  const identities = new Set<string>(service.subjectAltNames);
  for (const endpoint of service.ports.flatMap((port) => port.endpoints)) {
    if (endpoint.serviceAccount === null) continue;
    for (const domain of mesh.trustDomains) {
      identities.add(`spiffe://${domain}/ns/${endpoint.namespace}/sa/${endpoint.serviceAccount}`);
    }
  }
  return [...identities].toSorted(compareText);
}
