import { describe, expect, it } from "vitest";
import type { PathMatchSpec } from "../../../src/config/snapshot-security.ts";
import { parseIpAddress } from "../../../src/core/cidr.ts";
import { BlockIndex } from "../../../src/filter/rbac-block-index.ts";
import { compileRule } from "../../../src/filter/rbac-rule.ts";
import { StringIndex } from "../../../src/filter/rbac-string-index.ts";
import { PathTemplate } from "../../../src/filter/rbac-template.ts";
import { RuleTree } from "../../../src/filter/rbac-tree.ts";
import { ValueMatcher } from "../../../src/filter/rbac-value-matcher.ts";
import { BlockValues, StringValues } from "../../../src/filter/rbac-values.ts";
import { anyOf, facts, match, operation, policy, rule, source } from "./rbac-fixtures.ts";

const matcher = (text: string): ValueMatcher => new ValueMatcher(text.includes("{") ? { kind: "template", value: text } : match(text));

describe("PathTemplate (spec/05 5.5)", () => {
  it.each([
    ["/foo/{*}", ["/foo/bar"], ["/foo/", "/foo", "/foo/bar/baz", "/foo/bar/"]],
    ["/foo/{**}", ["/foo/", "/foo/bar", "/foo/bar/baz"], ["/foo", "/fo"]],
    ["/foo/{**}/", ["/foo/bar/", "/foo//"], ["/foo/bar", "/foo/"]],
    ["/foo/{*}/bar/{**}", ["/foo/buzz/bar/", "/foo/buzz/bar/baz"], ["/foo/bar/baz", "/foo//bar/x", "/foo/buzz/bar"]],
    ["/{*}/{*}", ["/a/b"], ["/a", "/a/", "//b", "/a/b/c"]],
    ["/{**}/x.json", ["//x.json", "/a/x.json", "/a/b/x.json"], ["/x.json", "/a/x.jsonp"]],
    ["/a.b/{*}", ["/a.b/c"], ["/axb/c"]],
    ["/{*}", ["/*", "/x y"], ["/", "//"]],
  ])("%s", (template, fitting, others) => {
    for (const path of fitting) expect(new PathTemplate(template).matches(path), path).toBe(true);
    for (const path of others) expect(new PathTemplate(template).matches(path), path).toBe(false);
  });

  it("is linear: many operators on a long path without a match", () => {
    const template = new PathTemplate(`${"/{*}".repeat(200)}/x`);
    expect(template.matches(`${"/a".repeat(200)}/y`)).toBe(false);
    expect(template.matches(`${"/a".repeat(200)}/x`)).toBe(true);
  });
});

describe("StringIndex", () => {
  const TEXTS = ["a", "ab", "abc", "abd", "b", "a*", "ab*", "abx*", "*c", "*bc", "*xbc", "*", "/a/{*}", "/a/{**}", "/b/{*}/c", "/a*"];
  const index = new StringIndex<string>();
  for (const text of TEXTS) index.add(matcher(text), text);

  it.each(["", "a", "ab", "abc", "abcd", "abxx", "c", "bc", "xbc", "/a/x", "/a/", "/b/x/c", "zz", "abd"])("finds for %j all that match", (text) => {
    const found = [...index.find(text)];
    for (const each of TEXTS) {
      if (matcher(each).matches(text)) expect(found, `${each} for ${text}`).toContain(each);
      else expect(found.includes(each) && !each.includes("{"), `${each} for ${text}`).toBe(false);
    }
    expect(new Set(found).size, "each once").toBe(found.length);
  });

  it("keeps several things under one text, and folds case where its matchers do", () => {
    const hosts = new StringIndex<number>();
    const caseless = (spec: PathMatchSpec) => new ValueMatcher({ ...spec, ignoreCase: true } as PathMatchSpec);
    hosts.add(caseless(match("A.Test")), 1);
    hosts.add(caseless(match("a.test")), 2);
    hosts.add(caseless(match("*.TEST")), 3);
    expect(new Set(hosts.find("a.TEST"))).toEqual(new Set([1, 2, 3]));
    expect(hosts.find("b.test")).toEqual([3]);
  });
});

describe("BlockIndex", () => {
  it("finds blocks of both families, mapped ones as the IPv4 they stand for", () => {
    const index = new BlockIndex<string>();
    const blocks = ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "0.0.0.0/0", "::/0", "fd00::/8", "fd00:1::/33", "::ffff:192.168.0.0/112", "fd00::1/128"];
    for (const block of blocks) index.add(block, block);
    const find = (address: string) => [...index.find(parseIpAddress(address) as NonNullable<ReturnType<typeof parseIpAddress>>)].sort();
    expect(find("10.1.2.3")).toEqual(["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3"]);
    expect(find("::ffff:10.2.0.1")).toEqual(["0.0.0.0/0", "10.0.0.0/8"]);
    expect(find("192.168.7.7")).toEqual(["0.0.0.0/0", "::ffff:192.168.0.0/112"]);
    expect(find("fd00::1")).toEqual(["::/0", "fd00::/8", "fd00::1/128"]);
    expect(find("fd00:1:7fff::1")).toEqual(["::/0", "fd00:1::/33", "fd00::/8"]);
    expect(find("fd00:1:8000::1")).toEqual(["::/0", "fd00::/8"]);
  });

  it.each(["10.0.0.0/33", "x", "10.0.0.0/-1", "::ffff:10.0.0.0/95", ""])("refuses %j", (block) => {
    expect(() => new BlockIndex<true>().add(block, true)).toThrow(/not an address block/);
  });
});

describe("long lists of values", () => {
  it("are looked up with the same answers as short ones", () => {
    const many = Array.from({ length: 1000 }, (_, index) => match(`td/ns/a/sa/s${index}`));
    const values = new StringValues([...many, match("*/x")]);
    for (const [text, is] of [["td/ns/a/sa/s999", true], ["td/ns/a/sa/s1000", false], ["q/x", true], ["", false]] as const) expect(values.has(text), text).toBe(is);
    const blocks = new BlockValues(Array.from({ length: 1000 }, (_, index) => `10.${index >> 8}.${index & 255}.0/24`));
    const inBlocks = (address: string) => blocks.has(parseIpAddress(address) as NonNullable<ReturnType<typeof parseIpAddress>>);
    expect([inBlocks("10.3.231.7"), inBlocks("10.3.232.7"), inBlocks("fd00::1")]).toEqual([true, false, false]);
  });
});

describe("RuleTree", () => {
  /** Counts how many rules are asked: their conditions are, one for each. */
  const asked = (rules: readonly ReturnType<typeof compileRule>[], tree: RuleTree, sample: ReturnType<typeof facts>): number => {
    let count = 0;
    const conditions = new Set(rules.flatMap((one) => [...one.from, ...one.to].flat()));
    const restore = [...conditions].map((condition) => {
      const holds = condition.holds.bind(condition);
      condition.holds = (given) => {
        count++;
        return holds(given);
      };
      return () => delete (condition as { holds?: unknown }).holds;
    });
    tree.first(sample);
    for (const undo of restore) undo();
    return count;
  };
  const compiled = (count: number, make: (index: number) => ReturnType<typeof rule>) => {
    const whole = policy("p", ...Array.from({ length: count }, (_, index) => make(index)));
    return whole.rules.map((_, index) => compileRule(whole, index, false));
  };

  it.each([100, 10_000])("asks a handful of %i rules, whatever they ask for", (count) => {
    const kinds = [
      (index: number) => rule({ from: [source({ principals: anyOf([`td/ns/a/sa/s${index}`]) })] }),
      (index: number) => rule({ to: [operation({ paths: anyOf([`/things/${index}/*`]) })] }),
      (index: number) => rule({ to: [operation({ hosts: anyOf([`*.h${index}.test`]), methods: anyOf(["GET"]) })] }),
      (index: number) => rule({ from: [source({ ipBlocks: { values: [`10.${index >> 8}.${index & 255}.0/24`], notValues: [] } })], to: [operation({ methods: anyOf(["GET"]) })] }),
      (index: number) => rule({ from: [source({ namespaces: anyOf(["a"]) })], to: [operation({ methods: anyOf(["GET"]), paths: anyOf([`/things/${index}/x`, `/other/${index}`]) })] }),
    ];
    const sample = facts({ principal: "td/ns/a/sa/s77", remote: "10.0.77.3", http: { authority: "x.h77.test", path: "/things/77/x" } });
    for (const make of kinds) {
      const rules = compiled(count, make);
      const tree = new RuleTree(rules);
      expect(tree.first(sample)).toBe(77);
      expect(asked(rules, tree, sample)).toBeLessThan(12);
    }
  });

  it("gives the first of several that match, wherever they stand in the tree", () => {
    const rules = compiled(30, (index) => (index % 3 === 0 ? rule({ from: [source({ principals: anyOf([`td/ns/a/sa/s${index}`, "td/ns/a/sa/s77"]) })] })
      : index % 3 === 1 ? rule({ to: [operation({ paths: anyOf([index > 20 ? "/x*" : `/y${index}`]) })] }) : rule({ to: [operation({ methods: anyOf([], ["GET"]) })] })));
    const tree = new RuleTree(rules);
    for (const sample of [facts({ http: { path: "/xyz" } }), facts({ principal: "td/ns/a/sa/s77", http: { path: "/xyz" } }), facts({ http: { method: "PUT" } }), facts()]) {
      expect(tree.first(sample)).toBe(rules.findIndex((one) => one.matches(sample)));
    }
  });

  it("does not grow beyond bounds where rules have many values in common", () => {
    const many = (prefix: string) => anyOf(Array.from({ length: 100 }, (_, index) => `${prefix}${index}`));
    const rules = compiled(200, () => rule({
      from: [source({ principals: many("td/ns/a/sa/s") })], to: [operation({ paths: many("/p"), hosts: many("h") })],
    }));
    const tree = new RuleTree(rules);
    expect(tree.first(facts({ principal: "td/ns/a/sa/s5", http: { authority: "h7", path: "/p9" } }))).toBe(0);
    expect(tree.first(facts({ principal: "td/ns/a/sa/s5", http: { authority: "h7", path: "/p100" } }))).toBe(-1);
  });
});
