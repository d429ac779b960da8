import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, expect, it } from "vitest";

import { copyConfiguration, editWeights } from "../../../src/demo/config-folder.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "outrider-config-"));
  for (const [source, file, text] of [
    ["shared", "a.yaml", "port: 9080 # stays\n"],
    ["shared", "README.md", "not configuration\n"],
    ["own", "b.yaml", "port: 9080 # changes\nother: 19080, x9080\nendpoint: 127.0.0.1:9080\n"],
  ] as const) {
    mkdirSync(join(folder, source), { recursive: true });
    writeFileSync(join(folder, source, file), text);
  }
});

afterEach(() => {
  rmSync(folder, { recursive: true });
});

const copy = (substitutions: Record<string, string>): void =>
  copyConfiguration([join(folder, "shared"), join(folder, "own")], join(folder, "out"), new Map(Object.entries(substitutions)));
const read = (file: string): string => readFileSync(join(folder, "out", file), "utf8");

it("copies YAML alone and replaces whole words in the last folder's", () => {
  copy({ 9080: "4711" });
  expect(readdirSync(join(folder, "out"))).toEqual(["a.yaml", "b.yaml"]);
  expect(read("a.yaml")).toBe("port: 9080 # stays\n");
  expect(read("b.yaml")).toBe("port: 4711 # changes\nother: 19080, x9080\nendpoint: 127.0.0.1:4711\n");
});

it("refuses an example in which a word to replace is missing", () => {
  expect(() => copy({ 9080: "4711", 18081: "4712" })).toThrow(/nowhere is 18081$/);
});

it("edits the two weights of a route and nothing else", () => {
  const file = join(folder, "routing.yaml");
  writeFileSync(file, "# weight: 1\nroute:\n  - host: a\n    weight: 90\n  - host: b\n    weight: 10\n");
  editWeights(file, [50, 50]);
  expect(readFileSync(file, "utf8")).toBe("# weight: 1\nroute:\n  - host: a\n    weight: 50\n  - host: b\n    weight: 50\n");
  writeFileSync(file, "weight: 90\n");
  expect(() => editWeights(file, [50, 50])).toThrow("1 weights, not 2");
});
