import type { AnyResource, Kind, ResourceOf } from "../kinds/kind-specs.ts";
import { ofKind } from "../kinds/kind-specs.ts";
import type { Path, Resource } from "../resource.ts";
import { positionOf, resourceName } from "../resource.ts";
import type { Provenance } from "../snapshot.ts";

/** When a resource was made; one that does not say is older than all that do, as Istio's zero time is. */
export function createdAtMs(resource: Resource): number {
  return resource.metadata.creationTimestampMs ?? 0;
}

/** Istio's order among rivals: the oldest first, then by name, then by namespace; the file decides what is left. */
export function compareAge(a: Resource, b: Resource): number {
  return createdAtMs(a) - createdAtMs(b)
    || compareText(a.metadata.name, b.metadata.name)
    || compareText(a.metadata.namespace, b.metadata.namespace)
    || compareText(a.file, b.file)
    || a.line - b.line;
}

/** The resources of a kind, the oldest first, whatever order the files came in. */
export function oldestFirst<K extends Kind>(resources: readonly AnyResource[], kind: K): ResourceOf<K>[] {
  return ofKind(resources, kind).toSorted(compareAge);
}

/** Where a part of a resource is written; `rule` is its index for people, null for the resource as a whole. */
export function provenanceOf(resource: Resource, path: Path, rule: number | null): Provenance {
  return { resource: resourceName(resource), rule, file: resource.file, line: positionOf(resource, path).line };
}

/** Byte order, the same on every machine. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
