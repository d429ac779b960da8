import { describe, expect, it } from "vitest";

import { formatProblem } from "../../../../src/config/problem.ts";
import { parseFile } from "../../../../src/config/source/parse-file.ts";
import { newCa } from "../../identity/test-mesh.ts";

/* `caCertificates` and `defaultConfig.caCertificatesPem` of a MeshConfig, as `check` and a reload judge them. */

const ca = newCa();
const ROOT = ca.rootPem;
const PARTNER = newCa("partner.example").rootPem;
const LEAF = ca.issue("spiffe://cluster.local/ns/a/sa/b").certificateChainPem;

function problemsOf(mesh: unknown): string[] {
  const [object] = parseFile("mesh.yaml", new TextEncoder().encode(JSON.stringify(mesh))).parsed.objects;
  return (object?.problems ?? []).map((problem) => formatProblem(problem).replace(/^mesh\.yaml:\d+:\d+: /, "").replace("MeshConfig istio-system/istio: ", ""));
}

const entry = (fields: unknown): string[] => problemsOf({ caCertificates: [fields] });

describe("caCertificates", () => {
  it.each<[string, unknown]>([
    ["a root of our own domain", { pem: ROOT }],
    ["several roots", { pem: `${ROOT}\n${newCa().rootPem}` }],
    ["another domain's root for that domain", { pem: PARTNER, trustDomains: ["partner.example"] }],
    ["the URL of another domain's bundle", { spiffeBundleUrl: "https://partner.example:8443/bundle", trustDomains: ["partner.example"] }],
    ["a URL without its scheme, as Istio takes it", { spiffeBundleUrl: "partner.example/bundle", trustDomains: ["partner.example"] }],
  ])("takes %s without a word", (_, fields) => {
    expect(entry(fields)).toEqual([]);
  });

  it.each<[string, unknown, RegExp]>([
    ["both a root and a URL", { pem: ROOT, spiffeBundleUrl: "https://a.example" }, /caCertificates\[0\]: set only one of pem and spiffeBundleUrl/],
    ["what is no PEM", { pem: "hello" }, /caCertificates\[0\]\.pem: is not a bundle of roots: holds no certificate/],
    ["a leaf", { pem: LEAF }, /caCertificates\[0\]\.pem: is not a bundle of roots: certificate 1 is not a CA that may sign/],
    ["half a PEM", { pem: ROOT.slice(0, 200) }, /caCertificates\[0\]\.pem: is not a bundle of roots: CERTIFICATE block without an end/],
    ["a URL in plain text", { spiffeBundleUrl: "http://a.example", trustDomains: ["a.example"] }, /spiffeBundleUrl: must be an https URL/],
    ["a file", { spiffeBundleUrl: "file:///etc/passwd", trustDomains: ["a.example"] }, /spiffeBundleUrl: must be an https URL/],
    ["a URL with a password", { spiffeBundleUrl: "https://a:b@a.example", trustDomains: ["a.example"] }, /spiffeBundleUrl: must not hold a name or a password/],
    ["what is no URL", { spiffeBundleUrl: "https://", trustDomains: ["a.example"] }, /spiffeBundleUrl: is not a URL/],
    ["a name that is no trust domain", { pem: ROOT, trustDomains: ["Not A Domain"] }, /trustDomains\[0\]: is not a trust domain/],
  ])("refuses %s", (_, fields, reason) => {
    const errors = entry(fields).filter((problem) => problem.startsWith("error"));
    expect(errors).toEqual([expect.stringMatching(reason)]);
  });

  it.each<[string, unknown, RegExp]>([
    ["nothing in an entry", { trustDomains: ["a.example"] }, /has no effect: it has neither pem nor spiffeBundleUrl/],
    ["another domain's root that would count for ours", { pem: PARTNER }, /holds a root that says it is of trust domain "partner\.example", and counts for cluster\.local/],
    ["another domain's URL that would count for ours", { spiffeBundleUrl: "https://partner.example" }, /its roots count for our own trust domain/],
    ["signers", { pem: ROOT, certSigners: ["a"] }, /certSigners: unsupported: SECURITY: the roots of this entry are not trusted/],
  ])("warns of %s", (_, fields, message) => {
    expect(entry(fields)).toEqual([expect.stringMatching(message)]);
    expect(entry(fields)[0]).toMatch(/^warning/);
  });
});

it("defaultConfig.caCertificatesPem is judged as roots of our own domain", () => {
  expect(problemsOf({ trustDomain: "cluster.local", defaultConfig: { caCertificatesPem: [ROOT] } })).toEqual([]);
  expect(problemsOf({ defaultConfig: { caCertificatesPem: [ROOT, "x"] } })).toEqual([expect.stringMatching(/^error: defaultConfig\.caCertificatesPem\[1\]: is not a bundle of roots/)]);
  expect(problemsOf({ defaultConfig: { caCertificatesPem: [PARTNER] } })).toEqual([expect.stringMatching(/^warning: .*counts for cluster\.local/)]);
});

it("a trust domain that no certificate can be of is warned of, whichever of ours it is", () => {
  expect(problemsOf({ trustDomain: "Own.td", trustDomainAliases: ["old.td", "OLD"] })).toEqual([
    expect.stringMatching(/^warning: trustDomain: is the trust domain of nobody: .*lower-case/),
    expect.stringMatching(/^warning: trustDomainAliases\[1\]: is the trust domain of nobody: .*lower-case/),
  ]);
});
