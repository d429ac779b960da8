import { join } from "node:path";

import { readBounded, replaceFile } from "../config/store/durable-file.ts";
import type { Clock } from "../core/clock.ts";
import { parseStrictObject } from "../core/strict-json.ts";
import type { Logger } from "../telemetry/log.ts";

const FORMAT = 1;
/** More than any workload's sources give. */
const MAX_BYTES = 4 * 1024 * 1024;
/** Older ones are not used: whoever published them may have taken them back long ago, and nobody has asked since. */
const MAX_AGE_MS = 24 * 60 * 60_000;
/** What may be written ahead of our clock: two hosts differ, and a container may have been moved. */
const MAX_AHEAD_MS = 5 * 60_000;

/** What one source gave, and when by the wall clock, in milliseconds. Plain data. */
export interface Fetched {
  readonly fetchedAtMs: number;
}

export interface SavedFetchesOptions {
  /** `--state`. */
  readonly directory: string;
  readonly clock: Clock;
  readonly log: Pick<Logger, "info" | "warn" | "error">;
}

/** What is kept, where, and how it is read back. */
export interface SavedKind<T extends Fetched> {
  /** Name of the file. */
  readonly file: string;
  /** For the log: `keys of issuers`. */
  readonly what: string;
  /** One entry of the file by the rules for what is fetched; null for one that is not used. */
  readonly read: (fields: Readonly<Record<string, unknown>>, fetchedAtMs: number) => T | null;
}

/**
 * What was fetched, on disk, for a start at which its sources do not answer. Nothing here keeps the proxy from serving, and
 * nothing that is not found is made up.
 */
export class SavedFetches<T extends Fetched> {
  readonly #kind: SavedKind<T>;
  readonly #options: SavedFetchesOptions;
  readonly #path: string;
  #next: ReadonlyMap<string, T> | null = null;
  #writing: Promise<void> | null = null;
  /** Why they could not be written the last time; null where they could. */
  #failure: string | null = null;

  constructor(kind: SavedKind<T>, options: SavedFetchesOptions) {
    this.#kind = kind;
    this.#options = options;
    this.#path = join(options.directory, kind.file);
  }

  /** What an earlier run had, by the name of the source, the too old left out; empty where nothing usable is there. Never throws. */
  load(): ReadonlyMap<string, T> {
    let text: string;
    try {
      text = readBounded(this.#path, MAX_BYTES).toString("utf8");
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (code !== "ENOENT") this.#unusable(code === undefined ? message : `cannot be read (${code})`);
      return new Map();
    }
    const saved = parseStrictObject(text);
    const sources: unknown = saved?.["sources"];
    if (saved?.["format"] !== FORMAT || !Array.isArray(sources)) {
      this.#unusable("was not written by this version of Outrider, or is damaged");
      return new Map();
    }
    return new Map(sources.flatMap((entry: unknown) => this.#read(entry) ?? []));
  }

  /** Writes in the background; of several calls while a write is under way the last counts. */
  save(fetched: ReadonlyMap<string, T>): void {
    this.#next = fetched;
    this.#writing ??= this.#writeAll();
  }

  /** Resolves when nothing is being written any more. */
  async settled(): Promise<void> {
    await this.#writing;
  }

  #read(entry: unknown): [[string, T]] | null {
    if (typeof entry !== "object" || entry === null) return null;
    const fields = entry as Readonly<Record<string, unknown>>;
    const { name, fetchedAtMs } = fields;
    if (typeof name !== "string" || typeof fetchedAtMs !== "number") return null;
    const ageMs = this.#options.clock.wallMs() - fetchedAtMs;
    if (!(ageMs <= MAX_AGE_MS && ageMs >= -MAX_AHEAD_MS)) return null;
    const read = this.#kind.read(fields, fetchedAtMs);
    return read === null ? null : [[name, read]];
  }

  async #writeAll(): Promise<void> {
    // Not in the call that asks: the data threads get what is new first.
    await Promise.resolve();
    while (this.#next !== null) {
      const sources = [...this.#next].map(([name, { fetchedAtMs, ...rest }]) => ({ name, fetchedAtMs, ...rest }));
      this.#next = null;
      let failure: string | null = null;
      try {
        const bytes = Buffer.from(JSON.stringify({ format: FORMAT, sources }), "utf8");
        // No start would read it: what is there already is better than that.
        if (bytes.length > MAX_BYTES) throw new Error(`would be ${bytes.length} bytes, at most ${MAX_BYTES} are read`);
        await replaceFile(this.#path, bytes);
      } catch (error) {
        failure = (error as Error).message;
      }
      this.#tell(failure);
    }
    this.#writing = null;
  }

  #tell(failure: string | null): void {
    if (failure === this.#failure) return;
    this.#failure = failure;
    const { log } = this.#options;
    if (failure === null) log.info(`${this.#kind.what} saved again`, { file: this.#path });
    else log.error(`${this.#kind.what} not saved`, { file: this.#path, reason: failure });
  }

  #unusable(reason: string): void {
    this.#options.log.warn(`saved ${this.#kind.what} not used`, { file: this.#path, reason });
  }
}
