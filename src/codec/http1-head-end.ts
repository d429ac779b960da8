import { ProxyError } from "../message/proxy-error.ts";
import { CR, HTAB, LF, SP, syntaxError } from "./http1-syntax.ts";

/** Room for the first line, every field and the empty line; a head with more lines is refused before it is read. */
const MAX_LINES = 1024;

/*
 * Where the lines of the head last found end (the offset of their CR), valid until the next search: a head is parsed
 * in the call stack that found it.
 */
export const lineEnds = new Int32Array(MAX_LINES);

/** Where a search that did not find the end of the head may go on. */
export interface HeadSearch {
  /** Offset just past the empty line, or -1. */
  end: number;
  /** How many entries of `lineEnds` are set, the empty line not counted; 0 after a search that was resumed. */
  lines: number;
  /** Offset of the first byte not yet looked at. */
  scannedTo: number;
}

/**
 * Looks for the empty line that ends the head beginning at `start`, from `from` on. Every byte is checked on the way:
 * a line ends in CR LF and nowhere else is CR, LF, NUL or another control character but HTAB (RFC 9112 section 2.2
 * lets a recipient read them in more than one way; A25-A28).
 *
 * @throws ProxyError `codec_error`, or `headers_too_large` when there are more than `maxLines` lines.
 */
export function findHeadEnd(bytes: Buffer, start: number, from: number, maxLines: number, search: HeadSearch): void {
  const length = bytes.length;
  let lines = 0;
  let index = from;
  for (; index < length; index++) {
    const byte = bytes[index] as number;
    if (byte >= SP && byte !== 127) continue;
    if (byte === CR) {
      if (index + 1 === length) break;
      if (bytes[index + 1] !== LF) throw syntaxError("CR without LF");
      if (index === start || bytes[index - 1] === LF) {
        search.end = index + 2;
        search.lines = lines;
        search.scannedTo = index + 2;
        return;
      }
      if (lines === maxLines) throw new ProxyError("headers_too_large", "too many fields");
      lineEnds[lines++] = index;
      index++;
    } else if (byte === LF) {
      throw syntaxError("LF without CR");
    } else if (byte !== HTAB) {
      throw syntaxError("control character in head");
    }
  }
  search.end = -1;
  search.lines = 0;
  search.scannedTo = index;
}

/** How many lines a head of `maxHeaders` fields may have. */
export function maxLinesOf(maxHeaders: number): number {
  return Math.min(maxHeaders + 1, MAX_LINES);
}
