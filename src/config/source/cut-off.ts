import type { Problem } from "../problem.ts";
import type { FileContent } from "./parse-file.ts";

const LINE_END = 0x0a;

/** True for a proper beginning of `whole` that holds anything. */
function isBeginning(whole: Uint8Array, now: Uint8Array): boolean {
  const { length } = now;
  return length > 0 && length < whole.length && Buffer.compare(whole.subarray(0, length), now) === 0;
}

/** True where a beginning of `whole` stops within a line, though `whole` ends with one. */
function endsWithinLine(whole: Uint8Array, now: Uint8Array): boolean {
  return whole.at(-1) === LINE_END && now.at(-1) !== LINE_END && whole[now.length] !== LINE_END;
}

/**
 * `content`, parsed from `now`; or, if that is what was left when the file was cut off, a file that cannot be read, so
 * that all it held stays in force. `whole` is what the file held when it could last be read.
 *
 * Cut off is a beginning of the whole file that stops within a line, on a full disk or in a write that never ended:
 * nobody takes half a line out, and what is left may be valid (`host: rev` of `host: reviews`). So is one that stops at
 * the end of a line with an object that is not valid, for what followed is most likely not meant to be gone. A valid
 * beginning of whole lines is what somebody leaves who takes the last lines out, and counts as written.
 */
export function withoutCutOff(content: FileContent, whole: Uint8Array, now: Uint8Array): FileContent {
  if (!content.parsed.isReadable || !isBeginning(whole, now)) return content;
  const { file, objects } = content.parsed;
  const isHalf = endsWithinLine(whole, now);
  if (!isHalf && objects.every((object) => object.resource !== null)) return content;
  const line = now.reduce((count, byte) => count + (byte === LINE_END ? 1 : 0), 1);
  const where = isHalf ? "in the middle of a line, where it went on before" : "where it went on before, and what is left is not valid";
  const problem: Problem = { severity: "error", file, line, col: 1, resource: null, field: null, message: `the file ends ${where}; its objects stay in force until it is whole again` };
  const problems = [...objects.flatMap((object) => object.problems), problem];
  return { parsed: { file, isReadable: false, isMissing: false, isEmpty: false, objects: [], problems }, skipped: [] };
}
