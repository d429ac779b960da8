import type { Metadata, Path } from "../resource.ts";
import { quote } from "./field.ts";

/** RFC 1123 subdomain, as Kubernetes names nearly every object. */
const NAME = /^[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?$/;
const NAMESPACE = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/;

export interface MetadataFault {
  readonly path: Path;
  readonly message: string;
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A map of strings; faults for values that are something else. Absent and empty are `{}`. */
function strings(value: unknown, field: string, faults: MetadataFault[]): Record<string, string> {
  if (value === undefined || value === null) return {};
  const path = ["metadata", field];
  if (!isMapping(value)) {
    faults.push({ path, message: `must be a mapping, not ${quote(value)}` });
    return {};
  }
  const result: Record<string, string> = {};
  for (const [key, entry] of Object.entries(value)) {
    if (typeof entry === "string") result[key] = entry;
    else if (entry !== null) faults.push({ path: [...path, key], message: `must be a string, not ${quote(entry)}` });
  }
  return result;
}

function timestamp(value: unknown, faults: MetadataFault[]): number | null {
  if (value === undefined || value === null) return null;
  const parsed = typeof value === "string" ? Date.parse(value) : Number.NaN;
  if (!Number.isNaN(parsed)) return parsed;
  faults.push({ path: ["metadata", "creationTimestamp"], message: `must be a time such as "2026-01-31T12:00:00Z", not ${quote(value)}` });
  return null;
}

/**
 * Reads an object's `metadata`. Fields Outrider has no use for (`uid`, `managedFields`, ...) are left alone, since
 * objects exported from a cluster are full of them. `name` is empty where there is none that could be used.
 */
export function parseMetadata(value: unknown): { metadata: Metadata; faults: readonly MetadataFault[] } {
  const faults: MetadataFault[] = [];
  const fields = isMapping(value) ? value : {};
  if (!isMapping(value)) faults.push({ path: ["metadata"], message: value === undefined ? "is required" : `must be a mapping, not ${quote(value)}` });
  const name = typeof fields["name"] === "string" && NAME.test(fields["name"]) ? fields["name"] : "";
  if (name === "" && isMapping(value)) {
    const message = fields["name"] === undefined ? "is required" : `${quote(fields["name"])} is not an object name (lower-case letters, digits, '-' and '.')`;
    faults.push({ path: ["metadata", "name"], message });
  }
  let namespace = "default";
  const written = fields["namespace"];
  if (typeof written === "string" && NAMESPACE.test(written)) namespace = written;
  else if (written !== undefined && written !== null && written !== "") {
    faults.push({ path: ["metadata", "namespace"], message: `${quote(written)} is not a namespace name` });
  }
  const metadata: Metadata = {
    name,
    namespace,
    labels: strings(fields["labels"], "labels", faults),
    annotations: strings(fields["annotations"], "annotations", faults),
    creationTimestampMs: timestamp(fields["creationTimestamp"], faults),
  };
  return { metadata, faults };
}
