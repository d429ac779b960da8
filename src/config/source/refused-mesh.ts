import * as v from "valibot";
import { leastTlsVersion, meshConfig, outboundMode } from "../kinds/mesh-config.ts";
import { suggest } from "../kinds/suggestion.ts";
import { fieldOf } from "./field-of.ts";
import type { RefusedMesh } from "./parsed.ts";
import type { YamlValue } from "./yaml-value.ts";

const ROOT_NAMESPACE = "rootNamespace";
const FIELDS = Object.keys(meshConfig.entries);

/** Nothing of it can be made out, not even its fields. */
export const ILLEGIBLE_MESH: RefusedMesh = { rootNamespace: null, outboundMode: null, leastTlsVersion: null };

/**
 * What a MeshConfig that was refused still says of what closes, field by field: each is judged on its own, by the schema
 * of the whole. The defaults of the modes are the open ones, so to go without one that cannot be read opens no more than
 * to go without all. Without the root namespace, though, nobody knows which policies are in force everywhere.
 */
export function refusedMesh({ value, faults }: Pick<YamlValue, "value" | "faults">): RefusedMesh {
  // A key that was left out may have been any.
  const isComplete = typeof value === "object" && value !== null && !Array.isArray(value) && faults.every(({ path }) => path.length > 0);
  return {
    rootNamespace: isComplete ? rootNamespaceOf(value as Readonly<Record<string, unknown>>) : null,
    outboundMode: valueOf(outboundMode, fieldOf(fieldOf(value, "outboundTrafficPolicy"), "mode")),
    leastTlsVersion: valueOf(leastTlsVersion, fieldOf(fieldOf(value, "meshMTLS"), "minProtocolVersion")),
  };
}

/** The default where none is written; null where one is and cannot be made out, misspelt or misplaced ones among them. */
function rootNamespaceOf(value: Readonly<Record<string, unknown>>): string | null {
  const isElsewhere = Object.entries(value).some(([key, child]) => (!FIELDS.includes(key) && suggest(key, FIELDS) === ROOT_NAMESPACE) || holdsIt(child));
  if (isElsewhere) return null;
  const written = Object.hasOwn(value, ROOT_NAMESPACE) ? value[ROOT_NAMESPACE] ?? null : undefined;
  return valueOf(meshConfig.entries.rootNamespace, written);
}

/** At any depth, as under a `meshConfig` that does not belong into the file. */
function holdsIt(value: unknown): boolean {
  return typeof value === "object" && value !== null && Object.entries(value).some(([key, child]) => key === ROOT_NAMESPACE || holdsIt(child));
}

function valueOf<T>(schema: v.GenericSchema<unknown, T>, written: unknown): T | null {
  const parsed = v.safeParse(schema, written);
  return parsed.success ? parsed.output : null;
}
