import { bundleUrl } from "../kinds/ca-certificate-check.ts";
import type { Snapshot } from "../snapshot.ts";
import type { TrustSourceSpec } from "../snapshot-security.ts";
import type { MeshSettings } from "./mesh-settings.ts";
import type { WorkloadIdentity } from "./workload-identity.ts";

/**
 * The roots of trust that the mesh's configuration names: `meshConfig.caCertificates`, and `defaultConfig.caCertificatesPem`,
 * which are our own trust domain's (spec/05 5.1). An entry for certain signers is left out: it was meant for some workloads of a trust domain and not for
 * others, and a certificate does not say which signer made it.
 *
 * @returns that part of the snapshot, empty where there are none.
 */
export function compileTrustSources({ meshConfig }: MeshSettings): Pick<Snapshot, "trustSources"> {
  const spec = meshConfig?.spec;
  if (spec === undefined) return {};
  const listed = spec.caCertificates.flatMap(({ pem, spiffeBundleUrl, certSigners, trustDomains }): TrustSourceSpec[] => {
    if (certSigners.length > 0) return [];
    if (pem) return [{ trustDomains, roots: { kind: "pem", pem } }];
    return spiffeBundleUrl ? [{ trustDomains, roots: { kind: "url", url: bundleUrl(spiffeBundleUrl) } }] : [];
  });
  const own = (spec.defaultConfig?.caCertificatesPem ?? []).map((pem): TrustSourceSpec => ({ trustDomains: [], roots: { kind: "pem", pem } }));
  const trustSources = [...listed, ...own];
  return trustSources.length === 0 ? {} : { trustSources };
}

/**
 * Trust domains that were ours or an alias and are neither now, nor those of anybody else in the mesh's configuration: nobody
 * of them is let in any more, and connections that their peers have open are about to be closed.
 */
export function formerTrustDomains({ formerTrustDomains: former = [] }: WorkloadIdentity, mesh: MeshSettings): readonly string[] {
  const { trustSources = [] } = compileTrustSources(mesh);
  const believed = new Set([...mesh.trustDomains, ...trustSources.flatMap(({ trustDomains }) => trustDomains)]);
  return former.filter((domain) => !believed.has(domain));
}

/** All trust domains that a peer can be of: ours, and those whose roots come with the certificates or stand in the mesh's configuration. */
export function knownTrustDomains({ federatedTrustDomains = [] }: WorkloadIdentity, mesh: MeshSettings): readonly string[] {
  const { trustSources = [] } = compileTrustSources(mesh);
  return [...new Set([...mesh.trustDomains, ...federatedTrustDomains, ...trustSources.flatMap(({ trustDomains }) => trustDomains)])];
}
