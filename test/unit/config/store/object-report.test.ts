import { describe, expect, it } from "vitest";
import { compile } from "../../../../src/config/compile/compile.ts";
import { parseFile } from "../../../../src/config/source/parse-file.ts";
import { ConfigurationStore } from "../../../../src/config/store/configuration-store.ts";
import { heldProblems, holdBack } from "../../../../src/config/store/hold-back.ts";
import { ObjectHistory } from "../../../../src/config/store/object-history.ts";
import type { DatedReport } from "../../../../src/config/store/object-history.ts";
import { reportObjects } from "../../../../src/config/store/object-report.ts";
import type { AnyResource } from "../../../../src/config/kinds/kind-specs.ts";
import { PRODUCTPAGE } from "../compile/compile-yaml.ts";

/** Folder, store, hold-back, compiler and report, one after the other as the proxy does it; the generation is the clock. */
class Steps {
  readonly #store = new ConfigurationStore();
  readonly #history = new ObjectHistory();
  #inForce: readonly AnyResource[] | null = null;
  #generation = 0;

  take(text: string): DatedReport[] {
    const update = this.#store.update({ files: [parseFile("f.yaml", new TextEncoder().encode(text)).parsed], problems: [] });
    const { resources, held } = holdBack(update.resources, this.#inForce);
    this.#inForce = resources;
    const compiled = compile({ resources, workload: PRODUCTPAGE, version: ++this.#generation });
    const problems = [...update.problems, ...heldProblems(held), ...compiled.problems];
    return this.#history.date(reportObjects({ statuses: update.statuses, problems, held, resources }), resources, this.#generation, this.#generation * 100);
  }
}

const object = (kind: string, name: string, spec: string, group = "networking.istio.io/v1"): string => `\n---\n{apiVersion: ${group}, kind: ${kind}, metadata: {name: ${name}}, spec: ${spec}}`;
const REVIEWS = object("Service", "reviews", "{ports: [{port: 80, name: http}]}", "v1");
const route = (name: string, spec = "{hosts: [reviews], http: [{route: [{destination: {host: reviews}}]}]}"): string => object("VirtualService", name, spec);
const mtls = (name: string, mode: string): string => object("PeerAuthentication", name, `{mtls: {mode: ${mode}}}`, "security.istio.io/v1");
const states = (reports: readonly DatedReport[]): string[] => reports.map(({ name, state, generation }) => `${name} ${state} ${generation}`);

describe("what became of each object", () => {
  it("tells what is applied, shadowed, waiting, stale, rejected", () => {
    const reports = new Steps().take(REVIEWS + route("a") + route("b") + mtls("first", "STRICT") + mtls("second", "DISABLE") + object("Gateway", "g", "{selector: {a: b}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}")
      + route("c", "{hosts: [reviews, other.example], http: [{route: [{destination: {host: reviews}}]}]}") + route("broken", "{hosts: []}"));
    expect(Object.fromEntries(reports.map(({ name, state }) => [name, state]))).toEqual({
      reviews: "applied", a: "applied", b: "shadowed-by", first: "applied", second: "shadowed-by", g: "unsupported", c: "partially-applied", broken: "rejected",
    });
    expect(reports.find(({ name }) => name === "b")).toMatchObject({ kind: "VirtualService", namespace: "default", file: "f.yaml", by: { resource: "VirtualService default/a", file: "f.yaml", line: 5 } });
    expect(reports.find(({ name }) => name === "broken")?.why.join()).toContain("error: ");
  });

  it("tells of a PeerAuthentication that counts for nobody, and of one that a younger rival of the same workloads is behind", () => {
    const selected = (name: string, namespace: string, mode: string): string =>
      `\n---\n{apiVersion: security.istio.io/v1, kind: PeerAuthentication, metadata: {name: ${name}, namespace: ${namespace}}, spec: {selector: {matchLabels: {app: productpage}}, mtls: {mode: ${mode}}}}`;
    const reports = new Steps().take(selected("mesh", "istio-system", "STRICT") + selected("a", "default", "STRICT") + selected("b", "default", "DISABLE"));
    expect(Object.fromEntries(reports.map(({ name, state }) => [name, state]))).toEqual({ mesh: "ignored", a: "applied", b: "shadowed-by" });
    expect(reports.find(({ name }) => name === "mesh")?.why).toEqual([expect.stringMatching(/^warning: spec\.selector: ignored, and nothing is closed or opened by it/)]);
    expect(reports.find(({ name }) => name === "b")?.by?.resource).toBe("PeerAuthentication default/a");
  });

  it("tells of an object that waits, and of one that is needed longer than it is there", () => {
    const steps = new Steps();
    const rule = (subset: string): string => object("DestinationRule", "rule", `{host: reviews, subsets: [{name: ${subset}, labels: {v: a}}]}`);
    const to = (subset: string): string => route("a", `{hosts: [reviews], http: [{route: [{destination: {host: reviews, subset: ${subset}}}]}]}`);
    steps.take(REVIEWS + rule("v1") + to("v1"));
    const waiting = steps.take(REVIEWS + rule("v1") + to("v2")).find(({ name }) => name === "a");
    expect(waiting).toMatchObject({ state: "partially-applied", why: [expect.stringContaining('error: waits for subset "v2"')], inForce: { file: "f.yaml", source: "memory" } });
    const gone = steps.take(REVIEWS + to("v1")).find(({ name }) => name === "rule");
    expect(gone).toMatchObject({ kind: "DestinationRule", state: "stale", why: [expect.stringContaining('its subset "v1" is gone')], inForce: { line: 5 } });
  });

  it("tells since when, and counts it anew when the state or the version in force changes", () => {
    const steps = new Steps();
    expect(states(steps.take(REVIEWS + route("a")))).toEqual(["reviews applied 1", "a applied 1"]);
    expect(states(steps.take(REVIEWS + route("a")))).toEqual(["reviews applied 1", "a applied 1"]);
    expect(states(steps.take(REVIEWS + route("a", "{hosts: [reviews]}")))).toEqual(["reviews applied 1", "a stale 3"]);
    const again = steps.take(REVIEWS + route("a", "{hosts: [reviews], http: [{directResponse: {status: 204}}]}"));
    expect([states(again), again[1]?.sinceMs]).toEqual([["reviews applied 1", "a applied 4"], 400]);
  });
});
