import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";

import { RunningProxy } from "../integration/running-proxy.ts";
import { RunningProgram } from "../netns/running-program.ts";

const ENTRY = join(import.meta.dirname, "..", "..", "bin", "outrider.ts");

function start(options: readonly string[], environment: Readonly<Record<string, string>>): RunningProgram {
  return new RunningProgram([process.execPath, ...options, ENTRY, "proxy", "--config", import.meta.dirname, "--bind", "127.0.0.1"], { PATH: process.env["PATH"], ...environment });
}

/* D08 and what is like it: a start that would give away what the proxy is for is none. */
describe("the program does not start with", () => {
  const folder = mkdtempSync(join(tmpdir(), "outrider-start-"));
  const keys = join(folder, "keys");
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it.each<readonly [string, Readonly<Record<string, string>>, readonly string[]]>([
    ["NODE_TLS_REJECT_UNAUTHORIZED", { NODE_TLS_REJECT_UNAUTHORIZED: "0" }, []],
    ["NODE_DEBUG", { NODE_DEBUG: "http,tls" }, []],
    ["NODE_DEBUG_NATIVE", { NODE_DEBUG_NATIVE: "tls" }, []],
    ["--insecure-http-parser", { NODE_OPTIONS: "--insecure-http-parser" }, []],
    ["--insecure-http-parser", { NODE_OPTIONS: '"--insecure_http\\_parser"' }, []],
    ["--insecure-http-parser", {}, ["--insecure-http-parser"]],
    ["--inspect", { NODE_OPTIONS: "--inspect=127.0.0.1:0" }, []],
    ["--inspect", {}, ["--inspect=127.0.0.1:0"]],
    ["--inspect-port", {}, ["--inspect-port=0"]],
    ["--heapsnapshot-signal", { NODE_OPTIONS: "--heapsnapshot-signal=SIGUSR2" }, []],
    ["--tls-keylog", { NODE_OPTIONS: `--tls-keylog=${keys}` }, []],
    ["--tls-min-v1.0", { NODE_OPTIONS: "--tls-min-v1.0" }, []],
    ["--tls-min-v1.1", {}, ["--tls-min-v1.1"]],
    ["--tls-cipher-list", { NODE_OPTIONS: "--tls-cipher-list=ALL" }, []],
    ["--openssl-legacy-provider", { NODE_OPTIONS: "--openssl-legacy-provider" }, []],
    ["--trace-tls", {}, ["--trace-tls"]],
  ])("%s (%j %j)", async (named, environment, options) => {
    const finished = await start(options, environment).finished;
    expect([finished.code, finished.stdout]).toEqual([2, ""]);
    // Node itself may have said something before.
    const own = finished.stderr.split("\n").filter((line) => line.startsWith("outrider: "));
    expect(own, finished.stderr).toHaveLength(1);
    expect(own[0]).toContain(named);
    expect(existsSync(keys) ? readFileSync(keys, "utf8") : "").toBe("");
  });

  it.each([
    ["what is harmless, or stricter", "--max-old-space-size=200 --tls-min-v1.3 --disable-sigusr1"],
    ["Node's own permissions", "--permission --allow-fs-read=* --allow-net --allow-worker --allow-addons"],
  ])("starts with %s (%s)", async (_what, options) => {
    const proxy = await RunningProxy.start({ files: {}, environment: { NODE_OPTIONS: options, NODE_TLS_REJECT_UNAUTHORIZED: "1" } });
    try {
      // Nor is it ended by the signal that would open the debugger.
      proxy.program.signal("SIGUSR1");
      expect((await proxy.page("/ready")).status).toBe(200);
      expect(proxy.program.stderr).not.toMatch(/debugger|denied/i);
    } finally {
      await proxy.stop();
    }
  });
});

/* B30, CVE-2026-31838 */
describe("--admin-reads", () => {
  it.each([
    ["--admin-reads token", ["--admin-reads", "token"], 'outrider proxy: --admin-reads token needs --admin-token-file or --admin-socket\n'],
    ["a word it does not know", ["--admin-reads", "closed"], 'outrider proxy: --admin-reads: "closed" is neither open nor token\n'],
  ])("is no start with %s", async (_what, flags, told) => {
    const proxy = RunningProxy.spawn({ files: {}, flags });
    try {
      expect(await proxy.program.finished).toMatchObject({ code: 2, stdout: "", stderr: told });
    } finally {
      await proxy.stop();
    }
  });

  it("by the environment: pages for whoever knows the token, and none but those of health and metrics for others", async () => {
    const folder = mkdtempSync(join(tmpdir(), "outrider-reads-"));
    const token = "correct-horse-battery-staple";
    writeFileSync(join(folder, "token"), token);
    const proxy = await RunningProxy.start({ files: {}, environment: { OUTRIDER_ADMIN_READS: "token", OUTRIDER_ADMIN_TOKEN_FILE: join(folder, "token") } });
    try {
      expect((await proxy.page("/config_dump")).status).toBe(403);
      expect((await fetch(`http://127.0.0.1:${proxy.ports.admin}/config_dump`, { headers: { authorization: `Bearer ${token}` } })).status).toBe(200);
      expect((await proxy.page("/healthz/ready", "ready")).status).toBe(200);
      expect((await proxy.page("/stats/prometheus", "metrics")).status).toBe(200);
    } finally {
      await proxy.stop();
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

/** A Node of this machine that is older than any the program runs on; undefined: there is none. */
const tooOld = (process.env["PATH"] ?? "").split(":").map((folder) => join(folder, "node"))
  .find((program) => Number(/^v(\d+)/.exec(spawnSync(program, ["--version"], { encoding: "utf8" }).stdout ?? "")?.[1] ?? Number.NaN) < 22);
if (tooOld === undefined) process.stdout.write("skipped: a Node below the floor: there is none on the PATH\n");

it.skipIf(tooOld === undefined)("the bundle does not start on a Node below the floor", async () => {
  const folder = mkdtempSync(join(tmpdir(), "outrider-floor-"));
  try {
    const built = await new RunningProgram([process.execPath, join(import.meta.dirname, "..", "..", "bin", "build.ts"), folder], process.env).finished;
    expect(built, built.stderr).toMatchObject({ code: 0 });
    const finished = await new RunningProgram([tooOld ?? "", join(folder, "outrider.cjs"), "proxy"], {}).finished;
    expect(finished).toMatchObject({ code: 2, stdout: "" });
    expect(finished.stderr).toMatch(/^outrider: Node \S+ is below the security floor [^\n]*\n$/);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
