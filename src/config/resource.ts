/*
 * What the user wrote, one object at a time, as plain data: it survives a structured clone, so parsing may happen on
 * another thread than compiling.
 */

/** 1-based place in a file. */
export interface Position {
  readonly line: number;
  readonly col: number;
}

/** The part of Kubernetes' ObjectMeta that Outrider reads. */
export interface Metadata {
  readonly name: string;
  /** `default` where the object names none. */
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** Milliseconds since the Unix epoch; null where the object says nothing. */
  readonly creationTimestampMs: number | null;
}

/** One object of the configuration, valid by its schema. */
export interface Resource<K extends string = string, S = unknown> {
  readonly kind: K;
  readonly apiVersion: string;
  readonly metadata: Metadata;
  /**
   * The object's `spec`. For kinds that are not made of one spec (Pod, EndpointSlice, Endpoints) the object without
   * apiVersion, kind and metadata; for MeshConfig the mesh configuration itself.
   */
  readonly spec: S;
  /** Path of the file as it was found: the `--config` argument joined with the path below it. */
  readonly file: string;
  /** 1-based line where the object begins. */
  readonly line: number;
  /** Field path (`formatPath`, relative to the object, `spec.http[0].timeout`) to packed place; see `positionOf`. */
  readonly positions: ReadonlyMap<string, number>;
}

/** A field path: names of fields and indexes of list entries, from the object's root. */
export type Path = readonly (string | number)[];

/** `Kind namespace/name`, as problems, logs and provenance print it. */
export function resourceName(resource: { readonly kind: string; readonly metadata: { readonly namespace: string; readonly name: string } }): string {
  return `${resource.kind} ${resource.metadata.namespace}/${resource.metadata.name}`;
}

/** `["spec", "http", 0, "labels", "a.b/c"]` as `spec.http[0].labels["a.b/c"]`; the empty path as an empty string. */
export function formatPath(path: Path): string {
  let text = "";
  for (const part of path) {
    if (typeof part === "number") text += `[${part}]`;
    else if (!/^[A-Za-z0-9_-]+$/.test(part)) text += `[${JSON.stringify(part)}]`;
    else text += text === "" ? part : `.${part}`;
  }
  return text;
}

const COLUMN_RANGE = 4096;

/** Line and column in one number; columns past 4095 are kept as 4095, which only shortens a message's precision. */
export function packPosition(position: Position): number {
  return position.line * COLUMN_RANGE + Math.min(position.col, COLUMN_RANGE - 1);
}

/** The reverse of `packPosition`. */
export function unpackPosition(packed: number): Position {
  return { line: Math.floor(packed / COLUMN_RANGE), col: packed % COLUMN_RANGE };
}

/**
 * Where a field of the object stands in its file, by path from the object's root. A field that was not written
 * answers with the place of the nearest enclosing one that was.
 */
export function positionOf(resource: Pick<Resource, "positions" | "line">, path: Path): Position {
  for (let length = path.length; length >= 0; length--) {
    const packed = resource.positions.get(formatPath(path.slice(0, length)));
    if (packed !== undefined) return unpackPosition(packed);
  }
  return { line: resource.line, col: 1 };
}
