import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { MESH_TEST_NAME, walkFolders } from "../../../../src/config/source/folder-walk.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "outrider-walk-"));
  mkdirSync(join(folder, "below"));
  for (const name of ["a.yaml", "a.meshtest.yaml", "b.meshtest.yml", "c.json", "notes.txt", ".hidden.yaml"]) writeFileSync(join(folder, "below", name), "");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const names = (walk: ReturnType<typeof walkFolders>): string[] => walk.files.map(({ path }) => basename(path));

describe("walkFolders", () => {
  it("leaves tests that lie beside the configuration alone", () => {
    expect(names(walkFolders([folder]))).toEqual(["a.yaml", "c.json"]);
  });

  it("finds other files where it is told which", () => {
    expect(names(walkFolders([folder], (path) => MESH_TEST_NAME.test(path)))).toEqual(["a.meshtest.yaml", "b.meshtest.yml"]);
  });

  it("takes a file that is named, whatever its name", () => {
    expect(names(walkFolders([join(folder, "below", "notes.txt")]))).toEqual(["notes.txt"]);
  });
});
