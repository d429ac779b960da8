import { isMap, isScalar } from "yaml";
import type { LineCounter, Node, Scalar, YAMLMap } from "yaml";
import type { Metadata } from "../resource.ts";
import { packPosition, unpackPosition } from "../resource.ts";
import { parseObject, refuse } from "./parse-object.ts";
import type { RawObject } from "./parse-object.ts";
import type { ParsedObject } from "./parsed.ts";
import { ILLEGIBLE_MESH } from "./refused-mesh.ts";
import { parseStream } from "./yaml-stream.ts";
import { toValue } from "./yaml-value.ts";

const MESH = { kind: "MeshConfig", apiVersion: "mesh.istio.io/v1alpha1" } as const;
/** What a file named `mesh.yaml` holds: the same object as the ConfigMap `istio` of the root namespace. */
export const MESH_CONFIG_IDENTITY = { envelope: { ...MESH, namespace: "istio-system", name: "istio" } } as const;

/** What is said of a mesh configuration that is a text, a number or a list. */
export const NO_MAPPING = "the mesh configuration must be a mapping";

/** A MeshConfig of which nothing can be made out but whose it is. */
export function refuseMeshConfig({ kind, namespace, name }: NonNullable<RawObject["envelope"]>, file: string, line: number, col: number, message: string): ParsedObject {
  const { problems, ...refused } = refuse(file, line, col, message);
  const identity = { kind, namespace, name };
  return { ...refused, identity, kind, namespace, mesh: ILLEGIBLE_MESH, problems: problems.map((problem) => ({ ...problem, resource: `${kind} ${namespace}/${name}` })) };
}

/** Where the text of a scalar begins, and by how many columns its lines are indented in the file's text. */
function origin(scalar: Scalar, lines: LineCounter, fileText: string): { line: number; col: number } {
  const start = scalar.range?.[0] ?? 0;
  const place = lines.linePos(start);
  if (scalar.type !== "BLOCK_LITERAL") return { line: place.line, col: 0 };
  // The indicator `|` ends its own line; the text begins on the next, and its first line that is not blank tells.
  const block = fileText.slice(fileText.indexOf("\n", start) + 1, scalar.range?.[1]);
  const indent = /^(?:[ ]*\r?\n)*([ ]*)/.exec(block)?.[1]?.length ?? 0;
  return { line: place.line + 1, col: indent };
}

/**
 * The MeshConfig inside a ConfigMap named `istio`: the text of its key `mesh`, with the places in the outer file where
 * the text is a literal block, and that of the key otherwise. Null when the ConfigMap has no such key.
 */
export function meshConfigOf(raw: RawObject, metadata: Metadata, node: YAMLMap, lines: LineCounter, fileText: string): ParsedObject | null {
  const data = node.get("data", true);
  const { file } = raw;
  const envelope = { ...MESH, namespace: metadata.namespace, name: metadata.name };
  if (data !== undefined && !isMap(data) && !isEmpty(data)) return refuseMeshConfig(envelope, file, raw.line, raw.col, "data of the ConfigMap istio must be a mapping");
  const scalar = isMap(data) ? data.get("mesh", true) : undefined;
  if (scalar === undefined) return null;
  if (!isScalar(scalar) || typeof scalar.value !== "string") return refuseMeshConfig(envelope, file, raw.line, raw.col, "data.mesh of the ConfigMap istio must be a text");
  const isBlock = scalar.type === "BLOCK_LITERAL";
  const start = origin(scalar, lines, fileText);
  const shift = (place: { line: number; col: number }) => (isBlock
    ? { line: start.line + place.line - 1, col: start.col + place.col }
    : { line: start.line, col: 1 });
  const stream = parseStream(scalar.value);
  const fault = stream.faults[0];
  const [document, ...more] = stream.documents;
  if (fault !== undefined || more.length > 0) {
    const place = shift(fault ?? { line: 1, col: 1 });
    return refuseMeshConfig(envelope, file, place.line, place.col, fault?.message ?? "the mesh configuration must be a single document");
  }
  const contents = document?.contents as Node | null | undefined;
  if (contents !== undefined && !isMap(contents) && !isEmpty(contents)) return refuseMeshConfig(envelope, file, start.line, start.col + 1, NO_MAPPING);
  const converted = document === undefined || !isMap(contents)
    ? { value: {}, positions: new Map<string, number>(), faults: [] }
    : toValue(contents, document, stream.lines);
  const positions = new Map<string, number>();
  for (const [path, packed] of converted.positions) positions.set(path, packPosition(shift(unpackPosition(packed))));
  const faults = converted.faults.map((entry) => ({ ...entry, ...shift(entry) }));
  return parseObject({ value: converted.value, positions, faults, file, line: start.line, col: start.col + 1, envelope });
}

function isEmpty(node: unknown): boolean {
  return node === null || (isScalar(node) && node.value === null);
}
