import type { Provenance } from "../config/snapshot.ts";
import type { WrittenAt } from "./explanation.ts";

/** Where something was written, in the words of an explanation; nulls for what nobody wrote. */
export function writtenAt(provenance: Provenance | null): WrittenAt {
  if (provenance === null) return { resource: null, rule: null, file: null, line: null };
  const { resource, rule, file, line, delegatedBy } = provenance;
  return { resource, rule, file, line, ...(delegatedBy === undefined ? {} : { delegatedBy }) };
}
