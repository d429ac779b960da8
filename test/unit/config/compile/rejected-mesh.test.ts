import { describe, expect, test } from "vitest";

import { compile } from "../../../../src/config/compile/compile.ts";
import { formatProblem } from "../../../../src/config/problem.ts";
import { parseFile } from "../../../../src/config/source/parse-file.ts";
import { ConfigurationStore } from "../../../../src/config/store/configuration-store.ts";
import { closedPolicies } from "../../../../src/config/store/rejected-policies.ts";
import { PRODUCTPAGE } from "./compile-yaml.ts";

/*
 * Symptom: a MeshConfig with one misspelt field was refused at the first start, and every default took its place: policies
 * of its root namespace were not in force for anybody else, REGISTRY_ONLY was ALLOW_ANY, TLS 1.3 was 1.2. Cause: of what is
 * refused nothing was read. Fix: what of it closes counts as far as it can be read; without a root namespace access is closed.
 */

const POLICIES = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: nobody, namespace: mesh-root }
spec: { action: DENY, rules: [{}] }
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: mesh-root }
spec: { mtls: { mode: STRICT } }
`;
const WHOLE = "rootNamespace: mesh-root\noutboundTrafficPolicy: { mode: REGISTRY_ONLY }\nmeshMTLS: { minProtocolVersion: TLSV1_3 }\n";
const TYPO = "conectTimeout: 1s\n";
const configMap = (mesh: string): string => `apiVersion: v1\nkind: ConfigMap\nmetadata: { name: istio, namespace: mesh-root }\ndata:\n  mesh: |\n    ${mesh.trimEnd().replaceAll("\n", "\n    ")}\n`;

type Files = Readonly<Record<string, string>>;
const parsed = (files: Files) => ({ files: Object.entries({ "policies.yaml": POLICIES, ...files }).map(([file, text]) => parseFile(file, Buffer.from(text)).parsed), problems: [] });
function after(files: Files, store = new ConfigurationStore()) {
  const update = store.update(parsed(files));
  const { snapshot } = compile({ resources: update.resources, workload: PRODUCTPAGE, rejectedPolicies: closedPolicies(update, PRODUCTPAGE.namespace), version: 1 });
  const { inbound, outbound } = snapshot;
  return {
    denying: inbound.authorization.deny.map(({ namespace, name }) => `${namespace}/${name}`),
    mtls: inbound.passthrough.mtls,
    isTls13Required: inbound.leastTlsVersion === "TLSv1.3",
    unknownHosts: outbound.catchAll,
    problems: update.problems.map(formatProblem),
    update,
  };
}
const ALL = { denying: ["mesh-root/nobody"], mtls: "STRICT", isTls13Required: true, unknownHosts: "REGISTRY_ONLY" };
const consequence = ({ problems }: { readonly problems: readonly string[] }): string[] => problems.filter((problem) => problem.includes(": warning: ")).map((problem) => problem.replace(/^.*until it is mended, /, ""));

describe("a refused MeshConfig of which no good version is left", () => {
  test.each([["a file", { "mesh.yaml": WHOLE + TYPO }], ["a ConfigMap", { "istio.yaml": configMap(WHOLE + TYPO) }]])("counts where it closes: %s", (_where, files) => {
    expect(after({ "mesh.yaml": WHOLE })).toMatchObject(ALL);
    const refused = after(files);
    expect(refused).toMatchObject(ALL);
    expect(consequence(refused)).toEqual(['only this of it counts: the root namespace is "mesh-root", outboundTrafficPolicy.mode is REGISTRY_ONLY, meshMTLS.minProtocolVersion is TLSV1_3, everything else is as by default']);
  });

  test("counts field by field, each as if it were alone", () => {
    expect(after({ "mesh.yaml": "rootNamespace: mesh-root\noutboundTrafficPolicy: { mode: REGISTRY_ONYL }\nmeshMTLS: TLSV1_3\n" }))
      .toMatchObject({ ...ALL, isTls13Required: false, unknownHosts: "ALLOW_ANY" });
    const other = after({ "mesh.yaml": `outboundTrafficPolicy: { mode: REGISTRY_ONLY, mood: 1 }\n${TYPO}` });
    expect(other).toMatchObject({ denying: [], mtls: "PERMISSIVE", unknownHosts: "REGISTRY_ONLY" });
    expect(consequence(other)).toEqual(['only this of it counts: the root namespace is "istio-system", outboundTrafficPolicy.mode is REGISTRY_ONLY, everything else is as by default']);
  });

  test.each([
    ["a number", "rootNamespace: 7\n"],
    ["empty", "rootNamespace: ''\n"],
    ["left out", "rootNamespace:\n"],
    ["a word of two meanings", "rootNamespace: yes\n"],
    ["a list", "rootNamespace: [mesh-root]\n"],
    ["misspelt", "rootNamespce: mesh-root\n"],
    ["in another spelling", "root_namespace: mesh-root\n"],
    ["in a block that does not belong there", "meshConfig: { rootNamespace: mesh-root }\n"],
    ["indented too far", "defaultConfig:\n  rootNamespace: mesh-root\n"],
    ["there twice", "rootNamespace: mesh-root\nrootNamespace: other\n"],
    ["perhaps under a merge key", "<<: { rootNamespace: mesh-root }\n"],
  ])("closes access where its root namespace cannot be read: %s", (_how, mesh) => {
    for (const files of [{ "mesh.yaml": mesh }, { "istio.yaml": configMap(mesh) }]) {
      const closed = after(files);
      expect(closed.denying).toEqual(["default/unreadable-mesh-config"]);
      expect(consequence(closed)).toEqual(["all access to workloads is denied, since its rootNamespace cannot be read; everything else is as by default"]);
    }
  });

  test.each([
    ["a file that is a list", { "mesh.yaml": "- rootNamespace: mesh-root\n" }],
    ["a file that is a text", { "mesh.yaml": "rootNamespace\n" }],
    ["a key that is a list", { "istio.yaml": configMap("- rootNamespace: mesh-root\n") }],
    ["a key that is a text", { "istio.yaml": configMap("rootNamespace\n") }],
    ["a key that is no YAML", { "istio.yaml": configMap("rootNamespace: [\n") }],
    ["a key with two documents", { "istio.yaml": configMap("rootNamespace: mesh-root\n---\n{}\n") }],
    ["a key that is no text", { "istio.yaml": configMap("").replace("mesh: |", "mesh: { rootNamespace: mesh-root }") }],
    ["data that are no mapping", { "istio.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: istio }\ndata: mesh\n" }],
  ])("closes access where it is no mapping: %s", (_what, files) => {
    const closed = after(files);
    expect(closed.denying).toEqual(["default/unreadable-mesh-config"]);
    expect(closed.problems).toContainEqual(expect.stringMatching(/: error: MeshConfig [-a-z]+\/istio: /));
    expect(closed.update.statuses).toContainEqual(expect.objectContaining({ identity: expect.objectContaining({ kind: "MeshConfig" }), state: "rejected" }));
  });

  test("is nothing where there is none", () => {
    for (const files of [{}, { "mesh.yaml": "" }, { "mesh.yaml": "---\n" }, { "istio.yaml": configMap("# nothing\n") }, { "istio.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: istio }\ndata:\n" }] as Files[]) {
      expect(after(files)).toMatchObject({ denying: [], mtls: "PERMISSIVE", problems: [] });
    }
  });
});

describe("in the course of time", () => {
  test.each([["misspelt", "rootNamespce: other\n"], ["there twice", "rootNamespace: other\nrootNamespace: more\n"], ["no mapping", "other\n"]])("a good version stays in force instead: %s", (_how, broken) => {
    for (const wrap of [(mesh: string): Files => ({ "mesh.yaml": mesh }), (mesh: string): Files => ({ "istio.yaml": configMap(mesh) })]) {
      const store = new ConfigurationStore();
      after(wrap(WHOLE), store);
      const kept = after(wrap(broken), store);
      expect(kept).toMatchObject(ALL);
      expect(kept.problems.join("\n")).not.toContain("until it is mended");
    }
  });

  test("access is open again once it is mended", () => {
    const store = new ConfigurationStore();
    expect(after({ "mesh.yaml": "rootNamespace: []\n" }, store).denying).toEqual(["default/unreadable-mesh-config"]);
    expect(after({ "mesh.yaml": "rootNamespace: other\n" }, store).denying).toEqual([]);
  });

  test("another root namespace in what is still refused is news", () => {
    const store = new ConfigurationStore();
    after({ "mesh.yaml": `rootNamespace: other\n${TYPO}` }, store);
    const { update } = after({ "mesh.yaml": `rootNamespace: mesh-root\n${TYPO}` }, store);
    expect(update.changed).toBe(true);
  });

  test("one that is in force beside it counts alone", () => {
    const both = after({ "istio.yaml": configMap("rootNamespace: []\n"), "mesh.yaml": WHOLE });
    expect(both).toMatchObject(ALL);
    expect(consequence(both)).toEqual([]);
  });
});
