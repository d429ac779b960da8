import { isMap, isScalar, isSeq } from "yaml";
import type { Document, LineCounter, Node } from "yaml";
import { parseMetadata } from "../kinds/metadata.ts";
import { findKind, isOurs } from "../kinds/registry.ts";
import type { Problem } from "../problem.ts";
import { MESH_CONFIG_IDENTITY, meshConfigOf, NO_MAPPING, refuseMeshConfig } from "./mesh-config-map.ts";
import { parseObject, refuse } from "./parse-object.ts";
import type { RawObject } from "./parse-object.ts";
import type { ParsedFile, ParsedObject } from "./parsed.ts";
import { parseStream } from "./yaml-stream.ts";
import { decodeText } from "./yaml-text.ts";
import type { TextFault } from "./yaml-text.ts";
import { toValue } from "./yaml-value.ts";

/** An object of a kind that Outrider does not read. */
export interface SkippedObject {
  readonly kind: string;
  readonly file: string;
  readonly line: number;
}

/** A file's objects, and those that nobody reads. */
export interface FileContent {
  readonly parsed: ParsedFile;
  readonly skipped: readonly SkippedObject[];
}

function unreadable(file: string, faults: readonly TextFault[]): FileContent {
  const problems = faults.map((fault): Problem => ({ severity: "error", file, line: fault.line, col: fault.col, resource: null, field: null, message: fault.message }));
  return { parsed: { file, isReadable: false, isMissing: false, isEmpty: false, objects: [], problems }, skipped: [] };
}

/** What is no YAML because it is a template is best told so. */
function templateHint(text: string): string {
  return /^[^#\n]*\{\{[-\s.$a-zA-Z]/m.test(text) ? "; it looks like a template: render it first, one of Helm with `helm template`" : "";
}

/** The text of a scalar field of a mapping node. */
function fieldText(node: Node, field: string): string | null {
  const value = isMap(node) ? node.get(field, true) : undefined;
  return isScalar(value) && typeof value.value === "string" ? value.value : null;
}

class FileParser {
  readonly objects: ParsedObject[] = [];
  readonly skipped: SkippedObject[] = [];
  readonly #file: string;
  readonly #text: string;
  readonly #isMeshFile: boolean;

  constructor(file: string, text: string) {
    this.#text = text;
    this.#file = file;
    this.#isMeshFile = /(?:^|\/)mesh\.ya?ml$/.test(file);
  }

  /** One document, or one item of a List. */
  take(node: Node | null, document: Document.Parsed, lines: LineCounter): void {
    if (node === null || (isScalar(node) && node.value === null)) return;
    const { line, col } = lines.linePos(node.range?.[0] ?? 0);
    if (!isMap(node)) {
      this.objects.push(this.#isMeshFile
        ? refuseMeshConfig(MESH_CONFIG_IDENTITY.envelope, this.#file, line, col, NO_MAPPING)
        : refuse(this.#file, line, col, "must be an object: a mapping with apiVersion, kind and metadata"));
      return;
    }
    const kind = fieldText(node, "kind");
    if (kind !== null && /^(?:[A-Z][A-Za-z]*)?List$/.test(kind)) return this.#takeList(node, document, lines, line, col);
    const isMesh = kind === null && this.#isMeshFile;
    const apiVersion = fieldText(node, "apiVersion");
    if (!isMesh && kind !== "ConfigMap" && !isOurs(kind, apiVersion)) {
      const name = findKind(kind ?? "") === null ? `${kind}` : `${kind} (${apiVersion})`;
      this.skipped.push({ kind: name, file: this.#file, line });
      return;
    }
    const raw: RawObject = { file: this.#file, line, col, ...toValue(node, document, lines) };
    if (isMesh) this.objects.push(parseObject({ ...raw, ...MESH_CONFIG_IDENTITY }));
    else if (kind === "ConfigMap") this.#takeConfigMap(raw, node, lines);
    else this.objects.push(parseObject(raw));
  }

  #takeList(node: Node, document: Document.Parsed, lines: LineCounter, line: number, col: number): void {
    const items = isMap(node) ? node.get("items", true) : undefined;
    if (items === undefined || (isScalar(items) && items.value === null)) return;
    if (isSeq(items)) for (const item of items.items) this.take(item as Node | null, document, lines);
    else this.objects.push(refuse(this.#file, line, col, "the items of a List must be a list"));
  }

  #takeConfigMap(raw: RawObject, node: Node, lines: LineCounter): void {
    const { metadata } = parseMetadata((raw.value as Record<string, unknown> | undefined)?.["metadata"]);
    if (metadata.name === "istio" && isMap(node)) {
      const found = meshConfigOf(raw, metadata, node, lines, this.#text);
      if (found !== null) {
        this.objects.push(found);
        return;
      }
    }
    this.skipped.push({ kind: "ConfigMap", file: this.#file, line: raw.line });
  }
}

/**
 * The bytes of one file (YAML, or JSON as a part of it) to objects. A file that is no text or no YAML is unreadable
 * as a whole; a wrong object leaves the others alone. Never throws.
 */
export function parseFile(file: string, bytes: Uint8Array): FileContent {
  const text = decodeText(bytes);
  if (typeof text !== "string") return unreadable(file, [text]);
  const stream = parseStream(text);
  if (stream.faults.length > 0) return unreadable(file, stream.faults.map((fault) => ({ ...fault, message: fault.message + templateHint(text) })));
  const parser = new FileParser(file, text);
  for (const document of stream.documents) parser.take(document.contents as Node | null, document, stream.lines);
  return { parsed: { file, isReadable: true, isMissing: false, isEmpty: text.trim() === "", objects: parser.objects, problems: [] }, skipped: parser.skipped };
}
