import { describe, expect, test } from "vitest";
import { isExportedTo } from "../../../../src/config/compile/export-to.ts";
import { REVIEWS, clusterOf, compileYaml, routesOf } from "./compile-yaml.ts";

const HOST = "reviews.default.svc.cluster.local";

/* `exportTo` as written (null: left out), the mesh's default (empty: left out), and the namespaces that see the object. */
const ROWS: readonly (readonly [exportTo: string[] | null, meshDefault: string[], seenBy: string[]])[] = [
  [null, [], ["default", "other", "third"]],
  [["*"], [], ["default", "other", "third"]],
  [["."], [], ["default"]],
  [["other"], [], ["other"]],
  [[".", "other"], [], ["default", "other"]],
  [["other", "third"], [], ["other", "third"]],
  [null, ["."], ["default"]],
  [null, ["*"], ["default", "other", "third"]],
  [null, ["other"], ["other"]],
  [["*"], ["."], ["default", "other", "third"]],
  [["."], ["*"], ["default"]],
];
const NAMESPACES = ["default", "other", "third"];
const list = (values: readonly string[]): string => `[${values.map((value) => `'${value}'`).join(", ")}]`;

function mesh(field: string, values: readonly string[]): string {
  return values.length === 0 ? "" : `
---
apiVersion: v1
kind: ConfigMap
metadata: { name: istio, namespace: istio-system }
data: { mesh: "${field}: ${list(values)}" }
`;
}

describe("spec/00 0.2 and 0.3 exportTo", () => {
  test.each(ROWS)("%j with default %j is for %j", (exportTo, meshDefault, seenBy) => {
    const found = NAMESPACES.filter((namespace) => isExportedTo(exportTo ?? [], "default", namespace, meshDefault.length === 0 ? ["*"] : meshDefault));
    expect(found).toEqual(seenBy);
  });

  test("~ is nowhere, not even at home", () => {
    expect(NAMESPACES.filter((namespace) => isExportedTo(["~"], "default", namespace, ["*"]))).toEqual([]);
    expect(NAMESPACES.filter((namespace) => isExportedTo([], "default", namespace, ["~"]))).toEqual([]);
  });

  test.each(ROWS)("spec/00 0.3 Service annotation: %j with default %j is for %j", (exportTo, meshDefault, seenBy) => {
    const annotation = exportTo === null ? "" : `, annotations: { networking.istio.io/exportTo: "${exportTo.join(" , ")}" }`;
    const yaml = REVIEWS.replace("{ name: reviews, namespace: default }", `{ name: reviews, namespace: default${annotation} }`) + mesh("defaultServiceExportTo", meshDefault);
    expect(NAMESPACES.filter((namespace) => compileYaml(yaml, { namespace }).snapshot.clusters.some(({ name }) => name === `outbound|9080||${HOST}`))).toEqual(seenBy);
  });

  test.each(ROWS)("spec/00 0.4 ServiceEntry: %j with default %j is for %j", (exportTo, meshDefault, seenBy) => {
    const yaml = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: api, namespace: default }
spec: { hosts: [api.example.com], resolution: DNS, ports: [{ number: 80, name: http }]${exportTo === null ? "" : `, exportTo: ${list(exportTo)}`} }
${mesh("defaultServiceExportTo", meshDefault)}`;
    expect(NAMESPACES.filter((namespace) => compileYaml(yaml, { namespace }).snapshot.clusters.some(({ name }) => name === "outbound|80||api.example.com"))).toEqual(seenBy);
  });

  test.each(ROWS)("spec/03 3.1 VirtualService: %j with default %j is for %j", (exportTo, meshDefault, seenBy) => {
    const yaml = `${REVIEWS}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: v, namespace: default }
spec: { hosts: [reviews], http: [{ name: ruled, directResponse: { status: 201 } }]${exportTo === null ? "" : `, exportTo: ${list(exportTo)}`} }
${mesh("defaultVirtualServiceExportTo", meshDefault)}`;
    expect(NAMESPACES.filter((namespace) => routesOf(compileYaml(yaml, { namespace }).snapshot, "9080", `${HOST}:9080`)[0]?.name === "ruled")).toEqual(seenBy);
  });

  test.each(ROWS)("spec/04 4.1 DestinationRule: %j with default %j is for %j, and always for its own namespace", (exportTo, meshDefault, seenBy) => {
    const yaml = `${REVIEWS}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: d, namespace: default }
spec: { host: reviews, trafficPolicy: { connectionPool: { tcp: { maxConnections: 7 } } }${exportTo === null ? "" : `, exportTo: ${list(exportTo)}`} }
${mesh("defaultDestinationRuleExportTo", meshDefault)}`;
    const limited = NAMESPACES.filter((namespace) => clusterOf(compileYaml(yaml, { namespace }).snapshot, `outbound|9080||${HOST}`).limits.maxConnections === 7);
    expect(limited).toEqual([...new Set(["default", ...seenBy])]);
  });
});
