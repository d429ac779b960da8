import { describe, expect, test } from "vitest";
import { joinNames, matchConflict, mergeMatches } from "../../../../src/config/compile/delegate-match.ts";
import type { HttpMatch } from "../../../../src/config/kinds/virtual-service.ts";

const block = (fields: Partial<HttpMatch>): HttpMatch => ({ ignoreUriCase: false, gateways: [], ...fields });
const exact = (value: string) => ({ exact: value });
const prefix = (value: string) => ({ prefix: value });
const regex = (value: string) => ({ regex: value });

describe("spec/03 3.11 conflict of a StringMatch pair", () => {
  test.each([
    [undefined, exact("/a"), false], [exact("/a"), undefined, false], [regex("/.*"), undefined, false], [undefined, regex("/.*"), false],
    [exact("/a"), exact("/a"), false], [exact("/a"), exact("/b"), true], [exact("/a"), prefix("/a"), true],
    [prefix("/a"), prefix("/a/b"), false], [prefix("/a"), prefix("/b"), true], [prefix("/a/b"), prefix("/a"), true],
    [prefix("/a"), exact("/a/b"), false], [prefix("/a"), exact("/b"), true],
    [regex("/.*"), exact("/a"), true], [regex("/.*"), prefix("/a"), true], [prefix("/a"), regex("/a.*"), true], [regex("/a"), regex("/a"), true],
    [exact("/a"), {}, true], [prefix("/a"), {}, true], [{}, exact("/a"), true],
  ])("%j above %j: %s", (above, below, isConflict) => {
    for (const field of ["uri", "method", "authority", "scheme"] as const) {
      expect(matchConflict(block({ [field]: above }), block({ [field]: below }))).toBe(isConflict ? field : null);
    }
    for (const field of ["headers", "withoutHeaders", "queryParams"] as const) {
      const pair = [above, below].map((match) => block(match === undefined ? {} : { [field]: { x: match } }));
      expect(matchConflict(pair[0] as HttpMatch, pair[1] as HttpMatch)).toBe(isConflict ? `${field}["x"]` : null);
    }
  });
});

describe("spec/03 3.11 other conflicts", () => {
  test.each<[Partial<HttpMatch>, Partial<HttpMatch>, string | null]>([
    [{ ignoreUriCase: true }, {}, "ignoreUriCase"], [{ ignoreUriCase: true }, { ignoreUriCase: true }, null],
    [{ port: 80 }, { port: 81 }, "port"], [{ port: 80 }, { port: 80 }, null], [{ port: 80 }, {}, null], [{}, { port: 80 }, null],
    [{ sourceNamespace: "a" }, { sourceNamespace: "b" }, "sourceNamespace"], [{ sourceNamespace: "a" }, {}, null], [{}, { sourceNamespace: "b" }, null],
    [{ sourceLabels: { app: "a" } }, { sourceLabels: { app: "b" } }, "sourceLabels"], [{ sourceLabels: { app: "a" } }, { sourceLabels: { tier: "b" } }, null],
    [{ gateways: ["mesh"] }, { gateways: ["mesh", "g"] }, "gateways"], [{ gateways: ["mesh", "g"] }, { gateways: ["g"] }, null],
    [{}, { gateways: ["g"] }, null], [{ gateways: ["g"] }, {}, null],
    [{ headers: { "X-User": exact("a") } }, { headers: { "x-user": exact("b") } }, 'headers["x-user"]'],
    [{ headers: { toString: exact("a") } }, { headers: { x: exact("b") } }, null],
  ])("%j above %j: %s", (above, below, field) => {
    expect(matchConflict(block(above), block(below))).toBe(field);
  });
});

describe("spec/03 3.11 merged matches", () => {
  test("root empty: the delegate's; delegate empty: the root's", () => {
    const some = [block({ port: 1 })];
    expect(mergeMatches([], some)).toEqual(some);
    expect(mergeMatches(some, [])).toEqual(some);
  });

  test("every pair that agrees, in the delegate's order", () => {
    const merged = mergeMatches(
      [block({ name: "r1", uri: prefix("/a") }), block({ name: "r2", uri: prefix("/a/b") })],
      [block({ name: "d1", uri: prefix("/a/b/c") }), block({ uri: exact("/a/x") })],
    );
    expect(merged?.map(({ name, uri }) => [name, uri])).toEqual([["r1-d1", prefix("/a/b/c")], ["r2-d1", prefix("/a/b/c")], ["r1", exact("/a/x")]]);
  });

  test("one block of the delegate without a compatible one: the whole rule is dropped", () => {
    expect(mergeMatches([block({ uri: prefix("/a") })], [block({ uri: prefix("/a/b") }), block({ uri: prefix("/c") })])).toBeNull();
  });

  test("the delegate wins per field, mappings are united", () => {
    const [merged] = mergeMatches(
      [block({ uri: prefix("/a"), method: exact("GET"), headers: { "X-A": exact("1"), b: prefix("x") }, withoutHeaders: { c: {} }, queryParams: { Q: exact("1") }, port: 80, sourceLabels: { app: "a" }, sourceNamespace: "n", gateways: ["mesh", "g"], statPrefix: "s" })],
      [block({ uri: exact("/a/b"), scheme: exact("http"), headers: { "x-a": exact("1"), d: {} }, queryParams: { r: {} }, sourceLabels: { tier: "t" }, gateways: ["mesh"] })],
    ) ?? [];
    expect(merged).toEqual({
      name: undefined, uri: exact("/a/b"), method: exact("GET"), scheme: exact("http"), authority: undefined, ignoreUriCase: false,
      headers: { "x-a": exact("1"), b: prefix("x"), d: {} }, withoutHeaders: { c: {} }, queryParams: { Q: exact("1"), r: {} },
      port: 80, sourceLabels: { app: "a", tier: "t" }, sourceNamespace: "n", gateways: ["mesh"], statPrefix: "s",
    });
  });

  test.each([["a", "b", "a-b"], [undefined, "b", "b"], ["a", undefined, "a"], [undefined, undefined, undefined], ["a", "", "a"]])("names %j and %j: %j", (above, below, joined) => {
    expect(joinNames(above, below)).toBe(joined);
  });
});
