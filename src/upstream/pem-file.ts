import { readFileSync, statSync } from "node:fs";

const MAX_FILE_BYTES = 4 * 1024 * 1024;

/**
 * The text of a PEM file that a field of the configuration names.
 *
 * @throws {Error} naming field and file, and what is wrong with it.
 */
export function readPem(path: string, field: string): string {
  try {
    const { size } = statSync(path);
    if (size > MAX_FILE_BYTES) throw new Error(`is larger than ${MAX_FILE_BYTES} bytes`);
    const text = readFileSync(path, "latin1");
    if (!text.includes("-----BEGIN ")) throw new Error("holds no PEM");
    return text;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new Error(`${field} ${path} ${code === "ENOENT" ? "does not exist" : code === undefined ? message : `cannot be read (${code})`}`, { cause: error });
  }
}
