import type { Snapshot } from "../config/snapshot.ts";

export type PathNormalization = Snapshot["pathNormalization"];

/** What a byte of the path asks for. */
const PLAIN = 0;
const SLASH = 1;
const DOT = 2;
/** `%` and `\`: the path has to be rewritten, or refused. */
const REWRITE = 3;
/** Nothing a path may hold: controls, space, `#`, DEL and everything above ASCII. */
const FORBIDDEN = 4;

const CLASSES = new Uint8Array(256).fill(FORBIDDEN, 0, 0x21).fill(FORBIDDEN, 0x7f);
CLASSES[0x23] = FORBIDDEN;
CLASSES[0x25] = REWRITE;
CLASSES[0x2e] = DOT;
CLASSES[0x2f] = SLASH;
CLASSES[0x5c] = REWRITE;

/** Letters, digits and `-._~`, whose escapes mean the character itself (RFC 3986 section 2.3). */
const UNRESERVED = /[A-Za-z0-9\-._~]/;

/**
 * The path as routing, authorization and the upstream all see it (`spec/05` 5.6), its query untouched; null when it is refused
 * with 400. A path that needs nothing costs one scan and comes back as it is. Doing it twice changes nothing more.
 *
 * Beside the steps of 5.6, refused in every mode but NONE: an escape that is not `%` and two hexadecimal digits (what `%%32%65`
 * means depends on how often one decodes), `%00`, `..` above the root, and bytes that have no place in a path. In every
 * mode: a path that does not begin with `/` (only `OPTIONS *` may) or has a `#` in it, and bytes above ASCII.
 */
export function normalizePath(target: string, mode: PathNormalization): string | null {
  if (target === "*") return target;
  const queryAt = target.indexOf("?");
  const end = queryAt < 0 ? target.length : queryAt;
  const verdict = inspect(target, end, mode);
  if (verdict === FORBIDDEN) return null;
  if (verdict === PLAIN || mode === "NONE") return target;
  const path = rewrite(target.slice(0, end), mode);
  if (path === null) return null;
  return queryAt < 0 ? path : path + target.slice(queryAt);
}

/** FORBIDDEN, REWRITE or PLAIN for the path `target[0, end)`. */
function inspect(target: string, end: number, mode: PathNormalization): number {
  if (end === 0 || target.charCodeAt(0) !== 0x2f) return FORBIDDEN;
  const mergesSlashes = mode === "MERGE_SLASHES" || mode === "DECODE_AND_MERGE_SLASHES";
  let isAfterSlash = false;
  let verdict = PLAIN;
  for (let index = 0; index < end; index++) {
    const code = target.charCodeAt(index);
    const kind = code < 256 ? (CLASSES[code] as number) : FORBIDDEN;
    if (kind === PLAIN) {
      isAfterSlash = false;
      continue;
    }
    if (kind === FORBIDDEN) return FORBIDDEN;
    if (kind === REWRITE || (isAfterSlash && (kind === DOT || mergesSlashes))) verdict = REWRITE;
    isAfterSlash = kind === SLASH;
  }
  return verdict;
}

function rewrite(path: string, mode: PathNormalization): string | null {
  const decoded = decodeEscapes(path, mode === "DECODE_AND_MERGE_SLASHES");
  if (decoded === null) return null;
  const resolved = removeDotSegments(decoded.replaceAll("\\", "/"));
  if (resolved === null) return null;
  return mode === "BASE" ? resolved : resolved.replaceAll(/\/{2,}/g, "/");
}

/** Decodes unreserved characters and, if asked, slashes; keeps other escapes as they were written. */
function decodeEscapes(path: string, decodesSlashes: boolean): string | null {
  let decoded = "";
  let copied = 0;
  for (let at = path.indexOf("%"); at >= 0; at = path.indexOf("%", at + 3)) {
    const digits = path.slice(at + 1, at + 3);
    if (!/^[0-9A-Fa-f]{2}$/.test(digits) || digits === "00") return null;
    const character = String.fromCharCode(Number.parseInt(digits, 16));
    const isSlash = character === "/" || character === "\\";
    if (isSlash ? !decodesSlashes : !UNRESERVED.test(character)) continue;
    decoded += path.slice(copied, at) + character;
    copied = at + 3;
  }
  return copied === 0 ? path : decoded + path.slice(copied);
}

/** RFC 3986 section 5.2.4, except that `..` above the root is refused, where the RFC ignores it. */
function removeDotSegments(path: string): string | null {
  const kept: string[] = [];
  const segments = path.split("/");
  // The path begins with a slash, so the first segment is the empty one before it.
  for (let index = 1; index < segments.length; index++) {
    const segment = segments[index] as string;
    const isLast = index === segments.length - 1;
    if (segment === "..") {
      if (kept.length === 0) return null;
      kept.pop();
    } else if (segment !== ".") {
      kept.push(segment);
      continue;
    }
    if (isLast) kept.push("");
  }
  return `/${kept.join("/")}`;
}
