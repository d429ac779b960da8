import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { HostIndex } from "../../../../src/config/compile/host-index.ts";
import { compareSpecificity, isSubsetOfHost, matchesHost } from "../../../../src/config/compile/host-name.ts";

/** Names of few labels, so that wildcards cover many of them. */
const name = fc.array(fc.constantFrom("a", "b", "ab", "c"), { minLength: 1, maxLength: 4 }).map((labels) => labels.join("."));
const host = fc.oneof(name, name.map((text) => `*.${text}`), fc.constantFrom("*", "*a", "*b.c"));

describe("HostIndex", () => {
  it("finds what a look at every name finds, the most specific first", () => {
    let wild = 0;
    fc.assert(fc.property(fc.array(host, { maxLength: 12 }), host, (hosts, asked) => {
      const index = new HostIndex(hosts.map((each, at) => [each, { host: each, at }] as const));
      const all = hosts.map((each, at) => ({ host: each, at }));
      const covering = all.filter((each) => isSubsetOfHost(asked, each.host)).toSorted((a, b) => compareSpecificity(a.host, b.host) || a.at - b.at);
      expect(index.covering(asked)).toEqual(covering);
      if (covering.some((each) => each.host !== asked)) wild++;
      const within = index.within(asked).toSorted((a, b) => a.at - b.at);
      expect(within).toEqual(all.filter((each) => isSubsetOfHost(each.host, asked)));
      expect(index.overlaps(asked)).toBe(all.some((each) => matchesHost(each.host, asked)));
      expect(index.at(asked)).toEqual(all.filter((each) => each.host === asked));
    }), { numRuns: 1000 });
    expect(wild).toBeGreaterThan(100);
  });
});
