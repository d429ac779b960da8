import { PREFACE } from "../codec/http2-frame.ts";

/** What the first bytes of a plaintext connection are. `incomplete`: more bytes are needed to tell. */
export type Sniffed = "http1" | "http2" | "tls" | "other" | "incomplete";

const TLS_HANDSHAKE = 0x16;
/** Longest method token taken for HTTP; the IANA registry's longest is 17 (UPDATEREDIRECTREF). */
const MAX_METHOD_LENGTH = 32;
/** A request line longer than this without an end is not taken for HTTP. */
const MAX_REQUEST_LINE = 65_536;

/**
 * Looks at the first bytes of a connection and says which protocol they begin, reading no further than it must: the
 * preface of RFC 9113 section 3.4, a TLS record of type handshake, or a request line of RFC 9112 section 3 that ends
 * in `HTTP/1.x`. What merely resembles HTTP is `other`, so that foreign protocols pass as opaque bytes.
 */
export function sniff(bytes: Buffer): Sniffed {
  if (bytes.length === 0) return "incomplete";
  if (bytes[0] === TLS_HANDSHAKE) return "tls";
  const compared = Math.min(bytes.length, PREFACE.length);
  if (bytes.compare(PREFACE, 0, compared, 0, compared) === 0) {
    return compared === PREFACE.length ? "http2" : "incomplete";
  }
  return sniffRequestLine(bytes);
}

/** Whether more bytes may make it the preface of HTTP/2: for ports that are HTTP in any case, of whichever version. */
export function beginsPreface(bytes: Buffer): boolean {
  return bytes.length < PREFACE.length && bytes.compare(PREFACE, 0, bytes.length) === 0;
}

function sniffRequestLine(bytes: Buffer): Sniffed {
  let space = 0;
  while (space < bytes.length && isTokenByte(bytes[space] as number)) space++;
  if (space === bytes.length) return space > MAX_METHOD_LENGTH ? "other" : "incomplete";
  if (space === 0 || space > MAX_METHOD_LENGTH || bytes[space] !== 0x20) return "other";
  const lineFeed = bytes.indexOf(0x0a, space);
  if (lineFeed < 0) return hasControl(bytes, space, bytes.length) || bytes.length > MAX_REQUEST_LINE ? "other" : "incomplete";
  const end = bytes[lineFeed - 1] === 0x0d ? lineFeed - 1 : lineFeed;
  // `HTTP/` DIGIT `.` DIGIT: which versions are served is for the codec to say, with a proper status.
  return /\sHTTP\/\d\.\d$/.test(bytes.toString("latin1", Math.max(space, end - 9), end)) ? "http1" : "other";
}

/** Bytes of a method as clients write it: RFC 9110 section 5.6.2 tokens, of which letters, digits, `-` and `_` occur. */
function isTokenByte(byte: number): boolean {
  return (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a) || byte === 0x2d || byte === 0x5f || (byte >= 0x30 && byte <= 0x39);
}

function hasControl(bytes: Buffer, start: number, end: number): boolean {
  for (let index = start; index < end; index++) {
    const byte = bytes[index] as number;
    if (byte < 0x20 && byte !== 0x0d && byte !== 0x09) return true;
  }
  return false;
}
