import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { AnyResource } from "../../../../src/config/kinds/kind-specs.ts";
import { parseFile } from "../../../../src/config/source/parse-file.ts";
import { StateFile } from "../../../../src/config/store/state-file.ts";

const SAMPLES = join(import.meta.dirname, "../../../../../shared/corpora/istio-samples");

let directory = "";
beforeEach(() => {
  directory = join(mkdtempSync(join(tmpdir(), "outrider-state-")), "state");
});
afterEach(() => rmSync(join(directory, ".."), { recursive: true, force: true }));

const read = (text: string): AnyResource[] => parseFile("f.yaml", new TextEncoder().encode(text)).parsed.objects.flatMap(({ resource }) => (resource === null ? [] : [resource]));
const services = (...names: string[]): AnyResource[] => read(names.map((name) => `{apiVersion: v1, kind: Service, metadata: {name: ${name}}, spec: {ports: [{port: 80}]}}`).join("\n---\n"));
const save = (file: StateFile, resources: readonly AnyResource[], savedAtMs = 7): Promise<Error | null> => new Promise((resolve) => {
  file.save(resources, savedAtMs, resolve);
});
const newFile = (version = "1.0.0"): StateFile => new StateFile(directory, version);
const reasonOf = (file: StateFile): string => {
  const found = file.load();
  return found.state === "unusable" ? found.reason : found.state;
};

describe("the state file", () => {
  it("gives back what was saved, to the position of each field", async () => {
    const resources = read(`apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, labels: {"ä": "\\u2028"}}
spec: {hosts: [reviews], http: [{timeout: 1.5s, match: [{uri: {regex: "/a.*"}}], route: [{destination: {host: reviews}}]}]}
`);
    expect(resources).toHaveLength(1);
    expect(await save(newFile(), resources)).toBeNull();
    expect(newFile().load()).toEqual({ state: "loaded", savedAtMs: 7, resources });
  });

  it.skipIf(!existsSync(SAMPLES))("loses nothing of what Istio's samples hold", async () => {
    const files = readdirSync(SAMPLES, { recursive: true, encoding: "utf8" }).filter((name) => /\.ya?ml$/.test(name));
    const resources = files.flatMap((name) => parseFile(name, readFileSync(join(SAMPLES, name))).parsed.objects).flatMap(({ resource }) => (resource === null ? [] : [resource]));
    expect(resources.length).toBeGreaterThan(100);
    await save(newFile(), resources);
    // A field that is undefined is one that is absent.
    expect(newFile().load()).toEqual({ state: "loaded", savedAtMs: 7, resources });
  });

  it("is nothing at first, readable by its owner only, and one file at any time", async () => {
    expect(newFile().load()).toEqual({ state: "none" });
    const file = newFile();
    await save(file, services("a"));
    await save(file, services("a", "b"));
    expect(readdirSync(directory)).toEqual(["last-good-configuration.json"]);
    expect([statSync(file.path).mode & 0o777, statSync(directory).mode & 0o777]).toEqual([0o600, 0o700]);
    expect(newFile().load()).toMatchObject({ resources: services("a", "b") });
  });

  it("takes no notice of what a write that was cut off left behind", async () => {
    mkdirSync(directory);
    writeFileSync(`${newFile().path}.new`, "half", { mode: 0o644 });
    expect(newFile().load()).toEqual({ state: "none" });
    await save(newFile(), services("a"));
    expect(readdirSync(directory)).toEqual(["last-good-configuration.json"]);
    expect(statSync(newFile().path).mode & 0o777).toBe(0o600);
  });

  it("writes the last of many, and what is on disk already not again", async () => {
    const file = newFile();
    const told: (Error | null)[] = [];
    for (const name of ["a", "b", "c"]) file.save(services(name), 1, (error) => told.push(error));
    await file.settled();
    expect(newFile().load()).toMatchObject({ resources: services("c") });
    expect(told).toEqual([null]);
    const before = statSync(file.path).ino;
    await save(file, services("c"), 99);
    const next = newFile();
    next.load();
    await save(next, services("c"), 99);
    expect([statSync(file.path).ino, newFile().load()]).toEqual([before, expect.objectContaining({ savedAtMs: 1 })]);
  });

  it("refuses what is damaged, foreign, newer, or another version's, and says which", async () => {
    const file = newFile();
    await save(file, services("a"));
    const good = readFileSync(file.path, "utf8");
    const cases: [string, string][] = [
      [good.slice(0, -5), "is damaged"], [good.replace('"a"', '"b"'), "is damaged"], [`${good} `, "is damaged"], [good.slice(0, good.indexOf("\n") + 1), "is damaged"],
      ["", "was not written by Outrider"], ["{}\n[]", "was not written by Outrider"], ["null\n", "was not written by Outrider"], ["\0\x01\x02", "was not written by Outrider"],
      [good.replace('"format":1', '"format":2'), "has format 2, this version of Outrider reads 1"],
    ];
    for (const [text, reason] of cases) {
      writeFileSync(file.path, text);
      expect(reasonOf(newFile())).toContain(reason);
    }
    writeFileSync(file.path, good);
    expect(reasonOf(newFile("2.0.0"))).toBe("was written by Outrider 1.0.0, this is 2.0.0");
    for (let length = 0; length < good.length; length += 7) {
      writeFileSync(file.path, good.slice(0, length));
      expect(newFile().load().state).toBe("unusable");
    }
    // What was not used is replaced.
    await save(newFile(), services("b"));
    expect(newFile().load()).toMatchObject({ resources: services("b") });
  });

  it("reads nothing that is no file of bounded size", () => {
    mkdirSync(join(directory, "last-good-configuration.json"), { recursive: true });
    expect(reasonOf(newFile())).toBe("is not a regular file");
    rmSync(directory, { recursive: true });
    mkdirSync(directory);
    symlinkSync("/dev/zero", newFile().path);
    expect(reasonOf(newFile())).toBe("cannot be read (ELOOP)");
    rmSync(newFile().path);
    appendFileSync(newFile().path, Buffer.alloc(65 * 1024 * 1024));
    expect(reasonOf(newFile())).toContain("is larger than");
  });

  it("tells that it could not write", async () => {
    writeFileSync(directory, "a file where the folder should be");
    const file = newFile();
    expect((await save(file, services("a")))?.message).toMatch(/EEXIST|ENOTDIR/);
    rmSync(directory);
    expect(await save(file, services("a"))).toBeNull();
  });
});
