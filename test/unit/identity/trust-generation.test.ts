import { describe, expect, it } from "vitest";

import { systemClock } from "../../../src/core/clock.ts";
import { TlsIdentity } from "../../../src/identity/tls-identity.ts";
import { idOf, materialOf, newCa } from "./test-mesh.ts";

const ca = newCa();
const partner = { trustDomain: "partner.example", pem: newCa("partner.example").rootPem };
const OURS = ["cluster.local", "old.example"];

function identityWith(...federated: { trustDomain: string; pem: string }[]): TlsIdentity {
  const identity = new TlsIdentity(systemClock);
  identity.apply({ ...materialOf(ca.issue(idOf("reviews"))), bundles: [{ trustDomain: "cluster.local", pem: ca.rootPem }, ...federated] });
  return identity;
}

describe("the trust domains whose peers may be here", () => {
  const accepted = (identity: TlsIdentity): string[] =>
    ["cluster.local", "old.example", "partner.example", "third.example"].filter((domain) => identity.acceptsTrustDomain(domain, OURS));

  it("are ours, its aliases, and those with a bundle", () => {
    expect(accepted(new TlsIdentity(systemClock))).toEqual(OURS);
    expect(accepted(identityWith())).toEqual(OURS);
    expect(accepted(identityWith(partner))).toEqual([...OURS, "partner.example"]);
  });

  it("are not those all of whose roots were revoked, aliases neither", () => {
    expect(accepted(identityWith({ ...partner, pem: "" }))).toEqual(OURS);
    expect(accepted(identityWith({ trustDomain: "old.example", pem: "" }))).toEqual(["cluster.local"]);
  });
});

it("a generation of trust ends with the certificate, the roots, and the trust domains that are accepted", () => {
  const identity = new TlsIdentity(systemClock);
  identity.trustDomainsChanged();
  expect(identity.generation).toBe(0);
  const material = materialOf(ca.issue(idOf("reviews")));
  identity.apply(material);
  identity.apply({ ...material, bundles: [...material.bundles, partner] });
  expect(identity.generation).toBe(2);
  identity.trustDomainsChanged();
  expect(identity.generation).toBe(3);
});
