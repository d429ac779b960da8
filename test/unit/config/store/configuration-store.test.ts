import { describe, expect, it } from "vitest";
import { formatProblem } from "../../../../src/config/problem.ts";
import { parseFile } from "../../../../src/config/source/parse-file.ts";
import type { ParsedFile, ParsedResources } from "../../../../src/config/source/parsed.ts";
import { ConfigurationStore } from "../../../../src/config/store/configuration-store.ts";
import type { StoreUpdate } from "../../../../src/config/store/configuration-store.ts";
import { rejectedPolicies } from "../../../../src/config/store/rejected-policies.ts";

/** What a source would read from these files. */
function folder(files: Readonly<Record<string, string>>): ParsedResources {
  return { files: Object.entries(files).map(([file, text]) => parseFile(file, new TextEncoder().encode(text)).parsed), problems: [] };
}

const unreadable = (file: string): ParsedFile => ({
  file, isReadable: false, isMissing: false, isEmpty: false, objects: [],
  problems: [{ severity: "error", file, line: 0, col: 0, resource: null, field: null, message: "may not be read" }],
});

const rule = (name: string, host: string): string => `apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: ${name}}\nspec: {host: ${host}}\n`;
const policy = (name: string, action: string): string =>
  `apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: ${name}}\nspec: {action: ${action}, selector: {matchLabels: {app: web}}, rules: [{}]}\n`;
const join = (...documents: string[]): string => documents.join("---\n");

const hosts = (update: StoreUpdate): string[] =>
  update.resources.map((resource) => `${resource.metadata.name}=${resource.kind === "DestinationRule" ? resource.spec.host : resource.kind}`);
const states = (update: StoreUpdate): string[] => update.statuses.map((status) => `${status.identity?.name ?? "?"} ${status.state}`);

describe("the configuration store", () => {
  it("takes what is good at first and names what is not", () => {
    const update = new ConfigurationStore().update(folder({ "a.yaml": join(rule("a", "one"), rule("b", "'no host'")) }));
    expect(hosts(update)).toEqual(["a=one"]);
    expect(states(update)).toEqual(["a applied", "b rejected"]);
    expect(update.rejected).toMatchObject([{ identity: { kind: "DestinationRule", namespace: "default", name: "b" }, hasLastGood: false }]);
    expect(update.problems.map(formatProblem)).toEqual(['a.yaml:9:8: error: DestinationRule default/b: spec.host: "no host" is not a host name']);
    expect(update.changed).toBe(true);
  });

  it("keeps the last good version of an object that became wrong, and applies the others", () => {
    const store = new ConfigurationStore();
    store.update(folder({ "a.yaml": join(rule("a", "one"), rule("b", "two")) }));
    const update = store.update(folder({ "a.yaml": join(rule("a", "three"), rule("b", "'no host'")) }));
    expect(hosts(update)).toEqual(["a=three", "b=two"]);
    expect(states(update)).toEqual(["a applied", "b quarantined"]);
    expect(update.problems.map((problem) => problem.message).join("\n")).toContain("its last good version, from a.yaml:6, stays in force");
    expect(hosts(store.update(folder({ "a.yaml": join(rule("a", "three"), rule("b", "four")) })))).toEqual(["a=three", "b=four"]);
  });

  it("says whether anything changed, and keeps equal objects", () => {
    const store = new ConfigurationStore();
    const first = store.update(folder({ "a.yaml": join(rule("a", "one"), rule("b", "two")) }));
    const same = store.update(folder({ "a.yaml": join(rule("a", "one"), rule("b", "two")) }));
    expect(same.changed).toBe(false);
    expect(same.resources[0]).toBe(first.resources[0]);
    const other = store.update(folder({ "a.yaml": join(rule("a", "one"), rule("b", "three")) }));
    expect(other.changed).toBe(true);
    expect(other.resources[0]).toBe(first.resources[0]);
    // The same objects, but now one is refused: that is news as well.
    expect(store.update(folder({ "a.yaml": join(rule("a", "one"), rule("b", "'no host'")) })).changed).toBe(true);
  });

  it("keeps every object of a file that is no YAML any more, and nothing of one that is deleted", () => {
    const store = new ConfigurationStore();
    store.update(folder({ "a.yaml": rule("a", "one"), "b.yaml": rule("b", "two") }));
    const broken = store.update(folder({ "a.yaml": "spec: [", "b.yaml": rule("b", "two") }));
    expect(hosts(broken)).toEqual(["a=one", "b=two"]);
    expect(states(broken)).toContain("a quarantined");
    expect(broken.unreadable).toEqual([{ file: "a.yaml", hasLastGood: true, isMissing: false }]);
    expect(hosts(store.update(folder({ "b.yaml": rule("b", "two") })))).toEqual(["b=two"]);
  });

  it("keeps what lay below a folder that cannot be read", () => {
    const store = new ConfigurationStore();
    store.update(folder({ "conf/x/a.yaml": rule("a", "one"), "conf/y.yaml": rule("b", "two") }));
    const update = store.update({ files: [unreadable("conf/x"), ...folder({ "conf/y.yaml": rule("b", "two") }).files], problems: [] });
    expect(hosts(update)).toEqual(["a=one", "b=two"]);
  });

  it("takes a file that was emptied for one that is being written", () => {
    const store = new ConfigurationStore();
    store.update(folder({ "a.yaml": rule("a", "one") }));
    const update = store.update(folder({ "a.yaml": "\n" }));
    expect(hosts(update)).toEqual(["a=one"]);
    expect(update.problems[0]?.severity).toBe("error");
    expect(new ConfigurationStore().update(folder({ "a.yaml": "" })).problems).toEqual([]);
  });

  it("does not lose an object whose name became unreadable", () => {
    const store = new ConfigurationStore();
    store.update(folder({ "a.yaml": join(policy("p", "DENY"), rule("a", "one")) }));
    for (const [from, to] of [["name: p", "nmae: p"], ["kind: AuthorizationPolicy", "kind: AuthorizationPolcy"], ["security.istio.io", "secruity.istio.io"]] as const) {
      const update = store.update(folder({ "a.yaml": join(policy("p", "DENY").replace(from, to), rule("a", "one")) }));
      expect(hosts(update), to).toEqual(["p=AuthorizationPolicy", "a=one"]);
      expect(rejectedPolicies(update, "default"), to).toEqual([]);
    }
  });

  it("moves an object between files", () => {
    const store = new ConfigurationStore();
    store.update(folder({ "a.yaml": rule("a", "one") }));
    const update = store.update(folder({ "b.yaml": rule("a", "one") }));
    expect(update.resources[0]?.file).toBe("b.yaml");
  });

  it("uses the first of two objects of the same name and refuses the second", () => {
    const update = new ConfigurationStore().update(folder({ "a.yaml": rule("a", "one"), "b.yaml": rule("a", "two") }));
    expect(hosts(update)).toEqual(["a=one"]);
    expect(update.problems.map(formatProblem)).toEqual(["b.yaml:1:1: error: DestinationRule default/a: is defined already in a.yaml:1; this one is not used"]);
  });

  it("hands on policies that were refused at first, so that they fail closed", () => {
    const rejected = (text: string) => rejectedPolicies(new ConfigurationStore().update(folder({ "a.yaml": text })), "own");
    expect(rejected(policy("p", "PERMIT"))).toEqual([{ kind: "AuthorizationPolicy", namespace: "default", name: "p", selector: { app: "web" }, file: "a.yaml", line: 1 }]);
    expect(rejected(policy("p", "DENY"))).toEqual([]);
    expect(rejected(policy("p", "DENY").replace("kind: AuthorizationPolicy", "kind: AuthorizationPolcy"))).toMatchObject([{ namespace: "default", name: "unnamed" }]);
    expect(rejected(policy("p", "DENY").replace("name: p", "name: p, namespace: 'N S'"))).toMatchObject([{ namespace: "own" }]);
    expect(rejected(policy("p", "DENY").replace("kind: AuthorizationPolicy\n", ""))).toMatchObject([{ name: "unnamed" }]);
    expect(rejected(rule("a", "'no host'"))).toEqual([]);
    expect(rejected(rule("a", "one").replace("name: a", "nmae: a"))).toEqual([]);
    expect(rejected("replicas: 1")).toEqual([]);
  });

  it("hands on rules about TLS that were refused, until there is a good version", () => {
    const tls = (mode: string) => rule("a", `api.example.com, exportTo: [.], workloadSelector: {matchLabels: {app: web}}, trafficPolicy: {tls: {mode: ${mode}}}`).replace("metadata: {name: a}", "metadata: {name: a, namespace: shop}");
    const store = new ConfigurationStore();
    const after = (text: string) => rejectedPolicies(store.update(folder({ "a.yaml": text })), "own");
    expect(after(tls("SIMPEL"))).toEqual([{ kind: "DestinationRule", namespace: "shop", name: "a", file: "a.yaml", line: 1, host: "api.example.com", exportTo: ["."], labels: { app: "web" } }]);
    expect(after(tls("SIMPLE"))).toEqual([]);
    expect(after(tls("SIMPEL"))).toEqual([]);
    expect(rejectedPolicies(new ConfigurationStore().update(folder({ "a.yaml": tls("SIMPLE").replace("api.example.com", "'no host'").replace("namespace: shop", "namespace: 'N S'") })), "own"))
      .toMatchObject([{ namespace: "own", host: null }]);
  });
});
