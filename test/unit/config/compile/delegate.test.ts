import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compile } from "../../../../src/config/compile/compile.ts";
import { delegateWorld, mergedRoutes, root } from "./delegate-world.ts";
import { PRODUCTPAGE, resourcesOf, targetsOf } from "./compile-yaml.ts";

/* spec/03 3.11, row by row. */

describe("spec/03 3.11 delegate: what is merged", () => {
  test("the delegate's rules stand where the root's rule was, in their order, under the root's conditions", () => {
    const { routes, problems } = mergedRoutes(root(`
  - { name: first, match: [{ uri: { exact: /first } }], directResponse: { status: 201 } }
  - { name: shop, match: [{ uri: { prefix: /shop } }], delegate: { name: d, namespace: team } }
  - { name: last, directResponse: { status: 203 } }`), `
  - { name: cart, match: [{ uri: { prefix: /shop/cart } }], directResponse: { status: 210 } }
  - { directResponse: { status: 211 } }`);
    expect(problems).toEqual([]);
    expect(routes.map(({ name, match, action }) => [name, match.uri?.value, action.kind === "direct-response" ? action.status : 0])).toEqual([
      ["first", "/first", 201], ["shop-cart", "/shop/cart", 210], ["shop", "/shop", 211], ["last", undefined, 203],
    ]);
  });

  test("the root without match leaves the delegate's, and the delegate's rule without match ends the list", () => {
    const { routes } = mergedRoutes(root("[{ delegate: { name: d, namespace: team } }, { directResponse: { status: 203 } }]"), `
  - { match: [{ uri: { prefix: /a } }], directResponse: { status: 210 } }
  - { directResponse: { status: 211 } }`);
    expect(routes.map(({ match, action }) => [match.uri?.value, action])).toMatchObject([["/a", { status: 210 }], [undefined, { status: 211 }]]);
  });

  test.each([
    ["timeout", "1s", "2s", { timeoutMs: 2000 }, { timeoutMs: 1000 }],
    ["retries", "{ attempts: 7 }", "{ attempts: 4 }", { retry: { attempts: 4 } }, { retry: { attempts: 7 } }],
    ["retries", "{ attempts: 7, retryOn: 5xx }", "{ attempts: 4 }", { retry: { attempts: 4, isExplicit: false } }, { retry: { attempts: 7, isExplicit: true } }],
  ])("%s: the delegate's as a whole, else the root's", (field, above, below, merged, inherited) => {
    const route = "route: [{ destination: { host: cart } }]";
    const text = root(`[{ ${field}: ${above}, delegate: { name: d, namespace: team } }]`);
    expect(mergedRoutes(text, `[{ ${route}, ${field}: ${below} }]`).routes[0]?.action).toMatchObject(merged);
    expect(mergedRoutes(text, `[{ ${route} }]`).routes[0]?.action).toMatchObject(inherited);
  });

  test("short names are of the namespace of whoever wrote them", () => {
    const { routes, snapshot } = mergedRoutes(root("[{ delegate: { name: d, namespace: team } }]"), "[{ route: [{ destination: { host: cart } }] }]");
    expect(targetsOf(routes[0])).toEqual(["outbound|9080||cart.team.svc.cluster.local=1"]);
    expect(snapshot.clusters.map(({ name }) => name)).toContain("outbound|9080||cart.team.svc.cluster.local");
  });

  test("a delegate without namespace is of the root's", () => {
    const { routes } = mergedRoutes(root("[{ delegate: { name: d } }]"), "[{ directResponse: { status: 210 } }]", "name: d, namespace: default");
    expect(routes[0]?.action).toMatchObject({ status: 210 });
  });

  test("the order of the files changes nothing, and nobody's object is changed", () => {
    const yaml = delegateWorld(root("[{ match: [{ uri: { prefix: /a } }], timeout: 3s, delegate: { name: d, namespace: team } }]"), "[{ match: [{ uri: { prefix: /a/b } }], route: [{ destination: { host: cart } }] }, { directResponse: { status: 210 } }]", "name: d, namespace: team");
    const { resources } = resourcesOf(yaml);
    const before = structuredClone(resources);
    const run = (order: typeof resources): string => JSON.stringify(compile({ resources: order, workload: PRODUCTPAGE, version: 1 }));
    const expected = run(resources);
    fc.assert(fc.property(fc.shuffledSubarray(resources, { minLength: resources.length }), (shuffled) => run(shuffled) === expected), { numRuns: 20 });
    expect(resources).toEqual(before);
  });

  test("two rules of a root may delegate to the same", () => {
    const { routes } = mergedRoutes(root(`
  - { match: [{ uri: { prefix: /a } }], delegate: { name: d, namespace: team } }
  - { match: [{ uri: { prefix: /b } }], delegate: { name: d, namespace: team } }`), "[{ directResponse: { status: 210 } }]");
    expect(routes.map(({ match }) => match.uri?.value)).toEqual(["/a", "/b"]);
  });

  test("provenance is the delegate's rule, and names the root", () => {
    const { routes, yaml } = mergedRoutes(root("[{ match: [{ uri: { prefix: /a } }], delegate: { name: d, namespace: team } }, { directResponse: { status: 203 } }]"), `
  - { match: [{ uri: { prefix: /a/b } }], directResponse: { status: 210 } }
  - { directResponse: { status: 277 } }`);
    const line = yaml.slice(0, yaml.indexOf("277")).split("\n").length;
    expect(routes[1]?.provenance).toEqual({ resource: "VirtualService team/d", rule: 1, file: "test.yaml", line, delegatedBy: "VirtualService default/root" });
    expect(routes[2]?.provenance).toEqual({ resource: "VirtualService default/root", rule: 1, file: "test.yaml", line: expect.any(Number) });
  });
});

describe("spec/03 3.11 delegate: what is left out, and said", () => {
  const rest = "{ name: rest, directResponse: { status: 203 } }";
  const delegating = root(`[{ match: [{ uri: { prefix: /a } }], delegate: { name: d, namespace: team } }, ${rest}]`);

  test.each([
    ["a delegate that is missing", root(`[{ delegate: { name: nobody, namespace: team } }, ${rest}]`), "name: d, namespace: team",
      "error: VirtualService default/root: spec.http[0].delegate: there is no VirtualService team/nobody: the rule is left out"],
    ["one that has hosts", root(`[{ delegate: { name: root } }, ${rest}]`), "name: d, namespace: team",
      "error: VirtualService default/root: spec.http[0].delegate: VirtualService default/root has hosts, so it is no delegate"],
  ])("%s: the rule alone", (_what, text, metadata, problem) => {
    const { routes, problems } = mergedRoutes(text, "[{ directResponse: { status: 210 } }]", metadata);
    expect(routes.map(({ name }) => name)).toEqual(["rest"]);
    expect(problems).toEqual(expect.arrayContaining([expect.stringContaining(problem), "warning: VirtualService team/d: no VirtualService delegates to it: its rules have no effect"]));
  });

  test.each([
    ["['*']", "", true], ["['.']", "", false], ["[default]", "", true], ["[other]", "", false],
    [null, "", true], [null, "defaultVirtualServiceExportTo: ['.']", false],
  ])("exportTo %j of the delegate, mesh %j: %s", (exportTo, mesh, isUsed) => {
    const { routes, problems } = mergedRoutes(delegating, "[{ directResponse: { status: 210 } }]", "name: d, namespace: team", { exportTo, mesh });
    expect(routes.map(({ name }) => name)).toEqual(isUsed ? ["", "rest"] : ["rest"]);
    expect(problems).toEqual(isUsed ? [] : [expect.stringContaining("VirtualService team/d is not exported to namespace default")]);
  });

  test("a rule whose conditions contradict the root's is dropped whole, and told with the field", () => {
    const { routes, problems } = mergedRoutes(delegating, `
  - { match: [{ uri: { prefix: /a/b } }, { uri: { prefix: /c } }], directResponse: { status: 210 } }
  - { match: [{ uri: { prefix: /a/c } }], directResponse: { status: 211 } }`);
    expect(routes.map(({ match }) => match.uri?.value)).toEqual(["/a/c", undefined]);
    expect(problems).toEqual(["warning: VirtualService team/d: spec.http[0].match[1]: the rule is not used for VirtualService default/root http[0]: uri contradicts every match there; it must narrow one of them"]);
  });

  test("a root left without rules is routed as the service is by itself", () => {
    expect(mergedRoutes(root("[{ delegate: { name: nobody } }]"), "[{ directResponse: { status: 210 } }]").routes.map(({ name }) => name)).toEqual(["default"]);
  });

  test("one level only: a delegate that delegates is refused, and its root then misses it", () => {
    const { resources, isWhole } = resourcesOf(delegateWorld(delegating, "[{ delegate: { name: other } }]", "name: d, namespace: team"));
    expect(isWhole).toBe(false);
    expect(resources.some(({ metadata }) => metadata.name === "d")).toBe(false);
  });

  test.each([
    ["[{ delegate: { name: d }, route: [{ destination: { host: a } }] }]"], ["[{ delegate: { name: d }, redirect: { uri: /x } }]"], ["[{ delegate: { name: d }, directResponse: { status: 200 } }]"],
  ])("a root rule that does something besides is refused: %s", (rules) => {
    expect(resourcesOf(root(rules)).isWhole).toBe(false);
  });
});
