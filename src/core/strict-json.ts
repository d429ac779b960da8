/** Deeper than any honest token or key set; recursion over what is deeper would end in a stack overflow (CVE-2026-48042). */
const MAX_DEPTH = 64;

const QUOTE = 0x22;
const COMMA = 0x2c;
const OPENING_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSING_BRACKET = 0x5d;
const OPENING_BRACE = 0x7b;
const CLOSING_BRACE = 0x7d;

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

/** Names of an object so far: empty for none, one, or several, which alone cost a set; null for an array. */
type Names = string | Set<string> | null;

/** True for every valid JSON text within the bounds; of one that is not valid, `JSON.parse` has the last word. */
function isUnambiguous(text: string): boolean {
  const around: Names[] = [];
  let expectsName = false;
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case OPENING_BRACE:
        expectsName = true;
        if (around.push("") > MAX_DEPTH) return false;
        break;
      case OPENING_BRACKET:
        expectsName = false;
        if (around.push(null) > MAX_DEPTH) return false;
        break;
      case CLOSING_BRACE:
      case CLOSING_BRACKET:
        around.pop();
        expectsName = false;
        break;
      case COMMA:
        expectsName = around.length > 0 && around[around.length - 1] !== null;
        break;
      case QUOTE: {
        const end = endOfString(text, at);
        if (end < 0) return false;
        if (expectsName && !addName(around, text.slice(at, end + 1))) return false;
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
    const code = text.charCodeAt(at);
    if (code === BACKSLASH) at++;
    else if (code === QUOTE) return at;
  }
  return -1;
}

/** False when the innermost object has the name already, however it is written: `"\u0069ss"` is `"iss"`. */
function addName(around: Names[], quoted: string): boolean {
  // With its quotes, so that no name is empty.
  let name = quoted;
  if (quoted.includes("\\")) {
    try {
      name = `"${JSON.parse(quoted) as string}"`;
    } catch {
      return false;
    }
  }
  const innermost = around.length - 1;
  const names = around[innermost];
  if (names === undefined || names === null) return true;
  if (names === "") around[innermost] = name;
  else if (typeof names !== "string") {
    if (names.has(name)) return false;
    names.add(name);
  } else {
    if (names === name) return false;
    around[innermost] = new Set([names, name]);
  }
  return true;
}
