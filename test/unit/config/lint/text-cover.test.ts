import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { StringMatcher } from "../../../../src/core/string-match.ts";
import { coversText, pathCondition, textCondition } from "../../../../src/config/lint/text-cover.ts";

type Match = { exact?: string; prefix?: string; regex?: string };
const rows: [outer: Match, inner: Match, expected: boolean][] = [
  [{ exact: "/a" }, { exact: "/a" }, true],
  [{ exact: "/a" }, { exact: "/b" }, false],
  [{ exact: "/a" }, { prefix: "/a" }, false],
  [{ prefix: "/a" }, { exact: "/a" }, true],
  [{ prefix: "/a" }, { exact: "/ab" }, true],
  [{ prefix: "/ab" }, { exact: "/a" }, false],
  [{ prefix: "/a" }, { prefix: "/a/b" }, true],
  [{ prefix: "/a/b" }, { prefix: "/a" }, false],
  [{ prefix: "/api" }, { regex: "/api/v[12]" }, true],
  [{ prefix: "/api" }, { regex: "/ap(i|x)" }, false],
  [{ prefix: "/api" }, { regex: "/api?/x" }, false],
  [{ prefix: "/api" }, { regex: "/api|/x" }, false],
  [{ prefix: "/a.b" }, { regex: "/a\\.b/.+" }, true],
  [{ prefix: "/a.b" }, { regex: "/a.b/.+" }, false],
  [{ prefix: "/" }, {}, true],
  [{ prefix: "/" }, { regex: ".+x" }, true],
  [{ regex: ".*" }, { prefix: "/b" }, true],
  [{ regex: "/a/.*" }, { prefix: "/a/b" }, true],
  [{ regex: "/a/.*" }, { prefix: "/a" }, false],
  [{ regex: "/v[12]" }, { exact: "/v1" }, true],
  [{ regex: "/v[12]" }, { exact: "/v3" }, false],
  [{ regex: "/v[12]" }, { regex: "/v[12]" }, true],
  [{ regex: "/v[12]" }, { regex: "/v1" }, false],
  [{ regex: "/v[12]" }, { prefix: "/v1" }, false],
];

describe("whether a condition on a path covers another", () => {
  it.each(rows)("%j over %j: %s", (outer, inner, expected) => {
    expect(coversText(pathCondition(outer, false), pathCondition(inner, false))).toBe(expected);
  });

  it.each([
    [true, "/A", false, "/a", true],
    [false, "/a", true, "/a", false],
    [false, "/1", true, "/1", true],
    [true, "/A", true, "/a", true],
  ])("case: outer ignores it %s, %s over inner ignores it %s, %s: %s", (outerIgnores, outer, innerIgnores, inner, expected) => {
    expect(coversText(pathCondition({ prefix: outer }, outerIgnores), pathCondition({ exact: inner }, innerIgnores))).toBe(expected);
  });

  it("never covers what the router would not match", () => {
    const piece = fc.constantFrom("/a", "/b", "/ab", "/a/b", "/A", "/a.b", "/");
    const match = fc.oneof(
      piece.map((exact) => ({ exact })), piece.map((prefix) => ({ prefix })),
      fc.constantFrom("/a.*", "/a", "/a?b", "/(a|b)", "/[ab]+", ".*", "/a\\.b.*", "/a|/b").map((regex) => ({ regex })),
    );
    const path = fc.oneof(piece, fc.tuple(piece, piece).map(([a, b]) => `${a}${b}`));
    const holds = (condition: Match, ignoreCase: boolean, text: string): boolean => {
      const [kind, value] = Object.entries(condition)[0] as ["exact" | "prefix" | "regex", string];
      const isFolded = ignoreCase && kind !== "regex";
      return new StringMatcher({ kind, value: isFolded ? value.toLowerCase() : value, ignoreCase: isFolded }).matches(text);
    };
    fc.assert(fc.property(match, match, fc.boolean(), fc.boolean(), path, (outer, inner, outerIgnores, innerIgnores, text) => {
      if (!coversText(textCondition(outer, outerIgnores), textCondition(inner, innerIgnores))) return;
      if (holds(inner, innerIgnores, text)) expect(holds(outer, outerIgnores, text)).toBe(true);
    }), { numRuns: 2_000 });
  });
});
