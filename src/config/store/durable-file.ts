import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { mkdir, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";

/**
 * Reads a file of ours whole.
 *
 * @throws Error when it is no regular file or larger than `maxBytes`; or the system's own, with a `code`.
 */
export function readBounded(path: string, maxBytes: number): Buffer {
  // Not blocking: a pipe in its place must not hold up the start.
  const descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  try {
    const stat = fstatSync(descriptor);
    if (!stat.isFile()) throw new Error("is not a regular file");
    if (stat.size > maxBytes) throw new Error(`is larger than ${maxBytes} bytes`);
    const buffer = Buffer.alloc(stat.size);
    let length = 0;
    for (;;) {
      const count = readSync(descriptor, buffer, length, buffer.length - length, length);
      length += count;
      if (count === 0 || length === buffer.length) return buffer.subarray(0, length);
    }
  } finally {
    closeSync(descriptor);
  }
}

/**
 * Writes a file by way of another that is synced and renamed, so that a crash leaves the old one or the new one. Only its
 * owner may read it; its folder is made if it is not there.
 */
export async function replaceFile(path: string, bytes: Uint8Array): Promise<void> {
  const folder = dirname(path);
  const temporary = `${path}.new`;
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await rm(temporary, { force: true });
  const file = await open(temporary, "wx", 0o600);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  await syncFolder(folder);
}

/** The rename itself reaches the disk; some file systems cannot be asked to. */
async function syncFolder(directory: string): Promise<void> {
  const folder = await open(directory, "r");
  try {
    await folder.sync();
  } catch {
    return; // The file is whole either way.
  } finally {
    await folder.close();
  }
}
