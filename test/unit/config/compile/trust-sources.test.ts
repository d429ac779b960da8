import { expect, it } from "vitest";

import { newCa } from "../../identity/test-mesh.ts";
import { compileYaml } from "./compile-yaml.ts";

const [own, partner] = ["cluster.local", "partner.example"].map((domain) => newCa(domain).rootPem) as [string, string];

function sourcesOf(mesh: unknown): unknown {
  const config = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "istio", namespace: "istio-system" }, data: { mesh: JSON.stringify(mesh) } };
  return compileYaml(JSON.stringify(config)).snapshot.trustSources;
}

it("roots go with the trust domains they are for; those of none are our own's, like caCertificatesPem", () => {
  expect(sourcesOf({
    caCertificates: [{ pem: partner, trustDomains: ["partner.example", "third.example"] }, { pem: own }, { spiffeBundleUrl: "a.example:8443/b", trustDomains: ["a.example"] }],
    defaultConfig: { caCertificatesPem: [own] },
  })).toEqual([
    { trustDomains: ["partner.example", "third.example"], roots: { kind: "pem", pem: partner } },
    { trustDomains: [], roots: { kind: "pem", pem: own } },
    { trustDomains: ["a.example"], roots: { kind: "url", url: "https://a.example:8443/b" } },
    { trustDomains: [], roots: { kind: "pem", pem: own } },
  ]);
});

it("an entry for certain signers, or with nothing in it, is none; a mesh that names no roots has no part in the snapshot", () => {
  expect(sourcesOf({ caCertificates: [{ pem: partner, certSigners: ["a"], trustDomains: ["partner.example"] }, { trustDomains: ["b.example"] }] })).toBeUndefined();
  expect(sourcesOf({ trustDomain: "cluster.local" })).toBeUndefined();
});
