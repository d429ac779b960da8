import { isAlias, isMap, isPair, isScalar, isSeq } from "yaml";
import type { Document, LineCounter, Node, Scalar } from "yaml";
import { formatPath, packPosition } from "../resource.ts";
import type { Path } from "../resource.ts";
import { MAX_DEPTH } from "./yaml-stream.ts";

const MAX_ALIASES = 100;
/** Nodes that aliases may add to one object. */
const MAX_ALIASED_NODES = 10_000;
const MAX_FAULTS = 20;
const FORBIDDEN_KEYS = new Set(["__proto__", "constructor", "prototype"]);
const PLAIN_TAG = /^tag:yaml\.org,2002:(?:str|int|float|bool|null|map|seq)$/;
/** Plain words that YAML 1.1, which Kubernetes reads, takes for something else than YAML 1.2 does. */
const AMBIGUOUS = /^(?:y|n|yes|no|on|off)$/i;
const AMBIGUOUS_NUMBER = /^[-+]?(?:0[0-9_]+|0o[0-9_]*|0b[01_]+|[0-9]+_[0-9_]*)$/i;

/** Something in an object's notation that makes it unusable. */
export interface ValueFault {
  readonly path: Path;
  readonly message: string;
  readonly line: number;
  readonly col: number;
}

/** A node as plain data, with the place of each of its fields. */
export interface YamlValue {
  readonly value: unknown;
  /** Field path relative to the node, to packed position (`resource.ts`). */
  readonly positions: Map<string, number>;
  readonly faults: readonly ValueFault[];
}

class Conversion {
  readonly positions = new Map<string, number>();
  readonly faults: ValueFault[] = [];
  readonly #document: Document.Parsed;
  readonly #lines: LineCounter;
  readonly #path: (string | number)[] = [];
  readonly #open = new Set<Node>();
  #aliases = 0;
  #aliasedNodes = 0;
  #aliasDepth = 0;

  constructor(document: Document.Parsed, lines: LineCounter) {
    this.#document = document;
    this.#lines = lines;
  }

  convert(node: unknown, place: Node | null): unknown {
    const at = place ?? (node as Node | null);
    if (this.#aliasDepth === 0 || this.#path.length === 0) this.#mark(at);
    if (this.#aliasDepth > 0 && ++this.#aliasedNodes > MAX_ALIASED_NODES) return this.#fault(at, "aliases repeat too much");
    if (this.#path.length > MAX_DEPTH) return this.#fault(at, `nested more than ${MAX_DEPTH} levels deep`);
    if (isAlias(node)) return this.#alias(node);
    if (node === null || node === undefined) return null;
    const tag = (node as Node).tag;
    if (tag !== undefined && !PLAIN_TAG.test(tag)) return this.#fault(at, `the tag ${JSON.stringify(tag)} is not supported`);
    if (isScalar(node)) return this.#scalar(node, at);
    if (isSeq(node)) return node.items.map((item, index) => this.#child(index, item, item as Node | null));
    if (isMap(node)) return this.#map(node.items);
    return this.#fault(at, "is neither a value, a list nor a mapping");
  }

  #map(items: readonly unknown[]): Record<string, unknown> {
    const result: Record<string, unknown> = {};
    for (const pair of items) {
      if (!isPair(pair)) continue;
      const key = this.#key(pair.key);
      if (key === null) continue;
      if (Object.hasOwn(result, key)) this.#fault(pair.key as Node, `the key ${JSON.stringify(key)} is there twice`);
      else result[key] = this.#child(key, pair.value, pair.key as Node);
    }
    return result;
  }

  #key(node: unknown): string | null {
    if (!isScalar(node) || node.value === null || (typeof node.value !== "string" && node.source === undefined)) {
      this.#fault(node as Node | null, "a key must be a plain word or a string");
      return null;
    }
    const key = typeof node.value === "string" ? node.value : (node.source ?? "");
    if (key === "<<" && node.type === "PLAIN") this.#fault(node, "merge keys (<<) are not supported; write the fields out");
    else if (FORBIDDEN_KEYS.has(key)) this.#fault(node, `the key ${JSON.stringify(key)} is not allowed`);
    else if (node.type === "PLAIN" && AMBIGUOUS.test(key)) this.#fault(node, ambiguity(key));
    else return key;
    return null;
  }

  #child(key: string | number, node: unknown, place: Node | null): unknown {
    this.#path.push(key);
    const value = this.convert(node, place);
    this.#path.pop();
    return value;
  }

  #scalar(node: Scalar, at: Node | null): unknown {
    const source = node.source ?? "";
    const isPlain = node.type === "PLAIN";
    if (isPlain && (AMBIGUOUS.test(source) || AMBIGUOUS_NUMBER.test(source))) return this.#fault(at, ambiguity(source));
    const value = node.value;
    if (typeof value === "number" && !Number.isFinite(value)) return this.#fault(at, `${source} is not a finite number`);
    if (value === null || typeof value === "string" || typeof value === "number" || typeof value === "boolean") return value;
    return this.#fault(at, "is not a string, number, boolean or null");
  }

  #alias(node: { resolve(document: Document.Parsed): Node | undefined } & Node): unknown {
    if (++this.#aliases > MAX_ALIASES) return this.#fault(node, `more than ${MAX_ALIASES} aliases`);
    const target = node.resolve(this.#document);
    if (target === undefined) return this.#fault(node, "the alias names no anchor before it");
    if (this.#open.has(target)) return this.#fault(node, "the alias contains itself");
    this.#open.add(target);
    this.#aliasDepth++;
    const value = this.convert(target, node);
    this.#aliasDepth--;
    this.#open.delete(target);
    return value;
  }

  #mark(node: Node | null): void {
    const range = node?.range;
    if (!range) return;
    this.positions.set(formatPath(this.#path), packPosition(this.#lines.linePos(range[0])));
  }

  #fault(node: Node | null, message: string): undefined {
    if (this.faults.length >= MAX_FAULTS) return undefined;
    const range = node?.range;
    const { line, col } = range ? this.#lines.linePos(range[0]) : { line: 0, col: 0 };
    this.faults.push({ path: [...this.#path], message, line, col });
    return undefined;
  }
}

function ambiguity(source: string): string {
  return `${JSON.stringify(source)} without quotes means different things to different YAML versions; put it in quotes, or write true, false or a decimal number`;
}

/**
 * A node to plain data. Refused, each with its place: duplicate keys, `__proto__` and its like, merge keys, tags
 * other than YAML's own, numbers without a finite value, plain words that YAML 1.1 and 1.2 read differently, more
 * than 64 levels, and aliases that blow up.
 */
export function toValue(node: Node | null, document: Document.Parsed, lines: LineCounter): YamlValue {
  const conversion = new Conversion(document, lines);
  const value = conversion.convert(node, null);
  return { value, positions: conversion.positions, faults: conversion.faults };
}
