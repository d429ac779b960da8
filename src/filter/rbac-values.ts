import type { AnyOf, PathMatchSpec } from "../config/snapshot-security.ts";
import { Cidr } from "../core/cidr.ts";
import type { IpAddress } from "../core/cidr.ts";
import { BlockIndex } from "./rbac-block-index.ts";
import { StringIndex } from "./rbac-string-index.ts";
import { ValueMatcher } from "./rbac-value-matcher.ts";

/** Up to so many values are compared one by one; more are looked up. */
const MAX_COMPARED = 8;

/** Strings one of which is asked for. */
export class StringValues {
  readonly matchers: readonly ValueMatcher[];
  readonly #index: StringIndex<ValueMatcher> | null;

  /** Conditions ask mostly for nothing or rule nothing out: those share one. */
  static of(specs: readonly PathMatchSpec[]): StringValues {
    return specs.length === 0 ? NO_STRINGS : new StringValues(specs);
  }

  constructor(specs: readonly PathMatchSpec[]) {
    this.matchers = specs.map((spec) => new ValueMatcher(spec));
    this.#index = specs.length > MAX_COMPARED ? new StringIndex() : null;
    if (this.#index !== null) for (const matcher of this.matchers) this.#index.add(matcher, matcher);
  }

  get isEmpty(): boolean {
    return this.matchers.length === 0;
  }

  /** Whether `value` is one of them. */
  has(value: string): boolean {
    const candidates = this.#index === null ? this.matchers : this.#index.find(value);
    for (let index = 0; index < candidates.length; index++) {
      if ((candidates[index] as ValueMatcher).matches(value)) return true;
    }
    return false;
  }
}

const NO_STRINGS = new StringValues([]);

/** Address blocks one of which is asked for. */
export class BlockValues {
  /** As they were written. */
  readonly blocks: readonly string[];
  readonly #compared: readonly Cidr[];
  readonly #index: BlockIndex<true> | null;

  /** @throws Error for what is no block: it must not quietly widen a rule. */
  static of(blocks: readonly string[]): BlockValues {
    return blocks.length === 0 ? NO_BLOCKS : new BlockValues(blocks);
  }

  /** @throws Error as `of`. */
  constructor(blocks: readonly string[]) {
    this.blocks = blocks;
    this.#compared = blocks.map(parseBlock);
    this.#index = blocks.length > MAX_COMPARED ? new BlockIndex() : null;
    if (this.#index !== null) for (const block of blocks) this.#index.add(block, true);
  }

  get isEmpty(): boolean {
    return this.blocks.length === 0;
  }

  /** Whether `address` lies in one of them. */
  has(address: IpAddress): boolean {
    if (this.#index !== null) return this.#index.find(address).length > 0;
    for (let index = 0; index < this.#compared.length; index++) {
      if ((this.#compared[index] as Cidr).contains(address)) return true;
    }
    return false;
  }
}

const NO_BLOCKS = new BlockValues([]);

/** Values and their `not` twins, each made ready by `map`. */
export function mapBoth<From, To>({ values, notValues }: AnyOf<From>, map: (value: From) => To): AnyOf<To> {
  return { values: values.map((value) => map(value)), notValues: notValues.map((value) => map(value)) };
}

function parseBlock(text: string): Cidr {
  const block = Cidr.parse(text);
  if (block === null) throw new Error(`not an address block: ${text}`);
  return block;
}
