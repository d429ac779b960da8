import type * as v from "valibot";
import { suggest } from "./suggestion.ts";

/** What a field that a mapping does not have was probably meant to be: another name, or a place further in. `; ...?`, or nothing. */
export function fieldHint(name: string, entries: v.ObjectEntries): string {
  const meant = suggest(name, Object.keys(entries));
  if (meant !== null) return `; did you mean ${JSON.stringify(meant)}?`;
  const inside = Object.entries(entries).find(([, schema]) => Object.hasOwn(fieldsOf(schema), name));
  if (inside !== undefined) return `; it belongs in ${JSON.stringify(inside[0])}`;
  return Object.hasOwn(entries, "matchLabels") ? "; labels go into \"matchLabels\"" : "";
}

/** The fields of a mapping that may be left out; none where the schema is of something else. */
function fieldsOf(schema: object): object {
  if ("wrapped" in schema && typeof schema.wrapped === "object" && schema.wrapped !== null) return fieldsOf(schema.wrapped);
  return "entries" in schema && typeof schema.entries === "object" && schema.entries !== null ? schema.entries : {};
}
