/** Deeper than any honest token or key set; recursion over what is deeper would end in a stack overflow (CVE-2026-48042). */
const MAX_DEPTH = 64;

/**
 * Reads JSON that must mean the same to every reader: an object that has a name twice is refused, since RFC 8259 section
 * 4 leaves open which of the two counts, and so is what is nested deeper than 64 levels. Undefined for what is refused.
 */
export function parseStrictJson(text: string): unknown {
  if (!isUnambiguous(text)) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The same, for a text that has to be an object. Look names up with `Object.hasOwn`: `__proto__` may be one. */
export function parseStrictObject(text: string): Readonly<Record<string, unknown>> | null {
  const value = parseStrictJson(text);
  return typeof value === "object" && value !== null && !Array.isArray(value) ? value as Record<string, unknown> : null;
}

/** True for every valid JSON text within the bounds; of one that is not valid, `JSON.parse` has the last word. */
function isUnambiguous(text: string): boolean {
  /** Names so far of the objects around, null for an array. */
  const around: (Set<string> | null)[] = [];
  let expectsName = false;
  for (let at = 0; at < text.length; at++) {
    switch (text[at]) {
      case "{":
      case "[":
        expectsName = text[at] === "{";
        if (around.push(expectsName ? new Set() : null) > MAX_DEPTH) return false;
        break;
      case "}":
      case "]":
        around.pop();
        expectsName = false;
        break;
      case ",":
        expectsName = around.at(-1) instanceof Set;
        break;
      case '"': {
        const end = endOfString(text, at);
        if (end < 0) return false;
        if (expectsName && !addName(around.at(-1) ?? null, text.slice(at, end + 1))) return false;
        expectsName = false;
        at = end;
      }
    }
  }
  return true;
}

/** Index of the closing quote, or -1. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    const char = text[at];
    if (char === "\\") at++;
    else if (char === '"') return at;
  }
  return -1;
}

/** False when the object has the name already, however it is written: `"\u0069ss"` is `"iss"`. */
function addName(names: Set<string> | null, quoted: string): boolean {
  if (names === null) return true;
  let name = quoted.slice(1, -1);
  if (name.includes("\\")) {
    try {
      name = JSON.parse(quoted) as string;
    } catch {
      return false;
    }
  }
  if (names.has(name)) return false;
  names.add(name);
  return true;
}
