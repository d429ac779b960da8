import type { Attribute } from "./rbac-attribute.ts";
import { BlockIndex } from "./rbac-block-index.ts";
import { broadReadings, type Condition } from "./rbac-condition.ts";
import type { AuthorizationFacts } from "./rbac-facts.ts";
import { type Clause, holdsAll, type Rule } from "./rbac-rule.ts";
import { StringIndex } from "./rbac-string-index.ts";
import type { ValueMatcher } from "./rbac-value-matcher.ts";

/** So few rules are asked one by one. */
const MAX_LEAF = 3;
/** So few rules that a request meets after a division make looking for a better one idle. */
const GOOD_ENOUGH = 2;
/** Of a rule with more pairs of `from` and `to` than this, only the `from` are told apart. */
const MAX_PAIRS = 64;
/** A rule stands in every bucket of its values; so many places for each rule on average, and then no bucket is divided further. */
const PLACES_PER_RULE = 24;
const SPARE_PLACES = 4000;

/** One of the ways in which a rule can match: conditions that must hold together. */
interface Way {
  /** Of its rule among all rules: the least one decides. */
  readonly order: number;
  readonly conditions: Clause;
  /** Set where `conditions` are not all there is to the rule. */
  readonly rule: Rule | null;
}

/** Ways to match, each of which may hold for a request that came here. */
class Leaf {
  readonly #ways: readonly Way[];

  constructor(ways: readonly Way[]) {
    this.#ways = ways;
  }

  /** The least order below `limit` of a way that holds; `limit` when there is none. */
  find(facts: AuthorizationFacts, limit: number): number {
    const ways = this.#ways;
    for (let index = 0; index < ways.length; index++) {
      const { order, conditions, rule } = ways[index] as Way;
      // They are in order.
      if (order >= limit) break;
      if (holdsAll(conditions, facts) && (rule === null || rule.matches(facts))) return order;
    }
    return limit;
  }
}

/** Divides ways by one attribute: into a bucket for each value that some ask for, and the rest, which ask for none. */
class Branch {
  readonly #attribute: Attribute;
  readonly #isDeny: boolean;
  readonly #texts: StringIndex<Node> | null;
  readonly #blocks: BlockIndex<Node> | null;
  readonly #rest: Node | null;

  constructor(attribute: Attribute, isDeny: boolean, texts: StringIndex<Node> | null, blocks: BlockIndex<Node> | null, rest: Node | null) {
    this.#attribute = attribute;
    this.#isDeny = isDeny;
    this.#texts = texts;
    this.#blocks = blocks;
    this.#rest = rest;
  }

  find(facts: AuthorizationFacts, limit: number): number {
    const least = this.#rest === null ? limit : this.#rest.find(facts, limit);
    if (this.#blocks !== null) {
      const address = this.#attribute.address(facts);
      return address === null ? least : findIn(this.#blocks.find(address), facts, least);
    }
    const index = this.#texts as StringIndex<Node>;
    if (this.#attribute.kind === "header") return this.#findByField(index, facts, least);
    const texts = this.#attribute.texts(facts);
    if (texts !== null) return findByTexts(index, texts, facts, least);
    const text = this.#attribute.text(facts);
    return text === null ? least : findIn(index.find(text), facts, least);
  }

  /** A rule that permits wants every line to match, so that the first one tells; see `Condition`. */
  #findByField(index: StringIndex<Node>, facts: AuthorizationFacts, least: number): number {
    if (facts.request === null) return least;
    const lines = this.#attribute.lines(facts.request);
    return findByTexts(index, this.#isDeny ? broadReadings(lines) : lines.slice(0, 1), facts, least);
  }
}

type Node = Leaf | Branch;

function findByTexts(index: StringIndex<Node>, texts: readonly string[], facts: AuthorizationFacts, limit: number): number {
  let least = limit;
  for (let at = 0; at < texts.length; at++) least = findIn(index.find(texts[at] as string), facts, least);
  return least;
}

/** Buckets are asked while the list of them is the index's own: no bucket below asks the same index. */
function findIn(nodes: readonly Node[], facts: AuthorizationFacts, limit: number): number {
  let least = limit;
  for (let at = 0; at < nodes.length; at++) least = (nodes[at] as Node).find(facts, least);
  return least;
}

/**
 * Rules of one action, divided by what they ask for (principal, namespace, host, path, method, header, address, ...) until
 * few are left together. A request meets only rules whose divided conditions it may fulfil, so that a decision costs
 * what those cost, however many others there are.
 */
export class RuleTree {
  readonly #root: Node;
  readonly #count: number;
  #places: number;

  constructor(rules: readonly Rule[]) {
    this.#count = rules.length;
    this.#places = rules.length * PLACES_PER_RULE + SPARE_PLACES;
    this.#root = this.#divide(rules.flatMap(waysOf), new Set());
  }

  /** Index of the first rule that matches; -1 when none does. */
  first(facts: AuthorizationFacts): number {
    const found = this.#root.find(facts, this.#count);
    return found === this.#count ? -1 : found;
  }

  /** `used`: attributes by which these ways were divided before. */
  #divide(ways: readonly Way[], used: ReadonlySet<string>): Node {
    if (ways.length <= MAX_LEAF) return new Leaf(ways);
    const division = bestDivision(ways, used, this.#places);
    if (division === null) return new Leaf(ways);
    this.#places -= division.places;
    const { attribute, isDeny, buckets } = division;
    const now = new Set([...used, attribute.key]);
    const rest = division.rest.length === 0 ? null : this.#divide(division.rest, now);
    if (attribute.isAddress) {
      const index = new BlockIndex<Node>();
      for (const [block, { ways: inside }] of buckets) index.add(block, this.#divide(inside, now));
      return new Branch(attribute, isDeny, null, index, rest);
    }
    const index = new StringIndex<Node>();
    for (const { matcher, ways: inside } of buckets.values()) index.add(matcher as ValueMatcher, this.#divide(inside, now));
    return new Branch(attribute, isDeny, index, null, rest);
  }
}

/** Ways by what they ask of one attribute. */
interface Division {
  readonly attribute: Attribute;
  readonly isDeny: boolean;
  /** By value as it is compared. */
  readonly buckets: Map<string, { readonly matcher: ValueMatcher | null; readonly ways: Way[] }>;
  readonly rest: Way[];
  places: number;
}

/** The division that leaves the fewest ways together; null when none is worth its place. */
function bestDivision(ways: readonly Way[], used: ReadonlySet<string>, maxPlaces: number): Division | null {
  let best: Division | null = null;
  let bestCost = ways.length * 0.75;
  for (const condition of candidates(ways, used)) {
    const division = divideBy(condition, ways);
    const sizes = [...division.buckets.values()].map((bucket) => bucket.ways.length);
    // What a request meets that asks for one of the values, drawn by how many ask for each.
    const met = sizes.reduce((sum, size) => sum + size * size, 0) / Math.max(1, division.places);
    const cost = division.rest.length + met;
    if (cost >= bestCost || division.places > maxPlaces) continue;
    best = division;
    bestCost = cost;
    // Good enough: looking on would cost more, when policies come into force, than a better one saves.
    if (cost <= GOOD_ENOUGH) break;
  }
  return best;
}

/** One condition for each attribute by which some of the ways can be divided. */
function candidates(ways: readonly Way[], used: ReadonlySet<string>): Condition[] {
  const found = new Map<string, Condition>();
  for (const { conditions } of ways) {
    for (const condition of conditions) {
      const { key } = condition.attribute;
      if (!used.has(key) && !found.has(key) && isDivisible(condition)) found.set(key, condition);
    }
  }
  return [...found.values()];
}

/** It asks for values, and all of them can be looked up. Whoever only rules values out may hold for any other. */
function isDivisible({ values }: Condition): boolean {
  if (values.kind === "blocks") return !values.is.isEmpty;
  return !values.is.isEmpty && values.is.matchers.every(({ kind }) => kind !== "regex" && kind !== "present");
}

function divideBy({ attribute, isDeny }: Condition, ways: readonly Way[]): Division {
  const division: Division = { attribute, isDeny, buckets: new Map(), rest: [], places: 0 };
  for (const way of ways) {
    const condition = way.conditions.find((one) => one.attribute.key === attribute.key && isDivisible(one));
    if (condition === undefined) division.rest.push(way);
    else for (const [key, matcher] of valuesOf(condition)) put(division, key, matcher, way);
  }
  return division;
}

/** What a condition asks for, each value once. */
function valuesOf({ values }: Condition): Map<string, ValueMatcher | null> {
  if (values.kind === "blocks") return new Map(values.is.blocks.map((block) => [block, null]));
  return new Map(values.is.matchers.map((matcher) => [`${matcher.kind === "template" ? "prefix" : matcher.kind} ${matcher.text}`, matcher]));
}

function put(division: Division, key: string, matcher: ValueMatcher | null, way: Way): void {
  const bucket = division.buckets.get(key);
  if (bucket === undefined) division.buckets.set(key, { matcher, ways: [way] });
  else bucket.ways.push(way);
  division.places++;
}

function waysOf(rule: Rule, order: number): Way[] {
  const from = rule.from.length === 0 ? [[]] : rule.from;
  const to = rule.to.length === 0 ? [[]] : rule.to;
  if (from.length * to.length > MAX_PAIRS) {
    return from.length > MAX_PAIRS ? [{ order, conditions: rule.when, rule }] : from.map((source) => ({ order, conditions: [...source, ...rule.when], rule }));
  }
  return from.flatMap((source) => to.map((operation) => ({ order, conditions: [...source, ...operation, ...rule.when], rule: null })));
}
