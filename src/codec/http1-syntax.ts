import { ProxyError } from "../message/proxy-error.ts";

export const CR = 13;
export const LF = 10;
export const SP = 32;
export const HTAB = 9;

/** 1 at every byte RFC 9110 section 5.6.2 allows in a token. */
export const TOKEN = tableOf("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");

/** 1 at every character allowed in a host that is a name or an IPv4 address. */
export const HOST_CHARACTER = tableOf("-._0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");

/** A table over the bytes with 1 at each character of `characters`. */
function tableOf(characters: string): Uint8Array {
  const table = new Uint8Array(256);
  for (let index = 0; index < characters.length; index++) table[characters.charCodeAt(index)] = 1;
  return table;
}

/** True when `text` is one or more token characters. */
export function isToken(text: string): boolean {
  for (let index = 0; index < text.length; index++) {
    if (TOKEN[text.charCodeAt(index)] !== 1) return false;
  }
  return text.length > 0;
}

/** The value of a hexadecimal digit, or -1. */
export function hexDigit(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const folded = byte | 32;
  return folded >= 97 && folded <= 102 ? folded - 87 : -1;
}

/** The error of every message that is not HTTP/1.1 to the letter; the reason names the rule it broke. */
export function syntaxError(reason: string): ProxyError {
  return new ProxyError("codec_error", reason);
}
