import { extname, join } from "node:path";
import { Worker } from "node:worker_threads";
import type { ParsedAhead } from "./parse-thread.ts";

/** Where the thread's entry is: source in a checkout, bundled in the package. */
function threadFile(): string {
  const own = import.meta.filename;
  return join(own, "..", `parse-thread${extname(own)}`);
}

/** Null where the system has no thread left. */
function startThread(paths: readonly string[]): Worker | null {
  try {
    return new Worker(threadFile(), { workerData: { paths }, name: "parse" });
  } catch {
    return null;
  }
}

/** Parses files on a thread of its own, one set at a time, so that a large change does not hold up probes and scrapes. */
export class ParseAhead {
  #worker: Worker | null = null;

  get isBusy(): boolean {
    return this.#worker !== null;
  }

  /** Calls `done` once with what was parsed: nothing where the thread failed, for it only saves time. Not while busy. */
  parse(paths: readonly string[], done: (files: readonly ParsedAhead[]) => void): void {
    const worker = startThread(paths);
    if (worker === null) return done([]);
    this.#worker = worker;
    const finish = (files: readonly ParsedAhead[]): void => {
      if (this.#worker !== worker) return;
      this.#worker = null;
      done(files);
    };
    worker.on("message", finish);
    worker.on("error", () => finish([]));
    worker.on("exit", () => finish([]));
  }

  /** What is under way is not told any more. */
  stop(): void {
    const worker = this.#worker;
    this.#worker = null;
    void worker?.terminate();
  }
}
