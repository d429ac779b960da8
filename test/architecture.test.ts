import { existsSync, readdirSync, readFileSync } from "node:fs";
import { posix } from "node:path";

import { describe, expect, it } from "vitest";

import { bannedCalls } from "./architecture/banned-calls.ts";
import { importFaults } from "./architecture/floors.ts";
import { hostileIds, testNames } from "./architecture/hostile-rows.ts";
import { importsOf } from "./architecture/imports.ts";
import { lengthFaults, lockfileFaults, machinePaths, readmeFaults, topLevelFaults } from "./architecture/layout.ts";
import { readSource } from "./architecture/source-text.ts";

const root = new URL("../", import.meta.url);

/** Files below a folder of the checkout, as paths from its root. */
function filesBelow(folder: string): string[] {
  return readdirSync(new URL(folder, root), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => posix.relative(root.pathname, posix.join(entry.parentPath, entry.name)))
    .filter((file) => !/(?:^|\/)(?:node_modules|dist)\//.test(file));
}

function existing(...names: string[]): string[] {
  const entries = readdirSync(root);
  return names.filter((name) => entries.includes(name));
}

const read = (file: string): string => readFileSync(new URL(file, root), "utf8");
const sources = existing("src", "init")
  .flatMap((folder) => filesBelow(`${folder}/`))
  .filter((file) => file.endsWith(".ts"))
  .map((file) => readSource(file, read(file)));

describe("architecture", () => {
  it("imports go down the floors and never in a circle", () => {
    expect(importFaults(sources.flatMap(importsOf))).toEqual([]);
  });

  it("calls are made where they are at home", () => {
    expect(sources.flatMap(bannedCalls)).toEqual([]);
  });

  it("files are short, or say why not", () => {
    expect(sources.flatMap(lengthFaults)).toEqual([]);
  });

  it("src/README.md names every folder of src/ and no other", () => {
    const folders = new Set(sources.map((source) => /^src\/([^/]+)\//.exec(source.path)?.[1]).filter((name) => name !== undefined));
    expect(readmeFaults(read("src/README.md"), [...folders])).toEqual([]);
  });

  it("the top level holds what it may and nothing else", () => {
    expect(topLevelFaults(readdirSync(root))).toEqual([]);
  });

  it("the lockfile serves every platform and any registry", () => {
    expect(lockfileFaults(JSON.parse(read("package-lock.json")) as Parameters<typeof lockfileFaults>[0])).toEqual([]);
  });

  it("no file names a path of somebody's machine", () => {
    const folders = existing("src", "init", "bin", "bench", "test", "docs", "examples", ".ci");
    const files = [...folders.flatMap((folder) => filesBelow(`${folder}/`)), ...existing("README.md", "Dockerfile", "package.json")];
    const texts = files.filter((file) => /(?:\.(?:ts|md|json|ya?ml|sh|html|css)|^[^.]*|\.ci\/[^/]*)$/.test(file));
    expect(texts.flatMap((file) => machinePaths(file, read(file)))).toEqual([]);
  });
});

/** The list lies beside the checkout, where there is one; it is never copied in. */
describe("hostile input", () => {
  const list = new URL("../shared/hostile.md", root);

  it.skipIf(!existsSync(list))("every row of section B and every bug of others has a test named after it (skipped without ../shared/hostile.md)", () => {
    const names = filesBelow("test/").filter((file) => file.endsWith(".ts") && !file.startsWith("test/architecture")).map((file) => testNames(read(file))).join("\n");
    const ids = hostileIds(readFileSync(list, "utf8"));
    expect(ids.length).toBeGreaterThan(130);
    expect(ids.filter(({ pattern }) => !pattern.test(names)).map(({ name }) => name)).toEqual([]);
  });

  it("ids are found however a row writes them, and names in texts alone", () => {
    const found = hostileIds("| B07 | x |\n| B08 x |\n| CVE-2019-9511…9513, 2020-11080 (SETTINGS), 2021-32778 | CVE-2022-32213–15, 35256 | ISTIO-2021-001, 2 xyz |");
    expect(found.map(({ name }) => name)).toEqual([
      "B07", "CVE-2019-9511", "CVE-20xx-9512", "CVE-20xx-9513", "CVE-2020-11080", "CVE-2021-32778", "CVE-2022-32213", "CVE-20xx-32214", "CVE-20xx-32215", "CVE-20xx-35256", "ISTIO-2021-001",
    ]);
    expect(testNames('it("B01 x", f); // B02\n/* B03 */ it.each([["B04"]])(`B05`)').match(/B\d\d/g)).toEqual(["B01", "B04", "B05"]);
    expect(found.find(({ name }) => name === "CVE-20xx-9512")?.pattern.test("CVE-2019-95120")).toBe(false);
  });
});

/** A rule that finds nothing may be one that looks at nothing: each is shown something wrong. */
describe("the rules find what they are for", () => {
  const faults = (path: string, text: string) => importFaults(importsOf(readSource(path, text)));

  it.each([
    ["src/core/a.ts", 'import { b } from "../message/b.ts";', "not below"],
    ["src/codec/a.ts", 'import type { B } from "../http/b.ts";', "not below"],
    ["src/message/a.ts", 'export type { B } from "../identity/b.ts";', "not below"],
    ["src/router/a.ts", 'const b = await import("../http/b.ts");', "not below"],
    ["src/router/a.ts", 'let b: import("../http/b.ts").B;', "not below"],
    ["src/http/a.ts", 'import {\n  b,\n} from "../connection/b.ts";', "not below"],
    ["src/http/a.ts", 'import "../listener/b.ts";', "not below"],
    ["src/config/source/a.ts", 'import { b } from "../compile/b.ts";', "not below"],
    ["src/config/snapshot.ts", 'import { b } from "../identity/b.ts";', "not below"],
    ["src/inbound.ts", 'import { b } from "./outbound.ts";', "not below"],
    ["src/router/a.ts", 'import type { B } from "../config/kinds/b.ts";', "only snapshot.ts and its parts"],
    ["src/router/a.ts", 'import type { B } from "../../init/plan.ts";', "for src/cli/ alone"],
    ["init/a.ts", 'import type { B } from "../src/message/b.ts";', "only core/"],
    ["src/surprise/a.ts", 'import { b } from "../core/b.ts";', "on no floor"],
  ])("%s: %s", (path, text, reason) => {
    expect(faults(path, text)).toEqual([expect.stringContaining(reason)]);
  });

  it.each([
    ["src/http/a.ts", 'import { b } from "../core/b.ts"; import { c } from "./c.ts";'],
    ["src/router/a.ts", 'import type { Snapshot } from "../config/snapshot.ts";'],
    ["src/config/compile/a.ts", 'import { b } from "../kinds/b.ts"; import { c } from "../snapshot.ts";'],
    ["src/core/a.ts", '// import { b } from "../http/b.ts";\nconst text = \'import { b } from "../http/b.ts"\';'],
    ["src/cli/a.ts", 'import { b } from "../main.ts"; import { c } from "../../init/c.ts";'],
  ])("allows %s: %s", (path, text) => {
    expect(faults(path, text)).toEqual([]);
  });

  it("cycles", () => {
    const sample = ["a", "b", "c"].map((name, at, all) =>
      readSource(`src/http/${name}.ts`, `import type { X } from "./${all[(at + 1) % 3]}.ts";`),
    );
    expect(importFaults(sample.flatMap(importsOf))).toEqual([
      "import cycle: src/http/a.ts -> src/http/b.ts -> src/http/c.ts -> src/http/a.ts",
    ]);
  });

  it.each([
    ["src/http/a.ts", "const port = process.env.PORT;"],
    ["src/http/a.ts", "const { argv } = process; process.argv[2];"],
    ["src/http/a.ts", 'process.on("SIGTERM", stop);'],
    ["src/http/a.ts", "const now = Date.now();"],
    ["src/http/a.ts", "log(new Date());"],
    ["src/cli/a.ts", "const now = performance.now();"],
    ["src/http/a.ts", "setTimeout(retry, 100);"],
    ["src/http/a.ts", 'import { setTimeout } from "node:timers/promises";'],
    ["src/http/a.ts", "if (Math.random() < 0.1) eject();"],
    ["src/http/a.ts", "const text = `${Math.random()}`;"],
    ["src/listener/a.ts", "socket._handle.fd;"],
    ["src/cli/a.ts", 'console.log("hello");'],
    ["src/http/a.ts", "function f(value: any): void {}"],
    ["src/http/a.ts", "const value = parsed as any;"],
    ["src/http/a.ts", "const list: Array<any> = [];"],
  ])("banned in %s: %s", (path, text) => {
    expect(bannedCalls(readSource(path, text))).toHaveLength(1);
  });

  it.each([
    ["src/cli/a.ts", "const port = process.env.PORT;"],
    ["src/core/a.ts", "Date.now(); setTimeout(f, 1); Math.random();"],
    ["src/http/a.ts", '// Date.now() would do\nconst text = "Math.random()"; const pattern = /console.log/;'],
    ["src/http/a.ts", "wheel.setTimeout(f, 1); socket.setTimeout(0);"],
    ["src/http/a.ts", "const first = await Promise.any(list); const half = a / b / c; // any"],
  ])("allowed in %s: %s", (path, text) => {
    expect(bannedCalls(readSource(path, text))).toEqual([]);
  });

  it("long files, unless they argue", () => {
    const long = "const a = 1;\n".repeat(401);
    expect(lengthFaults(readSource("src/http/a.ts", long))).toHaveLength(1);
    expect(lengthFaults(readSource("src/http/a.ts", `/** A table. Longer than 400 lines because it is one table. */\n${long}`))).toEqual([]);
  });

  it("a lockfile made for one machine", () => {
    const packages = { "node_modules/a": { optionalDependencies: { "a-linux": "1.0.0", "a-mac": "1.0.0" } }, "node_modules/a-linux": { resolved: "https://registry.example/" } };
    expect(lockfileFaults({ packages })).toHaveLength(2);
  });

  it("folders that come and go", () => {
    expect(readmeFaults("- `core/`: a\n- `gone/`: b\n", ["core", "new"])).toHaveLength(2);
    expect(topLevelFaults(["src", "scripts"])).toHaveLength(1);
    expect(machinePaths("docs/a.md", `see /${"home"}/somebody/notes`)).toHaveLength(1);
  });
});
