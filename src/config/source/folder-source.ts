import type { Clock } from "../../core/clock.ts";
import type { TimerWheel } from "../../core/timer-wheel.ts";
import type { Problem } from "../problem.ts";
import { withoutCutOff } from "./cut-off.ts";
import { describeSystemError, signatureOfWalk, walkFolders } from "./folder-walk.ts";
import type { FoundFile, Walk } from "./folder-walk.ts";
import { FolderWatch } from "./folder-watch.ts";
import { ParseAhead } from "./parse-ahead.ts";
import { parseFile } from "./parse-file.ts";
import type { FileContent, SkippedObject } from "./parse-file.ts";
import type { ParsedAhead } from "./parse-thread.ts";
import type { ConfigurationSource, ParsedFile, ParsedResources } from "./parsed.ts";
import { digestOf, readBytes } from "./read-file.ts";

/** One warning per kind that nobody reads, placed at its first object. */
function skippedProblems(skipped: readonly SkippedObject[]): Problem[] {
  const byKind = new Map<string, SkippedObject[]>();
  for (const object of skipped) byKind.set(object.kind, [...(byKind.get(object.kind) ?? []), object]);
  return [...byKind].map(([kind, objects]) => {
    const first = objects[0] as SkippedObject;
    const others = objects.length === 1 ? "" : ` (${objects.length} objects)`;
    return { severity: "warning", file: first.file, line: first.line, col: 1, resource: null, field: null, message: `kind ${kind} is not read by Outrider${others}` };
  });
}

/** How often a folder that changes while it is read is read anew; the watcher tells of what follows. */
const MAX_ATTEMPTS = 3;

/** Changes of more than this are parsed on a thread of their own: smaller ones take about as long as its start. */
const PARSE_AHEAD_BYTES = 512 * 1024;

interface CachedFile {
  /** Of the walk that found it. */
  readonly signature: string;
  readonly digest: string;
  readonly content: FileContent;
  /** What the file held when it could last be read; null: it never could. */
  readonly whole: Uint8Array | null;
}

/**
 * Configuration from folders and files. Files whose bytes are the same as at the last `read` keep their parsed
 * objects, so a change of one file costs one file.
 */
export class FolderSource implements ConfigurationSource {
  readonly #paths: readonly string[];
  readonly #timers: TimerWheel;
  readonly #clock: Clock;
  #cache = new Map<string, CachedFile>();
  #signature = "";
  #watch: FolderWatch | null = null;
  readonly #parseAhead = new ParseAhead();
  /** By path; only while a change that was parsed ahead is told. */
  #ahead: ReadonlyMap<string, ParsedAhead> = new Map();

  constructor(options: { readonly paths: readonly string[]; readonly timers: TimerWheel; readonly clock: Clock }) {
    this.#paths = options.paths;
    this.#timers = options.timers;
    this.#clock = options.clock;
  }

  /**
   * All that the paths hold now: one state of them, not a part of the last and a part of the next, unless they change
   * again and again while they are read. What cannot be read is an unreadable file in the result.
   */
  read(): ParsedResources {
    let walk = walkFolders(this.#paths);
    for (let attempt = 1; ; attempt++) {
      // Taken before the bytes are, so that a change while reading shows as a change afterwards.
      this.#signature = signatureOfWalk(walk);
      const resources = this.#readAll(walk);
      walk = walkFolders(this.#paths);
      if (attempt < MAX_ATTEMPTS && signatureOfWalk(walk) !== this.#signature) continue;
      this.#watch?.wasRead();
      return resources;
    }
  }

  #readAll(walk: Walk): ParsedResources {
    const cache = new Map<string, CachedFile>();
    const files: ParsedFile[] = walk.unreadable.map(({ problem, isMissing }) => ({ file: problem.file, isReadable: false, isMissing, isEmpty: false, objects: [], problems: [problem] }));
    const skipped: SkippedObject[] = [];
    for (const found of walk.files) {
      const file = this.#readFile(found, cache);
      files.push(file.parsed);
      skipped.push(...file.skipped);
    }
    this.#cache = cache;
    return { files, problems: skippedProblems(skipped) };
  }

  /** Calls `onChange` when what `read` last gave is no longer what the paths hold, and they have come to rest. */
  watch(onChange: () => void): () => void {
    const watch = new FolderWatch({
      timers: this.#timers,
      clock: this.#clock,
      look: () => {
        const walk = walkFolders(this.#paths);
        return { signature: signatureOfWalk(walk), folders: walk.folders };
      },
      known: () => this.#signature,
      holdsSameBytes: () => this.#holdsSameBytes(),
      onChange: () => this.#prepare(onChange),
    });
    this.#watch = watch;
    watch.start();
    return () => {
      watch.stop();
      this.#parseAhead.stop();
    };
  }

  /** Has a large change parsed before it is told. What changes meanwhile is told afterwards. */
  #prepare(onChange: () => void): void {
    if (this.#parseAhead.isBusy) return;
    const changed = walkFolders(this.#paths).files.filter(({ path, signature }) => this.#cache.get(path)?.signature !== signature);
    if (changed.reduce((sum, { size }) => sum + size, 0) < PARSE_AHEAD_BYTES) return onChange();
    this.#parseAhead.parse(changed.map(({ path }) => path), (files) => {
      this.#ahead = new Map(files.map((file) => [file.path, file]));
      onChange();
      this.#ahead = new Map();
    });
  }

  #holdsSameBytes(): boolean {
    return walkFolders(this.#paths).files.every(({ path }) => {
      const known = this.#cache.get(path)?.digest ?? null;
      try {
        return digestOf(readBytes(path)) === known;
      } catch {
        return known === null;
      }
    });
  }

  #readFile({ path, signature }: FoundFile, cache: Map<string, CachedFile>): FileContent {
    let bytes: Uint8Array;
    try {
      bytes = readBytes(path);
    } catch (error) {
      const problem: Problem = { severity: "error", file: path, line: 0, col: 0, resource: null, field: null, message: describeSystemError(error) };
      return { parsed: { file: path, isReadable: false, isMissing: false, isEmpty: false, objects: [], problems: [problem] }, skipped: [] };
    }
    const digest = digestOf(bytes);
    const previous = this.#cache.get(path);
    const known = previous?.digest === digest ? previous : this.#ahead.get(path);
    const parsed = known?.digest === digest ? known.content : parseFile(path, bytes);
    const whole = previous?.whole ?? null;
    const content = whole === null ? parsed : withoutCutOff(parsed, whole, bytes);
    cache.set(path, { signature, digest, content, whole: content.parsed.isReadable ? bytes : whole });
    return content;
  }
}
