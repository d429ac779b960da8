import fc from "fast-check";
import { expect, it } from "vitest";
import { compileMatch } from "../../../../src/config/compile/route-match.ts";
import { coversMatch, matchConditions } from "../../../../src/config/lint/match-cover.ts";
import type { HttpMatch } from "../../../../src/config/kinds/virtual-service.ts";
import { RequestHead } from "../../../../src/message/head.ts";
import { HeaderList } from "../../../../src/message/header-list.ts";
import { RouteMatch } from "../../../../src/router/route-match.ts";

/* A match that is said to take all of another takes every request that the router lets the other take. */

const regexes = fc.constantFrom(".*", "a.*", "[ab]*", "a|b", "a?", "b+").map((regex) => ({ regex }));
const text = fc.oneof(fc.constantFrom("a", "b", "ab").chain((value) => fc.constantFrom({ exact: value }, { prefix: value })), regexes, fc.constant({}));
const uri = fc.oneof(
  fc.constantFrom("/", "/a", "/ab", "/a/b", "/A").chain((value) => fc.constantFrom({ exact: value }, { prefix: value })),
  fc.constantFrom("/a.*", "/(a|b)", "/a?b", ".*").map((regex) => ({ regex })),
);
const map = fc.option(fc.dictionary(fc.constantFrom("x", "Z"), text, { maxKeys: 2 }), { nil: undefined });
const match: fc.Arbitrary<HttpMatch> = fc.record({
  uri: fc.option(uri, { nil: undefined }),
  ignoreUriCase: fc.boolean(),
  method: fc.option(fc.constantFrom({ exact: "GET" }, { regex: "GET|POST" }, { prefix: "P" }), { nil: undefined }),
  headers: map, withoutHeaders: map, queryParams: map,
  gateways: fc.constant([]),
}) as fc.Arbitrary<HttpMatch>;

/** Two matches that have many a condition in common: strangers hardly ever cover each other. */
const FIELDS = ["uri", "ignoreUriCase", "method", "headers", "withoutHeaders", "queryParams"] as const;
const pair = fc.tuple(match, match, fc.subarray([...FIELDS])).map(([outer, other, shared]): [HttpMatch, HttpMatch] =>
  [outer, { ...other, ...Object.fromEntries(shared.map((field) => [field, outer[field]])) }]);

const request = fc.record({
  method: fc.constantFrom("GET", "POST"),
  path: fc.constantFrom("/", "/a", "/A", "/ab", "/a/b", "/b", "/abc"),
  query: fc.option(fc.constantFrom("x=a", "x=ab&Z=b", "Z=")),
  headers: fc.dictionary(fc.constantFrom("x", "z"), fc.constantFrom("a", "b", "ab", "c"), { maxKeys: 2 }),
});

it("a match that covers another is never passed over where the other is taken", () => {
  let covered = 0;
  fc.assert(fc.property(pair, fc.array(request, { minLength: 10, maxLength: 30 }), ([outer, inner], requests) => {
    if (!coversMatch(matchConditions(outer, undefined), matchConditions(inner, undefined))) return;
    const [first, second] = [new RouteMatch(compileMatch(outer)), new RouteMatch(compileMatch(inner))];
    for (const { method, path, query, headers } of requests) {
      const list = new HeaderList();
      for (const [name, value] of Object.entries(headers)) list.append(name, value);
      const head = new RequestHead(method, "h", path, list);
      if (!second.holds(head, path, query)) continue;
      covered++;
      expect(first.holds(head, path, query)).toBe(true);
    }
  }), { numRuns: 4_000 });
  expect(covered).toBeGreaterThan(100);
});
