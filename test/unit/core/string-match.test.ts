import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { compileRegex } from "../../../src/core/regex.ts";
import { compileStringMatch } from "../../../src/core/string-match.ts";
import type { StringMatchSpec } from "../../../src/core/string-match.ts";

const matches = (spec: StringMatchSpec, value: string) => compileStringMatch(spec).matches(value);

describe("compileStringMatch", () => {
  it("compares exact, prefix and suffix literally", () => {
    expect(matches({ kind: "exact", value: "/a" }, "/a")).toBe(true);
    expect(matches({ kind: "exact", value: "/a" }, "/a/")).toBe(false);
    expect(matches({ kind: "prefix", value: "/foo" }, "/foobar")).toBe(true);
    expect(matches({ kind: "prefix", value: "/foo" }, "/fo")).toBe(false);
    expect(matches({ kind: "suffix", value: ".test" }, "a.test")).toBe(true);
    expect(matches({ kind: "suffix", value: ".test" }, "a.test.")).toBe(false);
    expect(matches({ kind: "exact", value: "a.b" }, "axb"), "CVE-2026-39350").toBe(false);
  });

  it("folds ASCII letters only, and only where asked to", () => {
    expect(matches({ kind: "exact", value: "/A" }, "/a")).toBe(false);
    expect(matches({ kind: "exact", value: "/a", ignoreCase: true }, "/A")).toBe(true);
    expect(matches({ kind: "prefix", value: "/A", ignoreCase: true }, "/ab")).toBe(true);
    expect(matches({ kind: "suffix", value: ".test", ignoreCase: true }, "a.TEST")).toBe(true);
    expect(matches({ kind: "exact", value: "\u00e9", ignoreCase: true }, "\u00c3\u00a9")).toBe(true);
    expect(matches({ kind: "exact", value: "\u00e9", ignoreCase: true }, "\u00e3\u00a9")).toBe(false);
  });

  it("takes any value for presence, the empty one too", () => {
    expect(matches({ kind: "present", value: "" }, "")).toBe(true);
    expect(compileStringMatch({ kind: "present", value: "" }).isPresence).toBe(true);
    expect(compileStringMatch({ kind: "exact", value: "" }).isPresence).toBe(false);
  });

  it("compares text outside ASCII with the bytes of the wire", () => {
    const wire = Buffer.from("größe", "utf8").toString("latin1");
    expect(matches({ kind: "exact", value: "größe" }, wire)).toBe(true);
    expect(matches({ kind: "regex", value: "gr..e" }, wire)).toBe(true);
    expect(matches({ kind: "regex", value: "grö.e" }, wire)).toBe(true);
  });

  it("matches a regex against the whole value", () => {
    const spec: StringMatchSpec = { kind: "regex", value: "/v[12]" };
    expect(matches(spec, "/v1")).toBe(true);
    expect(matches(spec, "/v1/")).toBe(false);
    expect(matches(spec, "x/v1")).toBe(false);
    expect(matches({ kind: "regex", value: "a|ab" }, "ab")).toBe(true);
    expect(matches({ kind: "regex", value: "AB", ignoreCase: true }, "ab")).toBe(true);
  });
});

/** A Go string literal: JSON plus raw control characters and the escapes \\a, \\v and \\x. */
function unquote(literal: string): string {
  const unicode = (code: number) => `\\u${code.toString(16).padStart(4, "0")}`;
  const json = literal.replaceAll(/\\x[0-9a-f]{2}|\\.|\p{Cc}/gu, (piece) => {
    if (piece.startsWith("\\x")) return unicode(Number.parseInt(piece.slice(2), 16));
    if (piece === "\\a") return unicode(7);
    if (piece === "\\v") return unicode(11);
    return piece.startsWith("\\") ? piece : unicode(piece.charCodeAt(0));
  });
  return JSON.parse(json) as string;
}

describe("compileRegex", () => {
  it("refuses what RE2 does not have, and expressions beyond the limit", () => {
    expect(() => compileRegex("(?=a)")).toThrow(/error parsing regexp/);
    expect(() => compileRegex("(a)\\1")).toThrow(/error parsing regexp/);
    expect(() => compileRegex("a".repeat(1025))).toThrow(/longer than 1024/);
    expect(() => compileRegex("a".repeat(1024))).not.toThrow();
  });

  it("stays linear where a backtracking engine would not end (CVE-2019-14993, row B25)", () => {
    expect(compileRegex("^(a+)+$").matches(`${"a".repeat(100_000)}!`)).toBe(false);
    expect(compileRegex("^(a+)+$").matches("a".repeat(100_000))).toBe(true);
  });

  const corpus = new URL("../../../../shared/corpora/re2-search/re2-search.txt", import.meta.url);
  it.skipIf(!existsSync(corpus))("agrees with RE2 on its own search corpus (skipped when ../shared/corpora is absent)", () => {
    let texts: string[] = [];
    let inStrings = false;
    let regex: { source: string; left: number } | null = null;
    let checked = 0;
    for (const line of readFileSync(corpus, "utf8").split("\n")) {
      if (line === "strings") {
        texts = [];
        inStrings = true;
      } else if (line === "regexps") {
        inStrings = false;
      } else if (line.startsWith('"')) {
        const text = unquote(line);
        if (inStrings) texts.push(text);
        else regex = { source: text, left: 0 };
      } else if (regex !== null && line.includes(";")) {
        const value = Buffer.from(texts[regex.left++] as string, "utf8").toString("latin1");
        const expected = line.split(";")[0] !== "-";
        // A single byte, which only the C++ library has; Go and Java refuse it too.
        if (regex.source.includes("\\C")) continue;
        expect(compileRegex(regex.source).matches(value), `${regex.source} on ${JSON.stringify(value)}`).toBe(expected);
        checked++;
      }
    }
    expect(checked).toBeGreaterThan(1000);
  });
});
