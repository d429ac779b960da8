import { join } from "node:path";

import { readBounded, replaceFile } from "../config/store/durable-file.ts";
import type { Clock } from "../core/clock.ts";
import { type JsonWebKeySpec, readKeySet } from "../core/json-web-key-set.ts";
import { parseStrictObject } from "../core/strict-json.ts";
import type { Logger } from "../telemetry/log.ts";

const NAME = "token-keys.json";
const FORMAT = 1;
/** More sources with more keys than any workload has rules. */
const MAX_BYTES = 4 * 1024 * 1024;
/** Older ones are not used: an issuer may have taken them back long ago, and nobody has asked since. */
const MAX_AGE_MS = 24 * 60 * 60_000;
/** What may be written ahead of our clock: two hosts differ, and a container may have been moved. */
const MAX_AHEAD_MS = 5 * 60_000;

/** The keys of one source, and when they were fetched by the wall clock, in milliseconds. */
export interface FetchedKeySet {
  readonly keys: readonly JsonWebKeySpec[];
  readonly fetchedAtMs: number;
}

/** By the name of the source. */
export type FetchedKeySets = ReadonlyMap<string, FetchedKeySet>;

interface SavedKeysOptions {
  /** `--state`. */
  readonly directory: string;
  readonly clock: Clock;
  readonly log: Pick<Logger, "info" | "warn" | "error">;
}

/**
 * The keys that were fetched, on disk, for a start at which their sources do not answer. They are public: what verifies
 * a signature and makes none. Nothing here keeps the proxy from serving, and nothing that is not found is made up.
 */
export class SavedKeys {
  readonly #path: string;
  readonly #options: SavedKeysOptions;
  #next: FetchedKeySets | null = null;
  #writing: Promise<void> | null = null;
  /** Why they could not be written the last time; null where they could. */
  #failure: string | null = null;

  constructor(options: SavedKeysOptions) {
    this.#options = options;
    this.#path = join(options.directory, NAME);
  }

  /** What an earlier run had, the too old left out; empty where nothing usable is there. Never throws. */
  load(): FetchedKeySets {
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
    const nowMs = this.#options.clock.wallMs();
    return new Map(sources.flatMap((entry: unknown) => readSource(entry, nowMs) ?? []));
  }

  /** Writes in the background; of several calls while a write is under way the last counts. */
  save(sets: FetchedKeySets): void {
    this.#next = sets;
    this.#writing ??= this.#writeAll();
  }

  /** Resolves when nothing is being written any more. */
  async settled(): Promise<void> {
    await this.#writing;
  }

  async #writeAll(): Promise<void> {
    // Not in the call that asks: the data threads get the keys first.
    await Promise.resolve();
    while (this.#next !== null) {
      const sources = [...this.#next].map(([name, { keys, fetchedAtMs }]) => ({ name, fetchedAtMs, keys }));
      this.#next = null;
      let failure: string | null = null;
      try {
        await replaceFile(this.#path, Buffer.from(JSON.stringify({ format: FORMAT, sources }), "utf8"));
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
    if (failure === null) this.#options.log.info("keys of issuers saved again", { file: this.#path });
    else this.#options.log.error("keys of issuers not saved", { file: this.#path, reason: failure });
  }

  #unusable(reason: string): void {
    this.#options.log.warn("saved keys of issuers not used", { file: this.#path, reason });
  }
}

function readSource(entry: unknown, nowMs: number): [[string, FetchedKeySet]] | null {
  if (typeof entry !== "object" || entry === null) return null;
  const { name, fetchedAtMs, keys } = entry as Readonly<Record<string, unknown>>;
  if (typeof name !== "string" || typeof fetchedAtMs !== "number") return null;
  const ageMs = nowMs - fetchedAtMs;
  if (!(ageMs <= MAX_AGE_MS && ageMs >= -MAX_AHEAD_MS)) return null;
  // By the rules for what is fetched: no secret is ever a key.
  const read = readKeySet(JSON.stringify({ keys }), false);
  return read === null || read.length === 0 ? null : [[name, { keys: read, fetchedAtMs }]];
}
