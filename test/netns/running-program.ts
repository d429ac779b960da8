import { type ChildProcess, spawn } from "node:child_process";

/** How a program ended. */
export interface Finished {
  /** Exit code; null when a signal ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Bound of what is kept of each output, so that a program gone wild cannot take the test runner with it. */
const maxOutputBytes = 32 << 20;

/** A program under way, its output kept, its end known. */
export class RunningProgram {
  readonly words: readonly string[];
  /** Resolves when it has ended; never rejects. */
  readonly finished: Promise<Finished>;
  readonly #child: ChildProcess;
  readonly #watchers = new Set<() => void>();
  readonly #stdout: Buffer[] = [];
  readonly #stderr: Buffer[] = [];
  #keptBytes = 0;
  #hasEnded = false;

  constructor(words: readonly string[], environment: NodeJS.ProcessEnv, input?: string) {
    this.words = words;
    const [program = "", ...args] = words;
    this.#child = spawn(program, args, { env: environment, stdio: ["pipe", "pipe", "pipe"] });
    this.#child.stdin?.on("error", () => {}); // It may end without reading.
    this.#child.stdin?.end(input);
    this.#child.stdout?.on("data", (chunk: Buffer) => this.#keep(this.#stdout, chunk));
    this.#child.stderr?.on("data", (chunk: Buffer) => this.#keep(this.#stderr, chunk));
    this.finished = new Promise((resolve) => {
      const end = (code: number | null, signal: NodeJS.Signals | null, reason = "") => {
        this.#hasEnded = true;
        resolve({ code, signal, stdout: this.stdout, stderr: this.stderr + reason });
        this.#tell();
      };
      this.#child.once("error", (error) => end(127, null, String(error)));
      this.#child.once("close", (code, signal) => end(code, signal));
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get stdout(): string {
    return Buffer.concat(this.#stdout).toString("utf8");
  }

  get stdoutBytes(): Buffer {
    return Buffer.concat(this.#stdout);
  }

  get stderr(): string {
    return Buffer.concat(this.#stderr).toString("utf8");
  }

  /** Complete lines of standard output so far that are JSON objects, parsed. */
  jsonLines(): Record<string, unknown>[] {
    return this.stdout
      .split("\n")
      .filter((line) => line.startsWith("{") && line.endsWith("}"))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  /** Resolves with the match once standard output or error has it; rejects, with the output, when the program ends. */
  async waitFor(pattern: RegExp): Promise<RegExpExecArray> {
    return this.waitUntil(`output matching ${String(pattern)}`, () => pattern.exec(this.stdout) ?? pattern.exec(this.stderr));
  }

  /** Resolves with the first answer that is neither null nor undefined, asked again whenever there is new output. */
  async waitUntil<T>(what: string, answer: () => T | null | undefined): Promise<T> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const found = answer();
        if (found === null || found === undefined) {
          if (!this.#hasEnded) return;
          this.#watchers.delete(look);
          reject(new Error(`${this.words.join(" ")} ended without ${what}:\n${this.stdout}\n${this.stderr}`));
          return;
        }
        this.#watchers.delete(look);
        resolve(found);
      };
      this.#watchers.add(look);
      look();
    });
  }

  /** Sends a signal, unless the program has ended. */
  signal(signal: NodeJS.Signals): void {
    if (!this.#hasEnded) this.#child.kill(signal);
  }

  /** Ends it, by SIGKILL if `signal` does not do within five seconds, and waits for the end. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<Finished> {
    this.signal(signal);
    const killer = setTimeout(() => this.signal("SIGKILL"), 5_000);
    const finished = await this.finished;
    clearTimeout(killer);
    return finished;
  }

  #keep(kept: Buffer[], chunk: Buffer): void {
    if (this.#keptBytes + chunk.length > maxOutputBytes) return;
    this.#keptBytes += chunk.length;
    kept.push(chunk);
    this.#tell();
  }

  #tell(): void {
    for (const watcher of this.#watchers) watcher();
  }
}
