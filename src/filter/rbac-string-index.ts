import { asciiLowerCase } from "../core/ascii.ts";
import type { ValueMatcher } from "./rbac-value-matcher.ts";

/** Things filed under one text: a radix tree, whose walk costs the length of a text however many are filed. */
class Radix<T> {
  readonly #root = new RadixNode<T>("");
  readonly #isBackward: boolean;

  /** `isBackward`: texts are read from their end, to find suffixes. */
  constructor(isBackward: boolean) {
    this.#isBackward = isBackward;
  }

  /** @param text bytes as latin1. */
  add(text: string, value: T): void {
    const key = this.#isBackward ? Buffer.from(text, "latin1").reverse().toString("latin1") : text;
    let node = this.#root;
    let at = 0;
    while (at < key.length) {
      const next = node.children.get(key.charCodeAt(at));
      if (next === undefined) {
        const leaf = new RadixNode<T>(key.slice(at));
        node.children.set(key.charCodeAt(at), leaf);
        node = leaf;
        break;
      }
      const common = commonLength(next.label, key, at);
      node = common === next.label.length ? next : next.split(common, node);
      at += common;
    }
    node.values.push(value);
  }

  /** Adds all that is filed under a beginning of `text` (backward: an end) to `found`. */
  collect(text: string, found: T[]): void {
    let node: RadixNode<T> | undefined = this.#root;
    let at = 0;
    while (node !== undefined) {
      for (let index = 0; index < node.values.length; index++) found.push(node.values[index] as T);
      if (at >= text.length) return;
      const next: RadixNode<T> | undefined = node.children.get(this.#codeAt(text, at));
      if (next === undefined || !this.#continues(text, at, next.label)) return;
      at += next.label.length;
      node = next;
    }
  }

  #codeAt(text: string, at: number): number {
    return text.charCodeAt(this.#isBackward ? text.length - 1 - at : at);
  }

  #continues(text: string, at: number, label: string): boolean {
    if (text.length - at < label.length) return false;
    for (let index = 0; index < label.length; index++) {
      if (this.#codeAt(text, at + index) !== label.charCodeAt(index)) return false;
    }
    return true;
  }
}

class RadixNode<T> {
  label: string;
  readonly values: T[] = [];
  readonly children = new Map<number, RadixNode<T>>();

  constructor(label: string) {
    this.label = label;
  }

  /** Puts a node of the first `length` characters between this one and its parent, and gives it. */
  split(length: number, parent: RadixNode<T>): RadixNode<T> {
    const upper = new RadixNode<T>(this.label.slice(0, length));
    this.label = this.label.slice(length);
    upper.children.set(this.label.charCodeAt(0), this);
    parent.children.set(upper.label.charCodeAt(0), upper);
    return upper;
  }
}

function commonLength(label: string, key: string, at: number): number {
  let length = 0;
  while (length < label.length && at + length < key.length && label.charCodeAt(length) === key.charCodeAt(at + length)) length++;
  return length;
}

/**
 * Things filed under string matches, found by a text in time that does not grow with how many are filed. What is found
 * may match: of a path template only the literal beginning was looked at.
 */
export class StringIndex<T> {
  readonly #exact = new Map<string, T[]>();
  readonly #prefixes = new Radix<T>(false);
  readonly #suffixes = new Radix<T>(true);
  /** Under `*`, which any text but the empty one meets. */
  readonly #present: T[] = [];
  /** Under patterns of which no part is known to be literal. */
  readonly #patterns: T[] = [];
  readonly #found: T[] = [];
  #hasPrefixes = false;
  #hasSuffixes = false;
  #foldsCase = false;

  /** All matchers of one index agree on whether case counts. */
  add(matcher: ValueMatcher, value: T): void {
    if (matcher.ignoresCase) this.#foldsCase = true;
    const { text } = matcher;
    switch (matcher.kind) {
      case "exact": {
        const there = this.#exact.get(text);
        if (there === undefined) this.#exact.set(text, [value]);
        else there.push(value);
        return;
      }
      case "prefix":
      case "template":
        this.#hasPrefixes = true;
        return this.#prefixes.add(text, value);
      case "suffix":
        this.#hasSuffixes = true;
        return this.#suffixes.add(text, value);
      case "present":
        this.#present.push(value);
        return;
      case "regex":
        this.#patterns.push(value);
    }
  }

  /** Everything filed under a match that `text` may meet. The list is the index's own, good until the next call. */
  find(text: string): readonly T[] {
    const asked = this.#foldsCase ? asciiLowerCase(text) : text;
    const found = this.#found;
    found.length = 0;
    const exact = this.#exact.get(asked);
    if (exact !== undefined) for (let index = 0; index < exact.length; index++) found.push(exact[index] as T);
    if (this.#hasPrefixes) this.#prefixes.collect(asked, found);
    if (this.#hasSuffixes) this.#suffixes.collect(asked, found);
    if (text !== "") for (let index = 0; index < this.#present.length; index++) found.push(this.#present[index] as T);
    for (let index = 0; index < this.#patterns.length; index++) found.push(this.#patterns[index] as T);
    return found;
  }
}
