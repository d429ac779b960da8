import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ParseAhead } from "../../../../src/config/source/parse-ahead.ts";
import { parseFile } from "../../../../src/config/source/parse-file.ts";
import type { ParsedAhead } from "../../../../src/config/source/parse-thread.ts";
import { digestOf } from "../../../../src/config/source/read-file.ts";

describe("parsing on a thread of its own", () => {
  let folder = "";
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "outrider-parse-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const parse = (ahead: ParseAhead, ...paths: string[]): Promise<readonly ParsedAhead[]> => new Promise((resolve) => {
    ahead.parse(paths, resolve);
  });

  it("gives what parsing here gives, positions and problems too, and leaves out what it cannot read", async () => {
    const text = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a}\nspec: {host: one}\n---\nkind: DestinationRul\n";
    const path = join(folder, "a.yaml");
    writeFileSync(path, text);
    const bytes = new TextEncoder().encode(text);
    const ahead = new ParseAhead();
    const [file, ...others] = await parse(ahead, join(folder, "missing.yaml"), path);
    expect(file).toEqual({ path, digest: digestOf(bytes), content: parseFile(path, bytes) });
    expect([others, ahead.isBusy]).toEqual([[], false]);
    expect(await parse(ahead, join(folder, "missing.yaml"))).toEqual([]);
  });

  it("tells nothing after it was stopped, and works again", async () => {
    const ahead = new ParseAhead();
    let isTold = false;
    ahead.parse([join(folder, "a.yaml")], () => {
      isTold = true;
    });
    expect(ahead.isBusy).toBe(true);
    ahead.stop();
    expect(await parse(ahead, join(folder, "a.yaml"))).toEqual([]);
    expect(isTold).toBe(false);
  });
});
