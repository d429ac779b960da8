import { fstatSync, writeSync } from "node:fs";
import type { Writable } from "node:stream";
import type { LogSink } from "./log.ts";

/** Lines waiting for a reader that does not read; beyond it they are dropped. */
const MAX_QUEUED_BYTES = 1 << 20;

/**
 * Writes lines to a stream that may block or break (a log pipe nobody drains, faults F36): never waits, keeps a
 * bounded queue, drops and counts the rest.
 */
export class StreamLogOutput implements LogSink {
  /** Lines dropped so far. */
  dropped = 0;
  readonly #stream: Writable;
  readonly #maxQueuedBytes: number;

  constructor(stream: Writable, maxQueuedBytes = MAX_QUEUED_BYTES) {
    this.#stream = stream;
    this.#maxQueuedBytes = maxQueuedBytes;
    // Without a listener the end of the log collector would be the end of the proxy.
    stream.on("error", () => this.dropped++);
  }

  write(line: string): void {
    if (!this.#stream.writable || this.#stream.writableLength + line.length > this.#maxQueuedBytes) {
      this.dropped++;
      return;
    }
    this.#stream.write(`${line}\n`);
  }
}

/** Writes lines to a file by its descriptor. A full disk drops lines; when there is room again, they are written. */
export class FileLogOutput implements LogSink {
  dropped = 0;
  readonly #descriptor: number;
  /** True when the last line was written in part: the next one must not continue it. */
  #isTorn = false;

  constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  write(line: string): void {
    const bytes = Buffer.from(this.#isTorn ? `\n${line}\n` : `${line}\n`, "utf8");
    let written = 0;
    try {
      written = writeSync(this.#descriptor, bytes);
    } catch {
      // The disk is full or the descriptor is gone; `dropped` tells of it in the metrics.
    }
    if (written < bytes.length) this.dropped++;
    if (written > 0) this.#isTorn = written < bytes.length;
  }
}

/**
 * The output for the process's stdout. A stream is kept for pipes and terminals; a regular file is written directly,
 * because a stream does not recover from one failed write.
 */
export function stdoutLogOutput(stream: Writable & { readonly fd: number }): StreamLogOutput | FileLogOutput {
  let isFile = false;
  try {
    isFile = fstatSync(stream.fd).isFile();
  } catch {
    // A closed descriptor is no file; the stream tells of its error by event.
  }
  return isFile ? new FileLogOutput(stream.fd) : new StreamLogOutput(stream);
}
