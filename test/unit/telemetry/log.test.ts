import { existsSync, mkdtempSync, openSync, readFileSync, rmSync, closeSync } from "node:fs";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Writable } from "node:stream";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { TimerWheel } from "../../../src/core/timer-wheel.ts";
import { LogBatches } from "../../../src/telemetry/log-batch.ts";
import { FileLogOutput, StreamLogOutput } from "../../../src/telemetry/log-output.ts";
import { formatRecord } from "../../../src/telemetry/log-record.ts";
import { Logger, isLogLevel } from "../../../src/telemetry/log.ts";
import { FakeClock } from "./fixtures.ts";

function setUp(options: ConstructorParameters<typeof Logger>[3] = {}) {
  const clock = new FakeClock();
  const timers = new TimerWheel(clock, { isDriven: true });
  const lines: string[] = [];
  const log = new Logger({ write: (line) => lines.push(line) }, clock, timers, options);
  return { clock, timers, lines, log, wait: (ms: number): void => { clock.nowMs += ms; timers.advance(); } };
}

describe("a log line", () => {
  test("is JSON with time, level, message and typed fields", () => {
    const { log, lines } = setUp();
    log.warn("certificate expires", { days: 3, isOwn: true, peer: null, path: undefined, name: "x" });
    expect(JSON.parse(lines[0] as string)).toEqual({ time: "2026-01-01T00:00:01.000Z", level: "warn", msg: "certificate expires", days: 3, isOwn: true, peer: null, name: "x" });
    expect(Object.keys(JSON.parse(lines[0] as string) as object).slice(0, 3)).toEqual(["time", "level", "msg"]);
  });

  test("is text when asked", () => {
    const { log, lines } = setUp({ format: "text" });
    log.info("listening", { address: "10.0.0.1:80", reason: 'a "b"\nc', n: 1 });
    expect(lines).toEqual([String.raw`2026-01-01T00:00:01.000Z info  listening address=10.0.0.1:80 reason="a \"b\"\nc" n=1`]);
  });

  test("cannot be forged: it stays one line of visible characters, and JSON gives the value back (hostile B31)", () => {
    const nasty = fc.string({ unit: fc.constantFrom("\n", "\r", "\u001b", "\u0000", "\u007f", "\u009b", "\u2028", "\u2029", '"', "\\", "{", "a", "é", "\ud800"), maxLength: 40 });
    fc.assert(fc.property(nasty, nasty, fc.constantFrom("json" as const, "text" as const), (name, value, format) => {
      const line = formatRecord(format, 0, "info", "m", { [name]: value });
      // eslint-disable-next-line no-control-regex
      expect(line).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/);
      if (format === "json") expect((JSON.parse(line) as Record<string, string>)[name]).toBe(value);
    }));
  });

  test("cuts values of great length", () => {
    expect(formatRecord("json", 0, "info", "m", { agent: "x".repeat(1 << 20) }).length).toBeLessThan(3000);
    expect(formatRecord("text", 0, "info", "m", { agent: "x".repeat(1 << 20) }).length).toBeLessThan(3000);
  });

  test("numbers JSON cannot say are null", () => {
    expect(JSON.parse(formatRecord("json", 0, "info", "m", { limit: Infinity, x: NaN }))).toMatchObject({ limit: null, x: null });
  });
});

describe("levels", () => {
  test("lines below the level are not written; it changes at run time", () => {
    const { log, lines } = setUp({ level: "warn" });
    log.info("a");
    log.setLevel("debug");
    log.debug("b");
    log.setLevel("error");
    log.warn("c");
    log.error("d");
    expect(lines.map((line) => (JSON.parse(line) as { msg: string }).msg)).toEqual(["b", "d"]);
  });

  test("names of levels", () => {
    expect(["debug", "info", "warn", "error", "loud", "toString"].map(isLogLevel)).toEqual([true, true, true, true, false, false]);
  });
});

describe("what a peer can cause", () => {
  test("is logged ten times a second for each message, then counted", () => {
    const { log, lines, wait } = setUp();
    for (let index = 0; index < 1000; index++) log.limited("warn", "handshake failed", { index });
    log.limited("warn", "another", {});
    expect(lines).toHaveLength(11);
    wait(1020);
    expect(JSON.parse(lines[11] as string)).toMatchObject({ level: "warn", msg: "handshake failed", suppressed: 990 });
    log.limited("warn", "handshake failed", {});
    expect(lines).toHaveLength(13);
    wait(1020);
    expect(lines).toHaveLength(13);
  });
});

describe("the output of the control thread", () => {
  test("a stream nobody reads gets a bounded queue; the rest is dropped and counted (faults F36)", () => {
    const blocked = new Writable({ write: () => undefined });
    const output = new StreamLogOutput(blocked, 10_000);
    for (let index = 0; index < 1000; index++) output.write("x".repeat(99));
    expect(blocked.writableLength).toBeLessThanOrEqual(10_100);
    expect(output.dropped).toBeGreaterThanOrEqual(899);
  });

  test("a stream that broke drops and counts", async () => {
    const stream = new PassThrough();
    const output = new StreamLogOutput(stream);
    stream.destroy(new Error("EPIPE"));
    await new Promise((resolve) => { stream.once("close", resolve); });
    output.write("a");
    expect(output.dropped).toBe(2);
  });

  test("a pipe nobody drains does not hold up the process", async () => {
    const program = `
      import { StreamLogOutput } from ${JSON.stringify(new URL("../../../src/telemetry/log-output.ts", import.meta.url).href)};
      const output = new StreamLogOutput(process.stdout);
      for (let i = 0; i < 5000; i++) output.write("x".repeat(999));
      setImmediate(() => { process.stderr.write(String(output.dropped)); process.exit(0); });`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", program], { stdio: ["ignore", "pipe", "pipe"] });
    let told = "";
    child.stderr.on("data", (chunk: Buffer) => { told += chunk.toString(); });
    child.stdout.pause();
    const [code] = await once(child, "exit") as [number];
    expect(code).toBe(0);
    expect(Number(told)).toBeGreaterThan(3000);
  });

  test("a file gets whole lines", () => {
    const folder = mkdtempSync(join(tmpdir(), "outrider-log-"));
    try {
      const path = join(folder, "log");
      const descriptor = openSync(path, "w");
      const output = new FileLogOutput(descriptor);
      output.write("a");
      output.write("é");
      closeSync(descriptor);
      expect(output.dropped).toBe(0);
      expect(readFileSync(path, "utf8")).toBe("a\né\n");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test.skipIf(!existsSync("/dev/full"))("a full disk drops and counts (faults F36)", () => {
    const descriptor = openSync("/dev/full", "w");
    const output = new FileLogOutput(descriptor);
    output.write("a");
    output.write("b");
    closeSync(descriptor);
    expect(output.dropped).toBe(2);
  });
});

describe("the output of a data thread", () => {
  test("hands lines over in batches, at the latest after a tenth of a second", () => {
    const clock = new FakeClock();
    const timers = new TimerWheel(clock, { isDriven: true });
    const batches: string[][] = [];
    const output = new LogBatches((lines) => batches.push(lines), timers);
    for (let index = 0; index < 70; index++) output.write(`line ${index}`);
    expect(batches.map((lines) => lines.length)).toEqual([64]);
    clock.nowMs += 120;
    timers.advance();
    expect(batches.map((lines) => lines.length)).toEqual([64, 6]);
    output.flush();
    expect(batches).toHaveLength(2);
  });

  test("drops when the control thread does not keep up, and goes on when it does", () => {
    const timers = new TimerWheel(new FakeClock(), { isDriven: true });
    let handed = 0;
    const output = new LogBatches((lines) => { handed += lines.length; }, timers);
    for (let index = 0; index < 10_000; index++) output.write("x");
    expect(handed).toBe(4096);
    expect(output.dropped).toBe(10_000 - 4096);
    output.acknowledge(4096);
    for (let index = 0; index < 64; index++) output.write("x");
    expect(handed).toBe(4096 + 64);
  });
});
