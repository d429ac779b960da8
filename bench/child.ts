import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { accessSync, constants, readFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { availableParallelism } from "node:os";
import { join } from "node:path";

/** Kernel clock ticks a second in /proc (USER_HZ, 100 on every Linux architecture that Node runs on). */
const TICKS_PER_SECOND = 100;
/** How long a process may take to end before it is killed. */
const STOP_MS = 3000;

/** CPU for the proxies and CPU for load and application, so that neither takes the other's time; null without pinning. */
export const PROXY_CPU = availableParallelism() > 1 ? 0 : null;
export const LOAD_CPU = availableParallelism() > 1 ? 1 : null;

/** Memory of a process in KiB. `anonKb` is what no other process shares: the honest figure where many sidecars run. */
export interface Memory {
  readonly rssKb: number;
  readonly pssKb: number;
  readonly anonKb: number;
}

/** Full path of a program on the PATH, or in the folders where Debian puts servers; null when there is none. */
export function findProgram(name: string): string | null {
  for (const folder of [...(process.env["PATH"] ?? "").split(":"), "/usr/sbin", "/usr/local/sbin"]) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not in this folder.
    }
  }
  return null;
}

/** A TCP port nobody listens on at the moment, on loopback. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

/** A process the benchmark started and will end. */
export class Child {
  readonly name: string;
  readonly #process: ChildProcess;
  #stdout = "";
  #stderr = "";
  #exit: string | null = null;

  /** Starts `command`, on one CPU if `cpu` says so and `taskset` is there. */
  constructor(name: string, command: readonly string[], options: { cpu?: number | null; env?: Readonly<Record<string, string>> } = {}) {
    const taskset = findProgram("taskset");
    const pinned = typeof options.cpu === "number" && taskset !== null ? [taskset, "-c", String(options.cpu), ...command] : [...command];
    this.name = name;
    this.#process = spawn(pinned[0] as string, pinned.slice(1), { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...options.env } });
    this.#process.stdout?.setEncoding("utf8").on("data", (text: string) => (this.#stdout = (this.#stdout + text).slice(-65_536)));
    this.#process.stderr?.setEncoding("utf8").on("data", (text: string) => (this.#stderr = (this.#stderr + text).slice(-65_536)));
    this.#process.on("error", (error) => (this.#exit = error.message));
    this.#process.on("exit", (code, signal) => (this.#exit ??= `ended with ${signal ?? `code ${code}`}`));
  }

  /** What it wrote last. */
  get output(): { readonly stdout: string; readonly stderr: string } {
    return { stdout: this.#stdout, stderr: this.#stderr };
  }

  /** Resolves when `isReady` says so. Throws with the last line of stderr when the process ends or `timeoutMs` passes. */
  async waitUntil(isReady: () => boolean | Promise<boolean>, timeoutMs = 10_000): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    while (!(await isReady())) {
      if (this.#exit !== null) throw new Error(`${this.name} ${this.#exit}: ${this.#stderr.trim().split("\n").at(-1) ?? ""}`);
      if (performance.now() > deadline) throw new Error(`${this.name} was not ready after ${timeoutMs} ms`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Resolves with what it wrote to stdout when it ended well; throws otherwise. */
  async finished(timeoutMs: number): Promise<string> {
    await this.waitUntil(() => this.#exit === "ended with code 0", timeoutMs);
    return this.#stdout;
  }

  /** Microseconds of user and system time, all threads. */
  cpuMicros(): number {
    // The name of the process, in brackets, may hold anything; the numbers begin behind it.
    const fields = readFileSync(`/proc/${this.#process.pid}/stat`, "latin1").replace(/^.*\) /s, "").split(" ");
    return ((Number(fields[11]) + Number(fields[12])) * 1_000_000) / TICKS_PER_SECOND;
  }

  memory(): Memory {
    const rollup = readFileSync(`/proc/${this.#process.pid}/smaps_rollup`, "latin1");
    const kb = (name: string) => Number(new RegExp(`^${name}: +(\\d+) kB`, "m").exec(rollup)?.[1] ?? 0);
    return { rssKb: kb("Rss"), pssKb: kb("Pss"), anonKb: kb("Anonymous") };
  }

  /** Ends the process: politely, then not. */
  async stop(): Promise<void> {
    if (this.#exit !== null) return;
    const ended = new Promise<void>((resolve) => this.#process.once("exit", () => resolve()));
    this.#process.kill("SIGTERM");
    const timer = setTimeout(() => this.#process.kill("SIGKILL"), STOP_MS);
    await ended;
    clearTimeout(timer);
  }
}
