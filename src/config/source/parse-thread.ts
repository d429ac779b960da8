import { parentPort, workerData } from "node:worker_threads";
import { parseFile } from "./parse-file.ts";
import type { FileContent } from "./parse-file.ts";
import { digestOf, readBytes } from "./read-file.ts";

/** A file parsed on a thread of its own; whoever reads the same bytes may take its content. */
export interface ParsedAhead {
  readonly path: string;
  readonly digest: string;
  readonly content: FileContent;
}

/*
 * Entry of that thread: parses the files it is given, tells, and ends, which gives its memory back. A file that cannot be
 * read is left to whoever reads it next.
 */
const files = (workerData as { readonly paths: readonly string[] }).paths.flatMap((path): ParsedAhead[] => {
  try {
    const bytes = readBytes(path);
    return [{ path, digest: digestOf(bytes), content: parseFile(path, bytes) }];
  } catch {
    return [];
  }
});
parentPort?.postMessage(files);
