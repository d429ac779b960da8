import { existsSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { compareSpecificity, isSubsetOfHost, matchesHost } from "../../src/config/compile/host-name.ts";

/*
 * Istio's own tables for comparing host names (pkg/config/host): our three functions must agree with every row. The
 * tables for intersections and per-namespace lists are of gateways and have no counterpart here.
 */
const CORPUS = new URL("../../../shared/corpora/istio-host/host-match.json", import.meta.url);

interface Table {
  readonly func: string;
  readonly var?: string;
  readonly cases: unknown;
}

const tables: readonly Table[] = existsSync(CORPUS) ? JSON.parse(readFileSync(CORPUS, "utf8")) : [];

function rowsOf(name: string): unknown[][] {
  return tables.filter((table) => table.func === name).flatMap((table) => table.cases as unknown[][]);
}

if (tables.length === 0) process.stdout.write("istio-host: skipped, ../shared/corpora/istio-host is not there\n");

describe.skipIf(tables.length === 0)("Istio's host names", () => {
  test.each(rowsOf("TestNameMatches").map((row) => row.slice(1)))("%j and %j match: %j", (a, b, expected) => {
    expect(matchesHost(a as string, b as string)).toBe(expected);
  });

  test.each(rowsOf("BenchmarkNameMatch"))("%j and %j match either way: %j", (a, b, expected) => {
    expect(matchesHost(a as string, b as string)).toBe(expected);
  });

  test.each(rowsOf("TestNameSubsetOf").map((row) => row.slice(1)))("%j is a subset of %j: %j", (a, b, expected) => {
    expect(isSubsetOfHost(a as string, b as string)).toBe(expected);
  });

  test.each(rowsOf("TestNamesSortOrder"))("%j sorted is %j", (input, expected) => {
    const names = (value: unknown) => (value as { readonly $list?: readonly string[] }).$list ?? [];
    expect(names(input).toSorted(compareSpecificity)).toEqual(names(expected));
  });

  test("the corpus has the rows it had when this was written", () => {
    expect(rowsOf("TestNameMatches").length).toBeGreaterThanOrEqual(24);
    expect(rowsOf("TestNameSubsetOf").length).toBeGreaterThanOrEqual(20);
    expect(rowsOf("TestNamesSortOrder").length).toBeGreaterThanOrEqual(7);
  });
});
