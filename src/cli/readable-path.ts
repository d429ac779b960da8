import { statSync } from "node:fs";

import { describeSystemError } from "../config/source/folder-walk.ts";
import { UsageError } from "./command-flags.ts";

/**
 * Sees to it, before anything else is done, that a path of the command line is there.
 *
 * @param flag what the path was given to, `--config`; empty: it stands by itself.
 * @param kind `file`: a folder cannot be meant.
 * @throws UsageError with one sentence, `--config: mesh does not exist`
 */
export function requirePath(path: string, flag: string, kind: "any" | "file" = "any"): void {
  const before = flag === "" ? "" : `${flag}: `;
  let isFolder: boolean;
  try {
    isFolder = statSync(path).isDirectory();
  } catch (error) {
    throw new UsageError(`${before}${path} ${describeSystemError(error)}`);
  }
  if (kind === "file" && isFolder) throw new UsageError(`${before}${path} is a folder, not a file`);
}

/** The message of an error as a command tells it: of a file that turned out to be unreadable, which and why. */
export function describeFailure(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { path, code } = error as NodeJS.ErrnoException;
  return typeof path === "string" && code !== undefined ? `${path} ${describeSystemError(error)}` : error.message;
}
