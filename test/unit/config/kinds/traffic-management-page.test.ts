import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseAllDocuments } from "yaml";
import { DESTINATION_RULE_UNSUPPORTED } from "../../../../src/config/kinds/destination-rule.ts";
import { VIRTUAL_SERVICE_UNSUPPORTED } from "../../../../src/config/kinds/virtual-service.ts";
import type { OpenApiSchema } from "./schema-difference.ts";

/*
 * docs/traffic-management.md has a row for every field of Istio's VirtualService and DestinationRule, no row for any other, and says of
 * exactly those that are not obeyed that they are not.
 */

const ROOT = join(import.meta.dirname, "../../../..");
const CRDS = join(ROOT, "../shared/corpora/istio-crds/kubernetes/customresourcedefinitions.gen.yaml");
const isThere = existsSync(CRDS);
if (!isThere) console.warn("skipped: ../shared/corpora/istio-crds is not there");

interface Row {
  readonly kind: string;
  readonly path: string;
  readonly text: string;
}

const rows = rowsOf(readFileSync(join(ROOT, "docs/traffic-management.md"), "utf8"));

/** The rows of the tables below headings that are a path, one for each field they name. */
function rowsOf(page: string): Row[] {
  let kind = "";
  let prefix: string | null = null;
  return page.split("\n").flatMap((line) => {
    const heading = /^(#+) (.*)$/.exec(line);
    if (heading?.[1] === "##") {
      kind = heading[2] as string;
      prefix = null;
    } else if (heading?.[1] === "###") {
      prefix = /^`(.*)`$/.exec(heading[2] as string)?.[1] ?? null;
    }
    const cells = line.split("|").map((cell) => cell.trim());
    if (prefix === null || cells.length !== 5 || !cells[1]?.startsWith("`")) return [];
    const above = prefix === "spec" ? "" : `${prefix}.`;
    return [...(cells[1] ?? "").matchAll(/`([^`]+)`/g)].map((field) => ({ kind, path: `${above}${field[1]}`, text: cells[2] ?? "" }));
  });
}

/** Every field of a spec that has no fields of its own; a match of text and a destination are one each. */
function fieldsOf(schema: OpenApiSchema, path: string): string[] {
  if (schema.type === "array" && schema.items !== undefined) return fieldsOf(schema.items, `${path}[]`);
  const names = Object.keys(schema.properties ?? {}).toSorted();
  if (names.length === 0 || ["exact,prefix,regex", "host,port,subset"].includes(names.join())) return [path];
  return names.flatMap((name) => fieldsOf(schema.properties?.[name] ?? {}, path === "" ? name : `${path}.${name}`));
}

/** The policy of a subset, and of a port, repeats that of the rule. */
const isRepeated = (path: string): boolean => path.startsWith("subsets[].trafficPolicy.") || path.includes(".portLevelSettings[].");

describe("docs/traffic-management.md", () => {
  it("has many rows, each field once", () => {
    expect(rows.length).toBeGreaterThan(150);
    const names = rows.map(({ kind, path }) => `${kind} ${path}`);
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
  });

  it.skipIf(!isThere).each(["VirtualService", "DestinationRule"])("has every field of Istio's CRD of %s, and no other", (kind) => {
    const crds = parseAllDocuments(readFileSync(CRDS, "utf8")).map((document) => document.toJS() as { spec: { names: { kind: string }; versions: { name: string; schema: { openAPIV3Schema: OpenApiSchema } }[] } } | null);
    const spec = crds.find((crd) => crd?.spec.names.kind === kind)?.spec.versions.find(({ name }) => name === "v1")?.schema.openAPIV3Schema.properties?.["spec"];
    const official = fieldsOf(spec ?? {}, "").filter((path) => !isRepeated(path));
    expect(rows.filter((row) => row.kind === kind).map(({ path }) => path).toSorted()).toEqual(official.toSorted());
  });

  it.each([["VirtualService", VIRTUAL_SERVICE_UNSUPPORTED], ["DestinationRule", DESTINATION_RULE_UNSUPPORTED]] as const)("says what of %s is not obeyed", (kind, unsupported) => {
    const paths = unsupported.filter(({ when }) => when === undefined).map(({ path }) => path).filter((path) => !isRepeated(path));
    const isListed = (path: string): boolean => paths.some((field) => path === field || path.startsWith(`${field}.`) || path.startsWith(`${field}[]`));
    for (const { path, text } of rows.filter((row) => row.kind === kind)) {
      expect([path, /^(?:Ignored|Not obeyed)/.test(text)]).toEqual([path, isListed(path)]);
    }
    expect(paths.filter((field) => !rows.some((row) => row.kind === kind && (row.path === field || row.path.startsWith(`${field}.`) || row.path.startsWith(`${field}[]`))))).toEqual([]);
  });
});
