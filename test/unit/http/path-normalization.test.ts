import { existsSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { normalizePath } from "../../../src/http/path-normalization.ts";
import type { PathNormalization } from "../../../src/http/path-normalization.ts";

const MODES: PathNormalization[] = ["NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"];
const full = (path: string) => normalizePath(path, "DECODE_AND_MERGE_SLASHES");

describe("normalizePath, default mode", () => {
  it.each(["//admin", "/./admin", "/x/../admin", "/%2e/admin", "/x/%2e%2e/admin", "/x/.%2E/admin"])("B01, CVE-2019-9901: %s is /admin", (path) => {
    expect(full(path)).toBe("/admin");
  });

  it("B01: keeps the slash of a trailing dot segment", () => {
    expect(full("/admin/.")).toBe("/admin/");
    expect(full("/admin/x/..")).toBe("/admin/");
    expect(full("/.")).toBe("/");
    expect(full("/a/..")).toBe("/");
  });

  it.each(["/%2fadmin", "/x%2f..%2fadmin", "/%5cadmin", "/x\\..\\admin", "/x%5C..%5Cadmin"])("B02, CVE-2021-29492: %s is /admin", (path) => {
    expect(full(path)).toBe("/admin");
  });

  it("B03: decodes once only", () => {
    expect(full("/%252fadmin")).toBe("/%252fadmin");
    expect(full("/%252e%252e/admin")).toBe("/%252e%252e/admin");
  });

  it.each(["/admin%00", "/admin\0", "/admin\u00ff", "/a\tb", "/a b", "/a\u007f", "/admin#x", "/\uff0f"])("B04, B09: refuses %j", (path) => {
    expect(full(path)).toBeNull();
  });

  it.each(["/admin%20", "/admin%09", "/ADMIN", "/admin/", "/admin;jsessionid=1", "/%c0%af", "/a%3fb", "/a%23b", "/.well-known/x", "/..a", "/a..", "/...", "/x/..;/y"])(
    "B04 to B09: leaves %s literally as it is", (path) => {
      expect(full(path)).toBe(path);
    });

  it("B05: never looks at the query", () => {
    expect(full("/admin?x")).toBe("/admin?x");
    expect(full("/a//b?a=///c/../%61%zz?")).toBe("/a/b?a=///c/../%61%zz?");
    expect(full("/%61?%61")).toBe("/a?%61");
  });

  it("B08: decodes escapes of unreserved characters", () => {
    expect(full("/%61dmin")).toBe("/admin");
    expect(full("/%7Euser%2Dx%2e%5F1")).toBe("/~user-x._1");
  });

  it.each(["/..", "/../a", "/a/../../b", "/a/b/../../../../c", "/%2e%2e"])("refuses %s, which leaves the root", (path) => {
    expect(full(path)).toBeNull();
  });

  it.each(["/100%", "/%", "/%4", "/%zz", "/%%32%65", "/%2%66"])("refuses the malformed escape in %s", (path) => {
    expect(full(path)).toBeNull();
  });

  it.each(["", "?x", "admin", "@evil.test/", "http://a.test/"])("refuses %j, which is not origin-form", (path) => {
    for (const mode of MODES) expect(normalizePath(path, mode)).toBeNull();
  });

  it("passes the asterisk-form", () => {
    for (const mode of MODES) expect(normalizePath("*", mode)).toBe("*");
  });
});

describe("normalizePath, other modes", () => {
  it("does nothing under NONE but refuse what is no path", () => {
    for (const path of ["//a/../b", "/%2e%2e/%00", "/a\\b", "/%zz", "/.."]) expect(normalizePath(path, "NONE")).toBe(path);
    expect(normalizePath("/a#b", "NONE")).toBeNull();
  });

  it("keeps slashes and their escapes under BASE, merges under MERGE_SLASHES", () => {
    expect(normalizePath("/a//b/%2F%5c/./c\\d", "BASE")).toBe("/a//b/%2F%5c/c/d");
    expect(normalizePath("/a//b/%2F%5c/./c\\d", "MERGE_SLASHES")).toBe("/a/b/%2F%5c/c/d");
    expect(normalizePath("/a//b/%2F%5c/./c\\d", "DECODE_AND_MERGE_SLASHES")).toBe("/a/b/c/d");
  });

  it("resolves dot segments before it merges slashes, as Envoy does", () => {
    expect(normalizePath("/a//../b", "BASE")).toBe("/a/b");
    expect(normalizePath("/a//../b", "MERGE_SLASHES")).toBe("/a/b");
  });
});

describe("normalizePath, properties", () => {
  const piece = fc.constantFrom("/", "/", "a", "B", ".", "..", "%2e", "%2F", "%5c", "\\", "%61", "%25", "%32", "%", "?", "~", "%00", ";", "#");
  const path = fc.array(piece, { maxLength: 14 }).map((parts) => `/${parts.join("")}`);

  it("is idempotent, and leaves nothing it should have removed", () => {
    fc.assert(fc.property(path, fc.constantFrom(...MODES), (input, mode) => {
      const once = normalizePath(input, mode);
      if (once === null) return;
      expect(normalizePath(once, mode)).toBe(once);
      if (mode === "NONE") expect(once).toBe(input);
      const plain = once.split("?", 1)[0] as string;
      if (mode === "NONE") return;
      expect(plain.split("/")).not.toContain("..");
      expect(plain.split("/")).not.toContain(".");
      expect(plain).not.toMatch(/\\|%2e|%61/i);
      if (mode !== "BASE") expect(plain).not.toContain("//");
      if (mode === "DECODE_AND_MERGE_SLASHES") expect(plain).not.toMatch(/%2f|%5c/i);
    }), { numRuns: 5000 });
  });

  it("resolves as the URL standard does where both accept", () => {
    const part = fc.constantFrom("a", "b.c", ".", "..", "", "%2e", "x..y");
    fc.assert(fc.property(fc.array(part, { minLength: 1, maxLength: 8 }), (parts) => {
      const input = `/${parts.join("/")}`;
      const ours = normalizePath(input, "BASE");
      return ours === null || ours === new URL(`http://h${input}`).pathname;
    }), { numRuns: 3000 });
  });
});

const corpus = new URL("../../../../shared/corpora/envoy-path/path-utility.json", import.meta.url);
describe.skipIf(!existsSync(corpus))("Envoy's path tests (skipped when ../shared/corpora is absent)", () => {
  type Cases = Record<"merge_slashes" | "normalize", { in: string; out: string }[]> & { invalid: string[] };
  const cases = existsSync(corpus) ? (JSON.parse(readFileSync(corpus, "utf8")) as Cases) : null;

  it("merges slashes alike", () => {
    for (const { in: input, out } of cases?.merge_slashes ?? []) {
      if (input.startsWith("/")) expect(normalizePath(input, "MERGE_SLASHES"), input).toBe(out);
    }
  });

  it("normalises alike, but refuses what leaves the root", () => {
    for (const { in: input, out } of cases?.normalize ?? []) {
      // The first row is a rule of that test's own; a relative path is refused before it gets here.
      if (!input.startsWith("/") || input === "/xyz") continue;
      expect(normalizePath(input, "BASE"), input).toBe(input === "/a/b/../../../../c" ? null : out);
    }
    for (const input of cases?.invalid ?? []) expect(normalizePath(input, "BASE"), input).toBeNull();
  });
});
