import type { TrustBundle } from "./identity-material.ts";
import { splitPem } from "./pem.ts";

/**
 * Puts more roots to those that came with an identity, domain by domain: what is added for one counts for no other
 * (`spec/05` 5.1). A domain that is named for the first time has a bundle from then on, an empty one while nothing is known of its roots: it
 * must not be taken for an alias of ours that our own roots vouch for.
 *
 * @param bundles our own trust domain's first; the order stays.
 */
export function mergeTrustBundles(bundles: readonly TrustBundle[], additions: readonly TrustBundle[]): readonly TrustBundle[] {
  if (additions.length === 0) return bundles;
  const byDomain = new Map<string, Set<string>>();
  for (const { trustDomain, pem } of [...bundles, ...additions]) {
    const roots = byDomain.get(trustDomain) ?? new Set();
    for (const block of splitPem(pem, "CERTIFICATE")) roots.add(block);
    byDomain.set(trustDomain, roots);
  }
  return [...byDomain].map(([trustDomain, roots]) => ({ trustDomain, pem: [...roots].join("") }));
}
