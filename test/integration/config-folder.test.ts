import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, renameSync, rmSync, statSync, symlinkSync, unlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FolderSource } from "../../src/config/source/folder-source.ts";
import { parseFile } from "../../src/config/source/parse-file.ts";
import { systemClock } from "../../src/core/clock.ts";
import { TimerWheel } from "../../src/core/timer-wheel.ts";

/* The folder source over a real folder: what is read, and when a change is told (hostile D03, faults F14 and F15). */

const service = (name: string): string => `apiVersion: v1\nkind: Service\nmetadata: {name: ${name}}\nspec: {ports: [{port: 80}]}\n`;
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Writes a file about a thousand times a second, for three seconds, in a process of its own. */
const WRITER = `
  import { writeFileSync } from "node:fs";
  const [, path, text] = process.argv;
  const end = performance.now() + 3000;
  const lock = new Int32Array(new SharedArrayBuffer(4));
  for (let round = 0; performance.now() < end; round++) {
    writeFileSync(path, text.replace("ROUND", String(round)));
    Atomics.wait(lock, 0, 0, 1);
  }
  writeFileSync(path, text.replace("ROUND", "last"));`;

let folder = "";
let stop: () => void = () => undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "outrider-config-"));
});
afterEach(() => {
  stop();
  rmSync(folder, { recursive: true, force: true });
});

const write = (name: string, text: string): void => writeFileSync(join(folder, name), text);
const newSource = (...paths: string[]) => new FolderSource({ paths: paths.length === 0 ? [folder] : paths, clock: systemClock, timers: new TimerWheel(systemClock) });
const names = (source: FolderSource): string[] => source.read().files.flatMap((file) => file.objects.map((object) => object.identity?.name ?? "?"));

/** A watched source that reads on every change, as the proxy does. */
function watched(source: FolderSource = newSource()) {
  const state = { names: names(source), changes: 0 };
  stop = source.watch(() => {
    state.changes++;
    state.names = names(source);
  });
  return state;
}

/** Waits for the state a change must lead to; the time limit of the test is the only one. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await pause(20);
}

describe("what is read", () => {
  it("takes yaml, yml and json below folders, and nothing of dotfiles or others", () => {
    write("a.yaml", service("a"));
    write("b.yml", service("b"));
    write("c.json", JSON.stringify({ apiVersion: "v1", kind: "Service", metadata: { name: "c" } }));
    write(".hidden.yaml", service("hidden"));
    write("notes.txt", service("notes"));
    mkdirSync(join(folder, "sub"));
    write("sub/d.yaml", service("d"));
    expect(names(newSource())).toEqual(["a", "b", "c", "d"]);
    expect(names(newSource(join(folder, "notes.txt")))).toEqual(["notes"]);
  });

  it("follows a folder of links once, as Kubernetes mounts them, and no loop of links", () => {
    mkdirSync(join(folder, "..2026_01"));
    write("..2026_01/a.yaml", service("a"));
    symlinkSync("..2026_01", join(folder, "..data"));
    symlinkSync("..data/a.yaml", join(folder, "a.yaml"));
    symlinkSync(".", join(folder, "loop"));
    expect(names(newSource())).toEqual(["a"]);
  });

  it("names what cannot be read", () => {
    write("a.yaml", service("a"));
    symlinkSync("nowhere.yaml", join(folder, "dangling.yaml"));
    mkdirSync(join(folder, "folder.yaml"));
    const { files } = newSource(folder, join(folder, "missing")).read();
    expect(files.filter((file) => !file.isReadable).map((file) => [file.file, file.problems[0]?.message])).toEqual([
      [join(folder, "dangling.yaml"), "does not exist"],
      [join(folder, "folder.yaml"), "is an empty folder, and by its name should be a file"],
      [join(folder, "missing"), "does not exist"],
    ]);
  });

  it("gives the same objects again for a file that did not change", () => {
    write("a.yaml", service("a"));
    write("b.yaml", service("b"));
    const source = newSource();
    const first = source.read();
    write("b.yaml", service("c"));
    const second = source.read();
    expect(second.files[0]).toBe(first.files[0]);
    expect(second.files[1]).not.toBe(first.files[1]);
  });

  it("warns once of a kind that nobody reads", () => {
    write("a.yaml", "kind: Deployment\n---\nkind: Deployment\n");
    expect(newSource().read().problems.map((problem) => problem.message)).toEqual(["kind Deployment is not read by Outrider (2 objects)"]);
  });
});

describe("when a change is told", () => {
  it("tells of a new, a changed, a renamed and a deleted file", async () => {
    write("a.yaml", service("a"));
    const state = watched();
    write("b.yaml", service("b"));
    await until(() => state.names.join() === "a,b");
    write("a.yaml", service("x"));
    await until(() => state.names.join() === "x,b");
    renameSync(join(folder, "a.yaml"), join(folder, "z.yaml"));
    await until(() => state.names.join() === "b,x");
    unlinkSync(join(folder, "b.yaml"));
    await until(() => state.names.join() === "x");
  });

  it("tells of a swap of ..data", async () => {
    for (const [version, name] of [["..1", "old"], ["..2", "new"]] as const) {
      mkdirSync(join(folder, version));
      write(`${version}/a.yaml`, service(name));
    }
    symlinkSync("..1", join(folder, "..data"));
    symlinkSync("..data/a.yaml", join(folder, "a.yaml"));
    const state = watched();
    expect(state.names).toEqual(["old"]);
    symlinkSync("..2", join(folder, "..data_tmp"));
    renameSync(join(folder, "..data_tmp"), join(folder, "..data"));
    await until(() => state.names.join() === "new");
    expect(state.changes).toBe(1);
  });

  it("tells of files in folders that came later, and of a folder deleted and made again", async () => {
    const state = watched();
    mkdirSync(join(folder, "sub"));
    write("sub/a.yaml", service("a"));
    await until(() => state.names.join() === "a");
    rmSync(join(folder, "sub"), { recursive: true });
    await until(() => state.names.length === 0);
    mkdirSync(join(folder, "sub"));
    write("sub/b.yaml", service("b"));
    await until(() => state.names.join() === "b");
    write("sub/b.yaml", service("c"));
    await until(() => state.names.join() === "c");
  });

  it("tells of a change of a file that is configured by itself", async () => {
    write("only.conf", service("a"));
    const state = watched(newSource(join(folder, "only.conf")));
    expect(state.names).toEqual(["a"]);
    write("only.conf", service("b"));
    await until(() => state.names.join() === "b");
  });

  it("tells once of what an editor does: a new file renamed over the old one, or the old one moved aside", async () => {
    write("a.yaml", service("a"));
    const state = watched();
    write(".a.yaml.swp", "nothing of ours");
    write("a.yaml~new", service("b"));
    renameSync(join(folder, "a.yaml~new"), join(folder, "a.yaml"));
    await until(() => state.names.join() === "b");
    renameSync(join(folder, "a.yaml"), join(folder, "a.yaml~"));
    write("a.yaml", service("c"));
    unlinkSync(join(folder, "a.yaml~"));
    await until(() => state.names.join() === "c");
    await pause(500);
    expect(state.changes).toBe(2);
  });

  it("waits for what is half written, and never sees a file that is deleted and made again at once", async () => {
    write("a.yaml", service("a"));
    const source = newSource();
    const seen = [names(source).join()];
    stop = source.watch(() => seen.push(names(source).join()));
    unlinkSync(join(folder, "a.yaml"));
    const text = service("b");
    for (let length = 20; length < text.length; length += 20) write("a.yaml", text.slice(0, length));
    write("a.yaml", text);
    await until(() => seen.length > 1);
    expect(seen).toEqual(["a", "b"]);
  });

  it("tells of other bytes under the same inode, size and time of change", async () => {
    write("a.yaml", service("a"));
    const { atime, mtime, ino } = statSync(join(folder, "a.yaml"));
    const state = watched();
    write("a.yaml", service("b"));
    utimesSync(join(folder, "a.yaml"), atime, mtime);
    expect(statSync(join(folder, "a.yaml")).ino).toBe(ino);
    await until(() => state.names.join() === "b");
  });

  it("sees what is written at the moment of a read, though the file looks the same from outside", async () => {
    write("a.yaml", service("a"));
    const source = newSource();
    const state = watched(source);
    for (let round = 0; round < 20; round++) {
      // Within one tick of the file system's clock, and of the same length.
      state.names = names(source);
      write("a.yaml", service(round % 2 === 0 ? "b" : "c"));
    }
    await until(() => state.names.join() === "c");
  });

  it("tells of a configured folder that is removed and made again", async () => {
    const inner = join(folder, "conf");
    mkdirSync(inner);
    write("conf/a.yaml", service("a"));
    const source = newSource(inner);
    const state = watched(source);
    rmSync(inner, { recursive: true });
    await until(() => state.names.length === 0);
    expect(source.read().files).toMatchObject([{ file: inner, isReadable: false, isMissing: true }]);
    mkdirSync(inner);
    write("conf/a.yaml", service("b"));
    await until(() => state.names.join() === "b");
    write("conf/a.yaml", service("c"));
    await until(() => state.names.join() === "c");
  });

  it("takes a folder where a file was for a file that cannot be read", async () => {
    write("a.yaml", service("a"));
    const source = newSource();
    const state = watched(source);
    unlinkSync(join(folder, "a.yaml"));
    mkdirSync(join(folder, "a.yaml"));
    await until(() => state.names.length === 0);
    expect(source.read().files).toMatchObject([{ file: join(folder, "a.yaml"), isReadable: false, isMissing: false }]);
  });

  it("tells seldom while writes go on for seconds, at little cost, and of the last", async () => {
    for (let index = 0; index < 100; index++) write(`other-${index}.yaml`, service(`other-${index}`));
    write("a.yaml", service("first"));
    const state = watched();
    const cpu = process.cpuUsage();
    await promisify(execFile)(process.execPath, ["--input-type=module", "-e", WRITER, join(folder, "a.yaml"), service("sROUND")]);
    const { user, system } = process.cpuUsage(cpu);
    await until(() => state.names.includes("slast"));
    // Three seconds of writing are less than what is waited for at most; a slow machine may split them.
    expect(state.changes).toBeLessThan(6);
    expect((user + system) / 1e6).toBeLessThan(2);
  });

  it("has a large change parsed on a thread of its own", async () => {
    write("a.yaml", service("a"));
    const source = newSource();
    const state = { names: names(source), longestMs: 0 };
    stop = source.watch(() => {
      const startedAt = performance.now();
      state.names = names(source);
      state.longestMs = Math.max(state.longestMs, performance.now() - startedAt);
    });
    const many = Array.from({ length: 8_000 }, (_, index) => service(`large-${index}`)).join("---\n");
    const startedAt = performance.now();
    parseFile("a.yaml", Buffer.from(many));
    const parsingMs = performance.now() - startedAt;
    write("a.yaml", many);
    await until(() => state.names.length === 8_000);
    // It is read here, not parsed.
    expect(state.longestMs).toBeLessThan(parsingMs / 2);
    write("a.yaml", `${many}---\n${service("last")}`);
    await pause(150);
    write("a.yaml", service("b"));
    await until(() => state.names.join() === "b");
  });

  it("tells rarely of many writes that follow each other, and always of the last", async () => {
    const state = watched();
    for (let round = 0; round < 200; round++) write("a.yaml", service(`s${100 + round}`));
    await until(() => state.names.join() === "s299");
    // Far fewer than the writes: what a busy machine does to the writing loop may split it, not multiply it.
    expect(state.changes).toBeLessThan(20);
  });

  it("says nothing when nothing changed, and nothing after it was stopped", async () => {
    write("a.yaml", service("a"));
    const state = watched();
    await pause(800);
    expect(state.changes).toBe(0);
    stop();
    write("a.yaml", service("b"));
    await pause(800);
    expect(state.changes).toBe(0);
  });
});
