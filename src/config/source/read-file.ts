import { createHash } from "node:crypto";
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { MAX_FILE_BYTES } from "./yaml-text.ts";

/** The bytes of a file, at most one more than is allowed, so that a huge file costs no memory. @throws Error of the system */
export function readBytes(path: string): Uint8Array {
  const descriptor = openSync(path, "r");
  try {
    const size = Math.min(fstatSync(descriptor).size, MAX_FILE_BYTES);
    const buffer = Buffer.alloc(size + 1);
    let length = 0;
    for (;;) {
      const count = readSync(descriptor, buffer, length, buffer.length - length, length);
      length += count;
      if (count === 0 || length === buffer.length) break;
    }
    // A file that grew while it was read is read again by the watcher; here it is what it was at first.
    const isWhole = length <= size || size === MAX_FILE_BYTES;
    return buffer.subarray(0, isWhole ? length : size);
  } finally {
    closeSync(descriptor);
  }
}

/** What tells two contents of a file apart. */
export function digestOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("base64");
}
