import { CR, hexDigit, HTAB, LF, SP, TOKEN } from "./http1-syntax.ts";
import type { Http1Limits } from "./http1-limits.ts";

const SEMICOLON = 59;
const EQUALS = 61;
const QUOTE = 34;
const BACKSLASH = 92;
/** Zeros before a size change nothing; a peer that sends more than this many digits means no good. */
const MAX_SIZE_DIGITS = 16;

const State = {
  size: 0, extensionName: 1, extensionNameRest: 2, extensionValue: 3, extensionToken: 4, extensionQuoted: 5,
  extensionEscape: 6, extensionQuotedEnd: 7, lineFeed: 8,
} as const;
type State = (typeof State)[keyof typeof State];

/**
 * Reads one chunk header (`SIZE [;name[=value]]... CRLF`, RFC 9112 section 7.1) byte by byte, so that it may be split
 * anywhere. No white space, no bare LF, and extensions, which are dropped, must be well formed all the same and have a
 * bound (A18, A19, A21, CVE-2024-22019).
 */
export class Http1ChunkHeader {
  /** Size of the chunk, right once `read` said the line ended. */
  size = 0;
  /** Why the last `read` failed. */
  error = "";
  readonly #limits: Http1Limits;
  #state: State = State.size;
  #digits = 0;
  #extensionBytes = 0;
  #bodyExtensionBytes = 0;

  constructor(limits: Http1Limits) {
    this.#limits = limits;
  }

  /** Begins the body of another message. */
  resetBody(): void {
    this.#bodyExtensionBytes = 0;
    this.reset();
  }

  /** Begins another chunk. */
  reset(): void {
    this.size = 0;
    this.#state = State.size;
    this.#digits = 0;
    this.#extensionBytes = 0;
  }

  /** Takes one byte. 0: go on; 1: the line ended; -1: it is malformed, see `error`. */
  read(byte: number): -1 | 0 | 1 {
    switch (this.#state) {
      case State.size:
        return this.#readSize(byte);
      case State.lineFeed:
        return byte === LF ? 1 : this.#fail("chunk header without LF");
      default:
        this.#extensionBytes++;
        this.#bodyExtensionBytes++;
        if (this.#extensionBytes > this.#limits.maxChunkExtensionBytes) return this.#fail("chunk extension too long");
        if (this.#bodyExtensionBytes > this.#limits.maxBodyExtensionBytes) return this.#fail("chunk extensions too long");
        return this.#readExtension(byte);
    }
  }

  #readSize(byte: number): -1 | 0 | 1 {
    const digit = hexDigit(byte);
    if (digit >= 0) {
      this.size = this.size * 16 + digit;
      this.#digits++;
      if (this.size > this.#limits.maxChunkBytes || this.#digits > MAX_SIZE_DIGITS) return this.#fail("chunk too large");
      return 0;
    }
    if (this.#digits === 0) return this.#fail("chunk size missing");
    return this.#afterElement(byte);
  }

  /** What may follow a size or an extension: the next extension or the end of the line. */
  #afterElement(byte: number): -1 | 0 {
    if (byte === CR) this.#state = State.lineFeed;
    else if (byte === SEMICOLON) this.#state = State.extensionName;
    else return this.#fail("invalid chunk header");
    return 0;
  }

  #readExtension(byte: number): -1 | 0 {
    switch (this.#state) {
      case State.extensionName:
        return TOKEN[byte] === 1 ? this.#goTo(State.extensionNameRest) : this.#fail("invalid chunk extension");
      case State.extensionNameRest:
        if (TOKEN[byte] === 1) return 0;
        return byte === EQUALS ? this.#goTo(State.extensionValue) : this.#afterElement(byte);
      case State.extensionValue:
        if (byte === QUOTE) return this.#goTo(State.extensionQuoted);
        return TOKEN[byte] === 1 ? this.#goTo(State.extensionToken) : this.#fail("invalid chunk extension");
      case State.extensionToken:
        return TOKEN[byte] === 1 ? 0 : this.#afterElement(byte);
      case State.extensionQuoted:
        if (byte === QUOTE) return this.#goTo(State.extensionQuotedEnd);
        if (byte === BACKSLASH) return this.#goTo(State.extensionEscape);
        return isText(byte) ? 0 : this.#fail("invalid chunk extension");
      case State.extensionEscape:
        return isText(byte) ? this.#goTo(State.extensionQuoted) : this.#fail("invalid chunk extension");
      default:
        return this.#afterElement(byte);
    }
  }

  #goTo(state: State): 0 {
    this.#state = state;
    return 0;
  }

  #fail(reason: string): -1 {
    this.error = reason;
    return -1;
  }
}

function isText(byte: number): boolean {
  return byte === HTAB || (byte >= SP && byte !== 127);
}
