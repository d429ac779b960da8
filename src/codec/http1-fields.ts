import { HeaderList } from "../message/header-list.ts";
import { FieldKind, fieldName } from "./http1-field-name.ts";
import { lineEnds } from "./http1-head-end.ts";
import { hasListToken } from "./http1-list.ts";
import { HTAB, SP, syntaxError, TOKEN } from "./http1-syntax.ts";

const COLON = 58;

/**
 * The fields of one head, sorted into those that go on (`headers`, in order) and those that speak to this connection
 * alone: framing, Host, Expect and the hop-by-hop fields of RFC 9110 section 7.6.1. Reused from head to head.
 */
export class Http1Fields {
  headers = new HeaderList();
  hostName = "Host";
  host: string | null = null;
  contentLength: string | null = null;
  transferEncoding: string | null = null;
  /** All Connection fields joined by a comma; so for `upgrade` and `expect`. */
  connection: string | null = null;
  upgrade: string | null = null;
  expect: string | null = null;
  keepAlive: string | null = null;
  /** Length of the longest TE field. */
  teLength = 0;

  /**
   * Reads the field lines of a head. `text` is the latin1 text of `bytes` from `start` on, and the lines are entries
   * `firstLine` to `lines` of `lineEnds`, whose bytes `findHeadEnd` has checked.
   *
   * @throws ProxyError `codec_error` for a line that is no field (A09, A10, A24, A28), and for a framing field or Host
   *   sent twice (A06, A12, A13, A34).
   */
  parse(bytes: Buffer, text: string, start: number, firstLine: number, lines: number): void {
    this.#clear();
    const headers = this.headers;
    let lineStart = firstLine === 0 ? start : (lineEnds[firstLine - 1] as number) + 2;
    for (let line = firstLine; line < lines; line++) {
      const lineEnd = lineEnds[line] as number;
      let index = lineStart;
      let hash = 0;
      let byte = bytes[index] as number;
      while (TOKEN[byte] === 1) {
        hash = (Math.imul(hash, 31) + byte) | 0;
        byte = bytes[++index] as number;
      }
      if (byte !== COLON || index === lineStart) throw syntaxError("invalid field name");
      const name = fieldName(bytes, lineStart, index, hash);
      let from = index + 1;
      let to = lineEnd;
      while (from < to && isBlank(bytes[from] as number)) from++;
      while (to > from && isBlank(bytes[to - 1] as number)) to--;
      const value = text.slice(from - start, to - start);
      if (isFraming(name.kind) && text.slice(index - start, lineEnd - start).includes("\t")) throw syntaxError("tab beside a framing value");
      if (name.kind === FieldKind.other) headers.appendKeyed(name.spelling, name.key, value);
      else this.#special(name.kind, name.spelling, value);
      lineStart = lineEnd + 2;
    }
  }

  #clear(): void {
    this.headers = new HeaderList();
    this.hostName = "Host";
    this.host = null;
    this.contentLength = null;
    this.transferEncoding = null;
    this.connection = null;
    this.upgrade = null;
    this.expect = null;
    this.keepAlive = null;
    this.teLength = 0;
  }

  #special(kind: FieldKind, spelling: string, value: string): void {
    switch (kind) {
      case FieldKind.host:
        if (this.host !== null) throw syntaxError("Host sent twice");
        this.host = value;
        this.hostName = spelling;
        break;
      case FieldKind.contentLength:
        if (this.contentLength !== null) throw syntaxError("Content-Length sent twice");
        this.contentLength = value;
        break;
      case FieldKind.transferEncoding:
        if (this.transferEncoding !== null) throw syntaxError("Transfer-Encoding sent twice");
        this.transferEncoding = value;
        break;
      case FieldKind.connection:
        this.connection = joined(this.connection, value);
        break;
      case FieldKind.upgrade:
        this.upgrade = joined(this.upgrade, value);
        break;
      case FieldKind.expect:
        this.expect = joined(this.expect, value);
        break;
      case FieldKind.keepAlive:
        this.keepAlive = joined(this.keepAlive, value);
        break;
      case FieldKind.te:
        this.teLength = Math.max(this.teLength, value.length);
        // All of TE is between neighbours but `trailers`, which gRPC needs end to end (spec/07 section 7.1).
        if (hasListToken(value, "trailers") && !this.headers.has("te")) this.headers.appendKeyed(spelling, "te", "trailers");
        break;
      default:
        // Proxy-Connection, HTTP2-Settings and what only the hop may say: nothing to us, and it goes no further.
        break;
    }
  }
}

/** What decides where a message ends: here no two recipients may trim differently, and some take HTAB for a part of the value. */
function isFraming(kind: FieldKind): boolean {
  return kind === FieldKind.transferEncoding || kind === FieldKind.contentLength;
}

function isBlank(byte: number): boolean {
  return byte === SP || byte === HTAB;
}

function joined(before: string | null, value: string): string {
  return before === null ? value : `${before},${value}`;
}
