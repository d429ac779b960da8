import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Readable } from "node:stream";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { explain } from "../../src/cli/explain.ts";

/* `outrider explain` as scripts use it, and docs/explain.md word by word. */

const PAGE = readFileSync("docs/explain.md", "utf8");
const PROGRAM = resolve("bin/outrider.ts");
const blocks = (language: string): string[] => [...PAGE.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, "gm"))].map((found) => found[1] as string);
const examples = blocks("console").map((block): [string, string] => {
  const end = block.indexOf("\n");
  return [block.slice(2, end), block.slice(end + 1)];
});

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "outrider-explain-"));
  mkdirSync(join(folder, "mesh"));
  writeFileSync(join(folder, "mesh", "shop.yaml"), blocks("yaml")[0] ?? "");
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function run(args: readonly string[], stdin = ""): Promise<{ code: number; out: string; err: string }> {
  let out = "";
  let err = "";
  const code = await explain(args, {}, { stdin: Readable.from([stdin]), out: (text) => (out += text), err: (text) => (err += text) });
  return { code, out, err };
}

describe("docs/explain.md", () => {
  it.each(examples)("$ %s", (command, printed) => {
    const [, ...args] = (command.match(/'[^']*'|\S+/g) ?? []).map((word) => word.replaceAll("'", ""));
    const { stdout, stderr, status } = spawnSync(process.execPath, [PROGRAM, ...args], { cwd: folder, encoding: "utf8", env: { PATH: process.env["PATH"] ?? "" } });
    expect([stdout, stderr, status]).toEqual([printed, "", 0]);
  });

  it("has examples, and requests that can be decided", async () => {
    expect(examples.length).toBeGreaterThan(3);
    const { code, out, err } = await run(["--config", join(folder, "mesh"), "--namespace", "shop", "--labels", "app=reviews", "--requests", "-", "-o", "json"], blocks("json")[0]);
    expect([code, err]).toEqual([0, ""]);
    expect(out.trimEnd().split("\n").map((line) => (JSON.parse(line) as { verdict: string }).verdict)).toEqual(["route", "deny", "route"]);
  });
});

describe("outrider explain", () => {
  const config = (): string[] => ["--config", join(folder, "mesh"), "--namespace", "shop"];

  it("gives a line for each line, and goes on after one that is no request", async () => {
    const lines = ['{"url":"http://reviews:9080/reviews"}', "", "{", '{"url":"http://reviews:9080/x"}'];
    const { code, out, err } = await run([...config(), "--direction", "outbound", "--requests", "-", "-o", "json"], lines.join("\n"));
    const told = out.trimEnd().split("\n").map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(code).toBe(2);
    expect(told.map(({ verdict, error }) => verdict ?? error)).toEqual(["route", expect.stringMatching(/^line 3: is not JSON: /), "reply"]);
    expect(err).toMatch(/^outrider explain: line 3: is not JSON: .*\n$/);
  });

  it("names the line of a request that does not say enough", async () => {
    const { code, err } = await run([...config(), "--requests", "-"], '{"direction":"outbound","url":"/x"}\n');
    expect([code, err]).toEqual([2, "outrider explain: line 1: to: is required where the URL names no host\n"]);
  });

  it("tells errors of the configuration and obeys the rest", async () => {
    const broken = join(folder, "broken.yaml");
    writeFileSync(broken, "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: x, namespace: shop}\nspec: {hots: [x]}\n");
    const { code, out, err } = await run([...config(), "--config", broken, "--direction", "outbound", "http://reviews:9080/reviews"]);
    expect(code).toBe(0);
    expect(out).toContain('rule 1 "canary"');
    expect(err).toMatch(/^.*broken\.yaml:4:\d+: error: VirtualService shop\/x: spec\.hots: unknown field; did you mean "hosts"\?\n(?:.*\n)*outrider explain: \d+ errors? in the configuration; the rest is in force\n$/);
  });

  it.each([
    [["http://a/"], "--direction is required: inbound or outbound"],
    [["--direction", "up", "http://a/"], '--direction: "up" is neither inbound nor outbound'],
    [["--direction", "outbound"], "url: is required"],
    [["--direction", "outbound", "-H", "nothing", "http://a/"], "--header: \"nothing\" is not 'NAME: VALUE'"],
    [["--direction", "outbound", "--tls", "maybe", "http://a/"], '--tls: "maybe" is neither true nor false'],
    [["--direction", "outbound", "--jwt", "{", "http://a/"], "--jwt: is not JSON"],
    [["--direction", "outbound", "-o", "xml", "http://a/"], '--output: "xml" is neither text nor json'],
    [["--direction", "outbound", "GET", "http://a/", "more"], 'takes METHOD and URL, not also "more"'],
    [["--requests", "-", "http://a/"], "takes either a request or --requests, not both"],
    [["--direction", "outbound", "--config", "/nowhere/at/all", "http://a/"], "does not exist"],
  ])("%j is refused with exit code 2", async (args, message) => {
    const { code, out, err } = await run(args.includes("--config") ? args : [...config(), ...args]);
    expect([code, out]).toEqual([2, ""]);
    expect(err).toContain(`outrider explain: `);
    expect(err).toContain(message);
  });

  it("has help that names every flag", async () => {
    const { code, out } = await run(["--help"]);
    expect(code).toBe(0);
    for (const flag of ["config", "direction", "from", "to", "header", "requests", "namespace", "labels"]) expect(out).toContain(`--${flag} `);
  });
});
