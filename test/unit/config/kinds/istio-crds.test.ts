import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseAllDocuments } from "yaml";
import { findKind, KINDS } from "../../../../src/config/kinds/registry.ts";
import { schemaDifferences } from "./schema-difference.ts";
import type { OpenApiSchema } from "./schema-difference.ts";

/*
 * Istio's own CRDs, read from the reference data where it is there: every field of every version of every kind is one
 * of ours, with the same type and the same words, save for the differences listed here with their reason.
 */

const CRDS = join(import.meta.dirname, "../../../../../shared/corpora/istio-crds/kubernetes/customresourcedefinitions.gen.yaml");
const isThere = existsSync(CRDS);
if (!isThere) console.warn("skipped: ../shared/corpora/istio-crds is not there");

const DIFFERENCES: readonly (readonly [RegExp, string])[] = [
  [/port\.number: is required, and officially is not$/, "a port selector without a number selects nothing; Istio's validation refuses it as well"],
  [/portLevelSettings\[\]\.port: is required, and officially is not$/, "settings of a port without the port; Istio's validation refuses them as well"],
  [/http2KeepAlive\.interval: is required, and officially is not$/, "without an interval nothing is kept alive"],
  [/^AuthorizationPolicy rules\[\]\.(?:from\[\]\.source|to\[\]\.operation): is required, and officially is not$/, "an empty entry is most likely a mistake; Istio's validation refuses it as well"],
  [/corsPolicy\.allowMethods\[\]: takes GET, .* alone, not any text$/, "Istio's validation takes these methods alone"],
  [/^RequestAuthentication jwtRules\[\]\.presence: is not official$/, "younger than these CRDs"],
];
const isListed = (difference: string): boolean => DIFFERENCES.some(([pattern]) => pattern.test(difference));

interface Crd {
  readonly spec: {
    readonly group: string;
    readonly names: { readonly kind: string };
    readonly versions: readonly { readonly name: string; readonly schema: { readonly openAPIV3Schema: { readonly properties: { readonly spec: OpenApiSchema } } } }[];
  };
}

const crds = isThere ? parseAllDocuments(readFileSync(CRDS, "utf8")).map((document) => document.toJS() as Crd | null).filter((crd) => crd !== null) : [];
const versions = crds.flatMap(({ spec }) => spec.versions.map((version) => ({
  kind: spec.names.kind, apiVersion: `${spec.group}/${version.name}`, schema: version.schema.openAPIV3Schema.properties.spec,
})));
/** Kinds that are no concern of a sidecar. */
const NOT_OURS = ["TrafficExtension", "WasmPlugin", "WorkloadGroup"];
const ours = versions.filter(({ kind }) => !NOT_OURS.includes(kind));

describe.skipIf(!isThere)("Istio's CRDs (../shared/corpora/istio-crds)", () => {
  it("are all of Istio's kinds that Outrider reads, in the versions it reads", () => {
    const official = ours.map(({ kind, apiVersion }) => `${kind} ${apiVersion}`).sort();
    const known = KINDS.filter((kind) => kind !== "MeshConfig").flatMap((kind) => (findKind(kind)?.apiVersions ?? []).map((version) => `${kind} ${version}`));
    expect(known.filter((name) => name.includes(".istio.io/")).sort()).toEqual(official);
  });

  it.each(ours.map((entry) => [`${entry.kind} ${entry.apiVersion}`, entry] as const))("%s", (_title, { kind, schema }) => {
    expect(differencesOf(kind, schema).filter((difference) => !isListed(difference))).toEqual([]);
  });

  it("differ from ours in every way that is listed", () => {
    const all = ours.flatMap(({ kind, schema }) => differencesOf(kind, schema));
    expect(DIFFERENCES.filter(([pattern]) => !all.some((difference) => pattern.test(difference)))).toEqual([]);
  });
});

function differencesOf(kind: string, schema: OpenApiSchema): string[] {
  const definition = findKind(kind);
  if (definition === null) throw new Error(`no kind ${kind}`);
  return schemaDifferences(schema, definition.schema).map((difference) => `${kind} ${difference}`);
}
