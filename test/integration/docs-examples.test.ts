import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { checkPaths } from "../../src/cli/check.ts";
import { LINTS } from "../../src/config/lint/finding.ts";
import { formatProblem, type Problem } from "../../src/config/problem.ts";
import { parseSuites } from "../../src/meshtest/read-suites.ts";
import { documentationPages, examplesOf, type PageExample, wholeOf } from "./page-examples.ts";

/*
 * Every block of YAML in the documentation is good configuration. A block stands alone and may name services that are not on
 * the page; everything else that `outrider check` would say of it is a mistake. A block that is part of an object has a
 * comment above it that says of which (`page-examples.ts`). The examples of docs/check.md raise the lint they stand under, which
 * config-check.test.ts sees to.
 */

/** What may be said of an example because the rest of its mesh is not on the page. */
const OUTSIDE: ReadonlySet<string | undefined> = new Set(["unknown-host", "unknown-port", "unknown-subset", "empty-subset", "selects-nothing", "sidecar-imports-nothing"]);

const examples = documentationPages().flatMap(examplesOf);
const isSuite = ({ yaml }: PageExample): boolean => /^cases:/m.test(yaml);
const isLint = ({ page, heading }: PageExample): boolean => page === "docs/check.md" && (LINTS as readonly string[]).includes(heading);

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "outrider-docs-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function problemsOf(example: PageExample): Problem[] {
  const file = join(folder, "example.yaml");
  writeFileSync(file, wholeOf(example));
  return checkPaths([file]);
}

const told = (problems: readonly Problem[]): string[] => problems.map((problem) => `${formatProblem(problem).slice(folder.length + 1)} [${problem.lint ?? ""}]`);

describe("the YAML of the documentation", () => {
  it("is found, on many pages", () => {
    expect(examples.length).toBeGreaterThan(45);
    expect(new Set(examples.map(({ page }) => page)).size).toBeGreaterThan(7);
  });

  it.each(examples.filter((example) => !isSuite(example) && !isLint(example)))("$place is accepted without a word", (example) => {
    expect(told(problemsOf(example).filter(({ lint }) => !OUTSIDE.has(lint)))).toEqual([]);
  });

  it.each(examples.filter(isSuite))("$place is a test that can be read", ({ place, yaml }) => {
    expect(parseSuites(place, Buffer.from(yaml)).problems.map(formatProblem)).toEqual([]);
  });
});
