import { describe, expect, it } from "vitest";
import type { AnyResource } from "../../../../src/config/kinds/kind-specs.ts";
import { parseFile } from "../../../../src/config/source/parse-file.ts";
import { holdBack } from "../../../../src/config/store/hold-back.ts";

const read = (text: string): AnyResource[] => {
  const { parsed } = parseFile("f.yaml", new TextEncoder().encode(text));
  const faults = parsed.objects.filter(({ resource }) => resource === null);
  if (!parsed.isReadable || faults.length > 0) throw new Error(JSON.stringify([parsed.problems, faults]));
  return parsed.objects.map(({ resource }) => resource as AnyResource);
};
const service = (name: string, port = 80): string => `\n---\n{apiVersion: v1, kind: Service, metadata: {name: ${name}}, spec: {ports: [{port: ${port}, name: http}]}}`;
const entry = (host: string): string => `\n---\n{apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {name: external}, spec: {hosts: [${host}], resolution: DNS, ports: [{number: 80, name: http, protocol: HTTP}]}}`;
const alias = (name: string, to: string): string => `\n---\n{apiVersion: v1, kind: Service, metadata: {name: ${name}}, spec: {type: ExternalName, externalName: ${to}}}`;
const rule = (host: string, ...subsets: string[]): string =>
  `\n---\n{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: rule}, spec: {host: "${host}", subsets: [${subsets.map((name) => `{name: ${name}, labels: {version: ${name}}}`).join(", ")}]}}`;
const route = (destination: string, name = "route", host = "reviews"): string =>
  `\n---\n{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: ${name}}, spec: {hosts: [${host}], http: [{route: [{destination: {${destination}}}]}]}}`;
const v = (subset: string): string => `host: reviews, subset: ${subset}`;

/** What follows the states given, one after the other: what is in force, and what is held. */
function after(...states: string[]) {
  let inForce: readonly AnyResource[] | null = null;
  let held: ReturnType<typeof holdBack>["held"] = [];
  for (const state of states) ({ resources: inForce, held } = holdBack(read(state), inForce));
  return { resources: inForce as readonly AnyResource[], held };
}
const routesOf = ({ resources }: { readonly resources: readonly AnyResource[] }): string[] => resources.flatMap((resource) =>
  resource.kind !== "VirtualService" ? [] : resource.spec.http.flatMap((http) => http.route.map(({ destination }) => `${destination.host}/${destination.subset ?? ""}`)));
const subsetsOf = ({ resources }: { readonly resources: readonly AnyResource[] }): string[] =>
  resources.flatMap((resource) => (resource.kind === "DestinationRule" ? resource.spec.subsets.map(({ name }) => name) : []));

const BASE = service("reviews") + rule("reviews", "v1") + route(v("v1"));

describe("routes before what they name", () => {
  it("keeps the route before until the subset is there", () => {
    const early = service("reviews") + rule("reviews", "v1") + route(v("v2"));
    const waiting = after(BASE, early);
    expect(routesOf(waiting)).toEqual(["reviews/v1"]);
    expect(waiting.held).toMatchObject([{
      name: "VirtualService default/route", reason: 'waits for subset "v2" of reviews.default.svc.cluster.local; until then its version before stays in force',
    }]);
    expect(waiting.held[0]?.inForce).toBe(waiting.resources.find(({ kind }) => kind === "VirtualService"));
    // Still, however often something else changes.
    expect(routesOf(after(BASE, early, early + service("other"), early))).toEqual(["reviews/v1"]);
    const complete = after(BASE, early, service("reviews") + rule("reviews", "v1", "v2") + route(v("v2")));
    expect([routesOf(complete), complete.held]).toEqual([["reviews/v2"], []]);
  });

  it("keeps it until the host, or the port of a host, is there", () => {
    const early = service("reviews") + rule("reviews", "v1") + route("host: new.example");
    expect(routesOf(after(BASE, early))).toEqual(["reviews/v1"]);
    expect(routesOf(after(BASE, early, early + entry("new.example")))).toEqual(["new.example/"]);
    const port = after(BASE, service("reviews") + rule("reviews", "v1") + route("host: reviews, port: {number: 81}"));
    expect([routesOf(port), port.held[0]?.reason]).toEqual([["reviews/v1"], expect.stringContaining("port 81 of reviews.default.svc.cluster.local")]);
  });

  it("routes hosts that are served already as before, while a new rule waits", () => {
    const waiting = after(service("reviews"), service("reviews") + route(v("v1")));
    expect([routesOf(waiting), waiting.held[0]?.inForce, waiting.held[0]?.reason]).toEqual([[], null, expect.stringContaining("routed as before")]);
    expect(routesOf(after(service("reviews"), service("reviews") + route(v("v1")), BASE))).toEqual(["reviews/v1"]);
    expect(routesOf(after(service("reviews"), service("reviews") + route(v("v1"), "route", '"*.svc.cluster.local"')))).toEqual([]);
  });

  it("holds nothing that was never better: at the start, for hosts not served, and when the version before lacks as much", () => {
    const broken = service("reviews") + route(v("v9"));
    expect([routesOf(after(broken)), after(broken).held]).toEqual([["reviews/v9"], []]);
    expect(routesOf(after(service("reviews"), service("reviews") + route(v("v1"), "route", "nobody.example")))).toEqual(["reviews/v1"]);
    expect(routesOf(after(broken, service("reviews") + route(v("v8"))))).toEqual(["reviews/v8"]);
    // The host of the version before went away as well.
    expect(routesOf(after(service("reviews") + route("host: reviews"), service("other") + route("host: later")))).toEqual(["later/"]);
  });

  it("waits for a delegate", () => {
    const root = `\n---\n{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: route}, spec: {hosts: [reviews], http: [{delegate: {name: part, namespace: shop}}]}}`;
    const part = `\n---\n{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: part, namespace: shop}, spec: {http: [{directResponse: {status: 204}}]}}`;
    const waiting = after(BASE, service("reviews") + rule("reviews", "v1") + root);
    expect([routesOf(waiting), waiting.held[0]?.reason]).toEqual([["reviews/v1"], expect.stringContaining("waits for delegate VirtualService shop/part")]);
    expect(after(BASE, service("reviews") + root, service("reviews") + root + part).held).toEqual([]);
  });

  it("takes up a version that lacks less than the one in force", () => {
    const two = `\n---\n{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: route}, spec: {hosts: [reviews], http: [{match: [{uri: {prefix: /a}}], route: [{destination: {${v("v8")}}}]}, {route: [{destination: {${v("v9")}}}]}]}}`;
    expect(routesOf(after(service("reviews") + two, service("reviews") + route(v("v9"))))).toEqual(["reviews/v9"]);
  });

  it("follows the names of ExternalName services, and rules for wildcard hosts", () => {
    expect(routesOf(after(BASE + entry("far.example") + alias("near", "far.example"), service("reviews") + rule("reviews", "v1") + entry("far.example") + alias("near", "far.example") + route("host: near")))).toEqual(["near/"]);
    expect(routesOf(after(BASE, service("reviews") + rule("*.default.svc.cluster.local", "v1", "v2") + route(v("v2"))))).toEqual(["reviews/v2"]);
  });
});

describe("subsets that go before their routes", () => {
  it("keeps the subset a route still names, beside those written now", () => {
    const gone = after(BASE, service("reviews") + rule("reviews", "v2") + route(v("v1")));
    expect([subsetsOf(gone), routesOf(gone)]).toEqual([["v2", "v1"], ["reviews/v1"]]);
    expect(gone.held).toMatchObject([{ name: "DestinationRule default/rule", reason: expect.stringContaining('its subset "v1" is gone, but VirtualService default/route still sends there') }]);
    const moved = after(BASE, service("reviews") + rule("reviews", "v2") + route(v("v1")), service("reviews") + rule("reviews", "v2") + route(v("v2")));
    expect([subsetsOf(moved), moved.held]).toEqual([["v2"], []]);
  });

  it("keeps a deleted rule, and gives the same object again", () => {
    const first = after(BASE, service("reviews") + route(v("v1")));
    expect([subsetsOf(first), first.held[0]?.written]).toEqual([["v1"], null]);
    const again = holdBack(read(service("reviews") + rule("reviews", "v2") + route(v("v1"))), after(BASE, service("reviews") + rule("reviews", "v2") + route(v("v1"))).resources);
    expect(subsetsOf(again)).toEqual(["v2", "v1"]);
    const ruleOf = (state: { readonly resources: readonly AnyResource[] }) => state.resources.find(({ kind }) => kind === "DestinationRule");
    const onceMore = holdBack(read(service("reviews") + rule("reviews", "v2") + route(v("v1"))), again.resources);
    expect(ruleOf(onceMore)).toBe(ruleOf(again));
  });

  it("serves a changed route that names a subset deleted at the same time", () => {
    const both = after(service("reviews") + rule("reviews", "v1", "v2") + route(v("v1")), service("reviews") + route(v("v2")));
    expect([routesOf(both), subsetsOf(both)]).toEqual([["reviews/v2"], ["v1", "v2"]]);
  });

  it("lets go what nobody names", () => {
    expect(subsetsOf(after(BASE, service("reviews") + rule("reviews", "v2") + route("host: reviews")))).toEqual(["v2"]);
    expect(subsetsOf(after(BASE, service("reviews")))).toEqual([]);
  });
});
