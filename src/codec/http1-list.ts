/** Where the element of a comma-separated list that begins at `from` ends. */
function elementEnd(list: string, from: number): number {
  const comma = list.indexOf(",", from);
  return comma < 0 ? list.length : comma;
}

/**
 * The elements of a comma-separated list (RFC 9110 section 5.6.1) in lower case, empty ones left out. For short lists
 * of tokens only: a quoted comma is not known.
 */
export function listTokens(list: string): string[] {
  const tokens: string[] = [];
  for (let from = 0; from <= list.length; ) {
    const end = elementEnd(list, from);
    const token = trimBlank(list, from, end);
    if (token !== "") tokens.push(token.toLowerCase());
    from = end + 1;
  }
  return tokens;
}

/** True when `token` (lower case) is an element of `list`. */
export function hasListToken(list: string, token: string): boolean {
  return list.length === token.length ? list.toLowerCase() === token : listTokens(list).includes(token);
}

/** `text[from, to)` without the spaces and tabs around it. */
function trimBlank(text: string, from: number, to: number): string {
  let start = from;
  let end = to;
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === 32 || code === 9;
}
