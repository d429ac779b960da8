import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream, type WriteStream } from "node:fs";
import { createInterface } from "node:readline";

import { systemClock } from "../core/clock.ts";
import { pause } from "../core/pause.ts";

/** How a program ended. */
export interface Ending {
  /** Null when a signal ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The end of what it wrote to standard error. */
  readonly complaint: string;
}

export interface ProgramOptions {
  readonly name: string;
  readonly words: readonly string[];
  readonly environment: NodeJS.ProcessEnv;
  /** Everything it writes goes there, up to `MAX_LOG_BYTES`. */
  readonly logFile: string;
}

/** The demo may stay up for days. */
const MAX_LOG_BYTES = 64 << 20;
const MAX_COMPLAINT_CHARACTERS = 2000;
const STOP_POLL_MS = 20;

/**
 * A program under way, read line by line. It has a process group of its own: Ctrl-C reaches the demo alone, which then
 * ends its programs in order.
 */
export class Program {
  readonly name: string;
  /** Resolves when it has ended and all it wrote was read; never rejects. */
  readonly ended: Promise<Ending>;
  readonly #child: ChildProcess;
  readonly #log: WriteStream;
  readonly #watchers = new Set<(line: string) => void>();
  #loggedBytes = 0;
  #complaint = "";
  #ending: Ending | null = null;

  constructor({ name, words, environment, logFile }: ProgramOptions) {
    this.name = name;
    this.#log = createWriteStream(logFile);
    // A full disk must not end the demo: its logs are a convenience.
    this.#log.on("error", () => undefined);
    const [file = "", ...args] = words;
    this.#child = spawn(file, args, { env: environment, stdio: ["pipe", "pipe", "pipe"], detached: true });
    const { stdin, stdout, stderr } = this.#child;
    // It may end without reading what it is told.
    stdin?.on("error", () => undefined);
    if (stdout !== null) createInterface({ input: stdout }).on("line", (line) => this.#onLine(line));
    stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#complaint = (this.#complaint + text).slice(-MAX_COMPLAINT_CHARACTERS);
      this.#keep(text);
    });
    this.ended = new Promise((resolve) => {
      const end = (code: number | null, signal: NodeJS.Signals | null): void => {
        this.#ending ??= { code, signal, complaint: this.#complaint.trim() };
        this.#log.end();
        resolve(this.#ending);
      };
      this.#child.once("error", (error) => {
        this.#complaint += error.message;
        end(127, null);
      });
      this.#child.once("close", end);
    });
  }

  /** Null when it could not be started. */
  get pid(): number | null {
    return this.#child.pid ?? null;
  }

  /** Null while it runs. */
  get ending(): Ending | null {
    return this.#ending;
  }

  /** Writes a line to its standard input. */
  tell(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  /** Calls `watch` for each line of standard output from now on. The result ends that. */
  onLine(watch: (line: string) => void): () => void {
    this.#watchers.add(watch);
    return () => this.#watchers.delete(watch);
  }

  /** The first line, from now on, that `pick` makes something of. Rejects when the program ends or time is up. */
  async line<T>(what: string, pick: (line: string) => T | null, timeoutMs: number): Promise<T> {
    let forget: () => void = () => undefined;
    const found = new Promise<T>((resolve) => {
      forget = this.onLine((line) => {
        const picked = pick(line);
        if (picked !== null) resolve(picked);
      });
    });
    const gone = this.ended.then((ending) => {
      throw new Error(`${this.name} ended before ${what}: ${describeEnding(ending)}`);
    });
    try {
      return await within(timeoutMs, `${this.name}: no ${what}`, Promise.race([found, gone]));
    } finally {
      forget();
    }
  }

  /** Asks it to end; kills it when it has not within `graceMs`. */
  async stop(graceMs: number): Promise<Ending> {
    if (this.#ending === null) this.#child.kill("SIGTERM");
    const deadlineMs = systemClock.monotonicMs() + graceMs;
    while (this.#ending === null && systemClock.monotonicMs() < deadlineMs) await pause(STOP_POLL_MS);
    this.kill();
    return this.ended;
  }

  /** Ends it at once. */
  kill(): void {
    if (this.#ending === null) this.#child.kill("SIGKILL");
  }

  #onLine(line: string): void {
    this.#keep(`${line}\n`);
    for (const watch of this.#watchers) watch(line);
  }

  #keep(text: string): void {
    if (this.#loggedBytes > MAX_LOG_BYTES) return;
    this.#loggedBytes += text.length;
    this.#log.write(text);
  }
}

/** `exit code 2: the reason`. */
export function describeEnding({ code, signal, complaint }: Ending): string {
  const how = code === null ? `signal ${signal ?? "unknown"}` : `exit code ${code}`;
  return complaint === "" ? how : `${how}: ${complaint}`;
}

/** The same promise, rejected when it is not settled in time. */
async function within<T>(timeoutMs: number, what: string, promise: Promise<T>): Promise<T> {
  let isSettled = false;
  const late = async (): Promise<never> => {
    const deadlineMs = systemClock.monotonicMs() + timeoutMs;
    while (!isSettled && systemClock.monotonicMs() < deadlineMs) await pause(Math.min(100, timeoutMs));
    throw new Error(`${what} within ${Math.round(timeoutMs / 1000)} s`);
  };
  try {
    return await Promise.race([promise, late()]);
  } finally {
    isSettled = true;
  }
}
