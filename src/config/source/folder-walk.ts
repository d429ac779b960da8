import { readdirSync, realpathSync, statSync } from "node:fs";
import type { BigIntStats } from "node:fs";
import { join } from "node:path";
import type { Problem } from "../problem.ts";

/** More files than this are no configuration of one sidecar. */
const MAX_FILES = 10_000;
const MAX_FOLDER_DEPTH = 16;

/** A file to be read, with what tells two states of it apart. */
export interface FoundFile {
  readonly path: string;
  readonly signature: string;
  /** In bytes. */
  readonly size: number;
}

/** A path that could not be looked at. */
export interface UnreadablePath {
  readonly problem: Problem;
  readonly isMissing: boolean;
}

/** What lies below the configured paths. */
export interface Walk {
  readonly files: readonly FoundFile[];
  /** Folders that were visited, to be watched. */
  readonly folders: readonly string[];
  /** Paths that could not be looked at: what was last read from them, or from below, is kept. */
  readonly unreadable: readonly UnreadablePath[];
}

function obstacle(path: string, message: string, isMissing = false): UnreadablePath {
  return { isMissing, problem: { severity: "error", file: path, line: 0, col: 0, resource: null, field: null, message } };
}

const failure = (path: string, error: unknown): UnreadablePath => obstacle(path, describeSystemError(error), codeOf(error) === "ENOENT");
const codeOf = (error: unknown): string => (error instanceof Error && "code" in error ? String(error.code) : "unknown error");

/** `EACCES` as a person reads it. */
export function describeSystemError(error: unknown): string {
  const code = codeOf(error);
  const texts: Readonly<Record<string, string>> = {
    ENOENT: "does not exist", EACCES: "may not be read (permission denied)", EPERM: "may not be read (permission denied)",
    ELOOP: "is a loop of symbolic links", ENOTDIR: "is not a folder",
  };
  return texts[code] ?? `cannot be read (${code})`;
}

function signatureOf(stat: BigIntStats): string {
  return `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeNs}:${stat.ctimeNs}`;
}

/** Tests of the configuration (`outrider test`) lie beside it and are no part of it. */
export const MESH_TEST_NAME = /\.meshtest\.ya?ml$/i;

/** What is read as configuration below a folder. */
function isConfigurationName(path: string): boolean {
  return /\.(?:yaml|yml|json)$/i.test(path) && !MESH_TEST_NAME.test(path);
}

class Walker {
  readonly #isWanted: (path: string) => boolean;
  readonly files = new Map<string, FoundFile>();
  readonly folders: string[] = [];
  readonly unreadable: UnreadablePath[] = [];
  readonly #visited = new Set<string>();

  constructor(isWanted: (path: string) => boolean) {
    this.#isWanted = isWanted;
  }

  root(path: string): void {
    const stat = this.#stat(path);
    if (stat === null) return;
    if (stat.isDirectory()) this.#folder(path, 0);
    else if (stat.isFile()) this.files.set(path, { path, signature: signatureOf(stat), size: Number(stat.size) });
    else this.unreadable.push(obstacle(path, "is neither a file nor a folder"));
  }

  #stat(path: string): BigIntStats | null {
    try {
      return statSync(path, { bigint: true });
    } catch (error) {
      this.unreadable.push(failure(path, error));
      return null;
    }
  }

  #folder(path: string, depth: number): void {
    let names: string[];
    try {
      // The same folder reached twice, through a link or a loop of links, is read once.
      const real = realpathSync(path);
      if (this.#visited.has(real)) return;
      this.#visited.add(real);
      names = readdirSync(path).sort();
    } catch (error) {
      this.unreadable.push(failure(path, error));
      return;
    }
    if (depth > MAX_FOLDER_DEPTH) return void this.unreadable.push(obstacle(path, `is more than ${MAX_FOLDER_DEPTH} folders deep and is not read`));
    this.folders.push(path);
    // A mount whose source is missing makes an empty folder where a file should be.
    if (names.length === 0 && isConfigurationName(path)) return void this.unreadable.push(obstacle(path, "is an empty folder, and by its name should be a file"));
    // `..data` and the folders it points to are Kubernetes' own; the links beside them lead to the same files.
    for (const name of names) if (!name.startsWith(".")) this.#entry(join(path, name), depth);
  }

  #entry(path: string, depth: number): void {
    const isWanted = this.#isWanted(path);
    let stat: BigIntStats;
    try {
      stat = statSync(path, { bigint: true });
    } catch (error) {
      // A name that is gone between listing and looking was deleted; a link without target is somebody's mistake.
      const isGone = codeOf(error) === "ENOENT";
      if (isWanted || !isGone) this.unreadable.push(failure(path, error));
      return;
    }
    if (stat.isDirectory()) return this.#folder(path, depth + 1);
    if (!isWanted) return;
    if (!stat.isFile()) return void this.unreadable.push(obstacle(path, "is not a regular file and is not read"));
    if (this.files.size >= MAX_FILES) {
      if (this.files.size === MAX_FILES) this.unreadable.push(obstacle(path, `is one of more than ${MAX_FILES} files and is not read`));
      return;
    }
    this.files.set(path, { path, signature: signatureOf(stat), size: Number(stat.size) });
  }
}

/**
 * Every `*.yaml`, `*.yml` and `*.json` below the paths but `*.meshtest.yaml`, or every file that `isWanted`, sorted by
 * name within each folder; dotfiles are passed over, links are followed. A path that is a file is taken whatever its
 * name. Never throws.
 */
export function walkFolders(paths: readonly string[], isWanted: (path: string) => boolean = isConfigurationName): Walk {
  const walker = new Walker(isWanted);
  for (const path of paths) walker.root(path);
  return { files: [...walker.files.values()], folders: walker.folders, unreadable: walker.unreadable };
}

/** One text that changes when anything below the paths does. */
export function signatureOfWalk(walk: Walk): string {
  const files = walk.files.map((file) => `${file.path}=${file.signature}`);
  return [...files, ...walk.folders, ...walk.unreadable.map(({ problem }) => `${problem.file}!${problem.message}`)].join("\n");
}
