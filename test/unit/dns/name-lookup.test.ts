import { describe, expect, it } from "vitest";

import type { NameTable } from "../../../src/config/compile/name-table.ts";
import { lookUpName } from "../../../src/dns/name-lookup.ts";
import { shuffled } from "../../../src/dns/shuffled.ts";

/** A table in which every name has an address of its own. */
const tableOf = (...names: readonly string[]): NameTable => new Map(names.map((name, at) => [name, { v4: [`10.0.0.${at + 1}`], v6: [] }]));
const search = "default.svc.cluster.local";

describe("looking up a name", () => {
  const table = tableOf("reviews.default.svc.cluster.local", "reviews.default", "reviews", "api.example", "*.example", "*.deep.example", "*.cluster.local");
  const found = (name: string, domain: string | null = search) => {
    const match = lookUpName(table, name, domain);
    return match === null ? null : [match.addresses.v4[0], match.alias];
  };

  it.each([
    ["as it is", "reviews.default.svc.cluster.local", ["10.0.0.1", null]],
    ["short", "reviews", ["10.0.0.3", null]],
    ["short and completed is a name of its own", `reviews.${search}`, ["10.0.0.1", null]],
    ["completed", `api.example.${search}`, ["10.0.0.4", "api.example"]],
    ["half completed by hand, then completed", `reviews.default.${search}`, ["10.0.0.2", "reviews.default"]],
    ["complete, and completed once more", `reviews.${search}.${search}`, ["10.0.0.1", `reviews.${search}`]],
    ["below a wildcard", "www.example", ["10.0.0.5", null]],
    ["two labels below a wildcard", "a.b.example", ["10.0.0.5", null]],
    ["the longest wildcard counts", "a.deep.example", ["10.0.0.6", null]],
    ["a wildcard does not cover its own domain, the one above does", "deep.example", ["10.0.0.5", null]],
    ["below a wildcard, completed", `www.example.${search}`, ["10.0.0.5", "www.example"]],
    ["a completed wildcard is longer than one over the search domain", `www.deep.example.${search}`, ["10.0.0.6", "www.deep.example"]],
    ["a wildcard over the search domain", `other.${search}`, ["10.0.0.7", null]],
  ])("%s: %s", (_what, name, expected) => {
    expect(found(name)).toEqual(expected);
  });

  it.each(["example", "reviewsx", "unknown", "xreviews.default", "default.svc.cluster.localx", ""])("unknown: %j", (name) => {
    expect(found(name)).toBeNull();
  });

  it("without a search domain nothing is completed", () => {
    expect(found("api.example.default.svc.other", null)).toBeNull();
    expect(found("api.example.svc.other", "svc.other")).toEqual(["10.0.0.4", "api.example"]);
  });

  it("names that are properties of every object are names like others", () => {
    for (const name of ["constructor", "__proto__", "tostring"]) expect(found(name)).toBeNull();
  });
});

describe("shuffling", () => {
  it("every order is as likely as any other", () => {
    // Each of the choices 3 * 2 once leads to each order once.
    const orders = [0, 1, 2].flatMap((first) => [0, 1].map((second) => {
      const values = [(first + 0.5) / 3, (second + 0.5) / 2];
      return shuffled(["a", "b", "c"], () => values.shift() ?? 0).join("");
    }));
    expect(orders.toSorted()).toEqual(["abc", "acb", "bac", "bca", "cab", "cba"]);
  });

  it("leaves the original alone", () => {
    const original = ["a", "b"];
    expect(shuffled(original, () => 0)).toEqual(["b", "a"]);
    expect(original).toEqual(["a", "b"]);
    expect(shuffled([], () => 0)).toEqual([]);
  });
});
