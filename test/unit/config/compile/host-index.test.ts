import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { HostIndex } from "../../../../src/config/compile/host-index.ts";
import { isSubsetOfHost, matchesHost } from "../../../../src/config/compile/host-name.ts";
import { HostSuggestions } from "../../../../src/config/compile/host-suggestion.ts";

/* What is found by index is what comparing with every host finds. */

const label = fc.constantFrom("a", "b", "ab", "c");
const name = fc.array(label, { minLength: 1, maxLength: 3 }).map((labels) => labels.join("."));
const host = fc.oneof(name, name.map((tail) => `*.${tail}`), name.map((tail) => `*${tail}`), fc.constant("*"));

describe("HostIndex", () => {
  it("finds what a comparison with every host finds", () => {
    fc.assert(fc.property(fc.uniqueArray(host, { maxLength: 12 }), host, (hosts, asked) => {
      const index = new HostIndex(hosts.map((known) => [known, known] as const));
      expect(index.within(asked).toSorted()).toEqual(hosts.filter((known) => isSubsetOfHost(known, asked)).toSorted());
      expect(index.covering(asked).toSorted()).toEqual(hosts.filter((known) => isSubsetOfHost(asked, known)).toSorted());
      expect(index.overlaps(asked)).toBe(hosts.some((known) => matchesHost(known, asked)));
    }), { numRuns: 2_000 });
  });

  it("keeps the order of what stands under one host", () => {
    expect(new HostIndex([["a", 1], ["b", 2], ["a", 3]]).at("a")).toEqual([1, 3]);
  });
});

describe("HostSuggestions", () => {
  const suggestions = new HostSuggestions(["reviews.shop.svc.cluster.local", "ratings.shop.svc.cluster.local", "api.example.com"]);

  it.each([
    ["reviews.default.svc.cluster.local", '; did you mean "reviews.shop.svc.cluster.local"?'],
    ["ratinsg.shop.svc.cluster.local", '; did you mean "ratings.shop.svc.cluster.local"?'],
    ["nobody.shop.svc.cluster.local", ""],
    ["ratinsg.default.svc.cluster.local", ""],
    ["api.exmaple.com", '; did you mean "api.example.com"?'],
  ])("%s%s", (wrong, expected) => {
    expect(suggestions.of(wrong)).toBe(expected);
  });

  it("stops after fifty, whatever the configuration holds", () => {
    const few = new HostSuggestions(["api.example.com"]);
    const told = Array.from({ length: 60 }, () => few.of("api.exmaple.com"));
    expect(told.filter((text) => text !== "")).toHaveLength(50);
  });
});
