import { HOST_CHARACTER } from "./http1-syntax.ts";

const MAX_HOST_LENGTH = 255;
/** The longest IPv6 address, its brackets and a port. */
const MAX_BRACKETED_LENGTH = 45 + 2 + 6;
const COLON = 58;
const DOT = 46;

/**
 * True when `authority` is a host and an optional port and nothing that two readers could take apart differently
 * (A36). Stricter than RFC 3986: no user information, no percent-escapes, no sub-delimiters, no empty label, no empty
 * port, no IPv6 zone. A host name may end in one dot and may hold underscores, as container names do.
 */
export function isAuthority(authority: string): boolean {
  if (authority.charCodeAt(0) === 91) return isBracketed(authority);
  const length = authority.length;
  let index = 0;
  let previous = DOT;
  for (; index < length; index++) {
    const code = authority.charCodeAt(index);
    if (code === COLON) break;
    if (HOST_CHARACTER[code] !== 1 || (code === DOT && previous === DOT)) return false;
    previous = code;
  }
  if (index === 0 || index > MAX_HOST_LENGTH) return false;
  return index === length || isPort(authority, index + 1);
}

function isBracketed(authority: string): boolean {
  if (authority.length > MAX_BRACKETED_LENGTH) return false;
  const close = authority.indexOf("]");
  if (close < 0 || !isIpv6(authority.slice(1, close))) return false;
  if (close + 1 === authority.length) return true;
  return authority.charCodeAt(close + 1) === COLON && isPort(authority, close + 2);
}

function isPort(authority: string, from: number): boolean {
  const length = authority.length;
  if (from === length || length - from > 5) return false;
  let port = 0;
  for (let index = from; index < length; index++) {
    const digit = authority.charCodeAt(index) - 48;
    if (digit < 0 || digit > 9) return false;
    port = port * 10 + digit;
  }
  return port <= 65535;
}

/** RFC 3986 section 3.2.2, IPv6address: eight groups, at most one `::`, perhaps an IPv4 address at the end. */
function isIpv6(text: string): boolean {
  const halves = text.split("::");
  if (halves.length > 2) return false;
  let groups = 0;
  for (let half = 0; half < halves.length; half++) {
    const part = halves[half] as string;
    if (part === "") continue;
    const pieces = part.split(":");
    for (let index = 0; index < pieces.length; index++) {
      const piece = pieces[index] as string;
      const isLast = half === halves.length - 1 && index === pieces.length - 1;
      if (/^[0-9a-fA-F]{1,4}$/.test(piece)) groups += 1;
      else if (isLast && isIpv4(piece)) groups += 2;
      else return false;
    }
  }
  if (halves.length === 2) return groups <= 7;
  return groups === 8;
}

function isIpv4(text: string): boolean {
  const parts = text.split(".");
  return parts.length === 4 && parts.every((part) => /^(0|[1-9][0-9]{0,2})$/.test(part) && Number(part) <= 255);
}
