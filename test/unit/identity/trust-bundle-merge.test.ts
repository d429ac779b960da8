import { expect, it } from "vitest";

import { mergeTrustBundles } from "../../../src/identity/trust-bundle-merge.ts";
import { newCa } from "./test-mesh.ts";

const [own, partner, partnerNext] = ["cluster.local", "partner.example", "partner.example"].map((domain) => newCa(domain).rootPem.replaceAll("\r", "").trimEnd() + "\n") as [string, string, string];
const OWN = { trustDomain: "cluster.local", pem: own };
const PARTNER = { trustDomain: "partner.example", pem: partner };

it("without anything to add, bundles stay what they are", () => {
  const bundles = [OWN, PARTNER];
  expect(mergeTrustBundles(bundles, [])).toBe(bundles);
});

it("roots go to the domain they are for, once each, and to no other", () => {
  const merged = mergeTrustBundles([OWN, PARTNER], [{ trustDomain: "partner.example", pem: partnerNext }, PARTNER, { trustDomain: "third.example", pem: partner }]);
  expect(merged).toEqual([OWN, { trustDomain: "partner.example", pem: partner + partnerNext }, PARTNER].map((bundle, index) => (index === 2 ? { ...bundle, trustDomain: "third.example" } : bundle)));
});

it("a domain of whose roots nothing is known has an empty bundle, and takes no root away from another", () => {
  expect(mergeTrustBundles([OWN], [{ trustDomain: "new.example", pem: "" }, { trustDomain: "cluster.local", pem: "" }])).toEqual([OWN, { trustDomain: "new.example", pem: "" }]);
});
