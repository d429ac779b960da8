import { type ChildProcess, spawn } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { Demo } from "../../src/demo/demo.ts";

const TIMEOUT_MS = 300_000;
const root = fileURLToPath(new URL("../../", import.meta.url));
const program = join(root, "bin", "outrider.ts");

/** Where the demos of one test put their folders. */
let temporary: string;
let children: ChildProcess[];

beforeEach(() => {
  temporary = mkdtempSync(join(tmpdir(), "outrider-demos-"));
  children = [];
});

afterEach(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(temporary, { recursive: true, force: true });
});

interface RunningDemo {
  readonly child: ChildProcess;
  /** Exit code, or the signal's name. */
  readonly ended: Promise<number | string>;
  readonly output: () => string;
}

function startDemo(...args: string[]): RunningDemo {
  const environment = { ...process.env, TMPDIR: temporary, OUTRIDER_ADMIN_PORT: "not a port" };
  const child = spawn(process.execPath, [program, "demo", ...args], { cwd: temporary, env: environment, stdio: ["ignore", "pipe", "pipe"] });
  children.push(child);
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text: string) => (output += text));
  const ended = new Promise<number | string>((resolve) => child.once("close", (code, signal) => resolve(code ?? signal ?? "")));
  return { child, ended, output: () => output };
}

async function outputOf(demo: RunningDemo, text: string): Promise<void> {
  const gone = demo.ended.then((how) => {
    throw new Error(`ended with ${how} before it said ${text}:\n${demo.output()}`);
  });
  await Promise.race([expect.poll(demo.output, { timeout: TIMEOUT_MS }).toContain(text), gone]);
}

/** Processes of demos that have their folder where this test has told them to. */
function processesLeft(): string[] {
  const left: string[] = [];
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const words = readFileSync(join("/proc", pid, "cmdline"), "utf8").replaceAll("\0", " ");
      const isOurs = readFileSync(join("/proc", pid, "environ"), "utf8").includes(`TMPDIR=${temporary}`);
      if (isOurs) left.push(words);
    } catch {
      // It ended meanwhile, or is somebody else's.
    }
  }
  return left;
}

const hasProc = process.platform === "linux";

describe("outrider demo", { timeout: TIMEOUT_MS }, () => {
  it("--once: tells the story, all of which holds, and leaves nothing behind", async () => {
    const demo = startDemo("--once");
    expect(await demo.ended, demo.output()).toBe(0);
    expect(demo.output()).toContain("All 14 claims held");
    expect(demo.output().match(/^ {3}ok {4}/gm)).toHaveLength(14);
    expect(demo.output()).not.toContain("\x1b");
    expect(readdirSync(temporary)).toEqual([]);
    if (hasProc) expect(processesLeft()).toEqual([]);
  });

  it("says which claim does not hold, tells the rest, and has failed", async () => {
    const examples = join(temporary, "examples");
    cpSync(join(root, "examples", "demo"), examples, { recursive: true });
    const security = join(examples, "mesh", "security.yaml");
    writeFileSync(security, readFileSync(security, "utf8").replace("sa/productpage\"", "sa/productpage\", \"cluster.local/ns/default/sa/visitor\""));
    let output = "";
    const told = new Demo({
      setting: { outrider: [process.execPath, program], node: [process.execPath], examples, environment: process.env },
      output: { write: (text) => (output += text), hasColours: false },
      isCaptured: false, isOnce: true, isFolderKept: false,
    });
    expect(await told.run(new Promise(() => undefined)), output).toBe(false);
    expect(output).toMatch(/FAIL {2}visitor has an identity, but nobody lets it in\n +seen: 200 /);
    expect(output).toContain("1 of 14 claims did not hold");
  });

  it("stays up, and ends at Ctrl-C with nothing left behind", async () => {
    const demo = startDemo();
    await outputOf(demo, "until Ctrl-C");
    await outputOf(demo, "logs, an access log line");
    const [, page = ""] = /curl -sS (http:\S+)\/certs/.exec(demo.output()) ?? [];
    expect((await fetch(`${page}/ready`)).status).toBe(200);
    demo.child.kill("SIGINT");
    expect(await demo.ended).toBe(0);
    expect(readdirSync(temporary)).toEqual([]);
    if (hasProc) expect(processesLeft()).toEqual([]);
  });

  it("interrupted during the story it says so, and leaves nothing behind", async () => {
    const demo = startDemo("--once");
    await outputOf(demo, "Ready after");
    demo.child.kill("SIGTERM");
    expect(await demo.ended).toBe(130);
    expect(readdirSync(temporary)).toEqual([]);
    if (hasProc) expect(processesLeft()).toEqual([]);
  });

  it("killed outright, its programs and its folder still go", async () => {
    const demo = startDemo();
    await outputOf(demo, "Ready after");
    demo.child.kill("SIGKILL");
    await expect.poll(() => readdirSync(temporary), { timeout: 60_000 }).toEqual([]);
    if (hasProc) await expect.poll(processesLeft, { timeout: 60_000 }).toEqual([]);
  });

  it("refuses an option it does not know, and --capture without root", async () => {
    const wrong = startDemo("--twice");
    expect(await wrong.ended).toBe(2);
    expect(wrong.output()).toMatch(/^outrider demo: [^\n]*--twice[^\n]*\n$/);
    if (process.getuid?.() === 0) return;
    const capture = startDemo("--capture");
    expect(await capture.ended).toBe(2);
    expect(capture.output()).toMatch(/^outrider demo: --capture needs [^\n]*\n$/);
  });
});
