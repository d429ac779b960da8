/** Larger files are refused unread. */
export const MAX_FILE_BYTES = 4 * 1024 * 1024;

/** What is wrong with a file's bytes or text, and where (1-based). */
export interface TextFault {
  readonly message: string;
  readonly line: number;
  readonly col: number;
}

const startsWith = (bytes: Uint8Array, ...prefix: number[]): boolean => prefix.every((byte, index) => bytes[index] === byte);

/** The line on which bytes stop being UTF-8. */
function invalidLine(bytes: Uint8Array): number {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let line = 1;
  for (let start = 0; start < bytes.length; line++) {
    const newline = bytes.indexOf(0x0a, start);
    const end = newline < 0 ? bytes.length : newline;
    try {
      decoder.decode(bytes.subarray(start, end));
    } catch {
      return line;
    }
    start = end + 1;
  }
  return line;
}

/** Bytes of a configuration file to text: UTF-8 with or without byte order mark, and no NUL. Never throws. */
export function decodeText(bytes: Uint8Array): string | TextFault {
  if (bytes.length > MAX_FILE_BYTES) return { message: `the file is larger than ${MAX_FILE_BYTES} bytes`, line: 0, col: 0 };
  if (startsWith(bytes, 0xff, 0xfe) || startsWith(bytes, 0xfe, 0xff)) {
    return { message: "the file is UTF-16 or UTF-32; save it as UTF-8", line: 1, col: 1 };
  }
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return { message: "the file is not UTF-8 text", line: invalidLine(bytes), col: 1 };
  }
  const nul = text.indexOf("\0");
  if (nul >= 0) return { message: "the file holds a NUL character and is no text file", line: text.slice(0, nul).split("\n").length, col: 1 };
  return text;
}
