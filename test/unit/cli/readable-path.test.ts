import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { explain } from "../../../src/cli/explain.ts";
import { describeFailure, requirePath } from "../../../src/cli/readable-path.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "outrider-path-"));
  writeFileSync(join(folder, "mesh.yaml"), "");
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What `outrider explain` says of a command line that it cannot obey. */
async function told(...args: string[]): Promise<string> {
  let text = "";
  const code = await explain(args, {}, { stdin: new PassThrough(), out: () => undefined, err: (line) => (text += line) });
  expect(code).toBe(2);
  return text.replaceAll(folder, "F");
}

describe("a path that is not there is one sentence", () => {
  const request = ["--direction", "inbound", "http://a:80/"];

  it.each<readonly [string, () => string[], string]>([
    ["--config", () => ["--config", join(folder, "no"), ...request], "outrider explain: --config: F/no does not exist\n"],
    ["a file as a folder", () => ["--config", join(folder, "mesh.yaml/x"), ...request], "outrider explain: --config: F/mesh.yaml/x is not a folder\n"],
    ["--requests", () => ["--config", folder, "--requests", join(folder, "no")], "outrider explain: --requests: F/no does not exist\n"],
    ["a folder of requests", () => ["--config", folder, "--requests", folder], "outrider explain: --requests: F is a folder, not a file\n"],
    ["--replay", () => ["--replay", join(folder, "no"), "--against", folder], "outrider explain: --replay: F/no does not exist\n"],
    ["--against", () => ["--replay", join(folder, "mesh.yaml"), "--against", join(folder, "no")], "outrider explain: --against: F/no does not exist\n"],
  ])("%s", async (_what, args, expected) => {
    expect(await told(...args())).toBe(expected);
  });

  it("and one that is there is none", () => {
    expect(() => requirePath(folder, "--config")).not.toThrow();
    expect(() => requirePath(join(folder, "mesh.yaml"), "", "file")).not.toThrow();
  });

  it("what fails only when it is read is told in the same way", () => {
    expect(describeFailure(Object.assign(new Error("EACCES: permission denied, open 'x'"), { code: "EACCES", path: "x" }))).toBe("x may not be read (permission denied)");
    expect(describeFailure(new Error("something else"))).toBe("something else");
  });
});
