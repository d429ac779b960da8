import { ResponseHead } from "../message/head.ts";
import { Http1Fields } from "./http1-fields.ts";
import { bodyLength, UNKNOWN_LENGTH } from "./http1-framing.ts";
import type { Http1HeadBuffer } from "./http1-head-buffer.ts";
import { lineEnds } from "./http1-head-end.ts";
import { ConnectionOption, keepAliveTimeoutSeconds, removeNominated } from "./http1-hop-by-hop.ts";
import { SP, syntaxError } from "./http1-syntax.ts";

/** True when a final response to `method` with `status` has no body whatever its fields say (RFC 9112 section 6.3). */
export function isBodiless(method: string, status: number): boolean {
  return status === 204 || status === 304 || method === "HEAD" || (status >= 100 && status < 200);
}

/** Turns heads into `ResponseHead`s, hop-by-hop fields taken out. */
export class Http1ResponseHeadParser {
  /** Whether the peer of the head last parsed keeps the connection, its framing permitting. */
  keepsAlive = true;
  /** `timeout` of its Keep-Alive field in seconds, or -1. */
  keepAliveSeconds = -1;
  /** True when it had Transfer-Encoding: chunked. */
  isChunked = false;
  /** Its Upgrade field, lower case, or null. */
  upgrade: string | null = null;
  readonly #fields = new Http1Fields();

  /**
   * Parses the head that `found` holds, an answer to `method`.
   *
   * @throws ProxyError of the downstream kind: the caller knows that the peer is an upstream.
   */
  parse(found: Http1HeadBuffer, method: string): ResponseHead {
    const { bytes, start, end } = found;
    if (found.lines === 0) throw syntaxError("empty status line");
    const text = bytes.toString("latin1", start, end);
    const lineEnd = (lineEnds[0] as number) - start;
    const isHttp10 = parseVersion(text);
    const status = parseStatus(text, lineEnd);
    const fields = this.#fields;
    fields.parse(bytes, text, start, 1, found.lines);
    const options = fields.connection === null ? 0 : removeNominated(fields.headers, fields.connection);
    const head = new ResponseHead(status, text.slice(13, lineEnd), fields.headers, this.#length(status, method, isHttp10));
    if (isHttp10) head.version = "HTTP/1.0";
    head.wireBytes = end - start;
    this.keepsAlive = (options & ConnectionOption.close) === 0 && (!isHttp10 || (options & ConnectionOption.keepAlive) !== 0);
    this.keepAliveSeconds = fields.keepAlive === null ? -1 : keepAliveTimeoutSeconds(fields.keepAlive);
    this.upgrade = fields.upgrade === null ? null : fields.upgrade.toLowerCase();
    return head;
  }

  /** RFC 9112 section 6.3; of 1xx and 204 the framing fields mean nothing and are dropped. */
  #length(status: number, method: string, isHttp10: boolean): number {
    const { contentLength, transferEncoding } = this.#fields;
    const length = bodyLength(contentLength, transferEncoding, isHttp10, UNKNOWN_LENGTH);
    this.isChunked = transferEncoding !== null && !isBodiless(method, status);
    return status < 200 || status === 204 ? UNKNOWN_LENGTH : length;
  }
}

/** True for HTTP/1.0, false for HTTP/1.1. */
function parseVersion(text: string): boolean {
  if (text.startsWith("HTTP/1.1 ")) return false;
  if (text.startsWith("HTTP/1.0 ")) return true;
  throw syntaxError("invalid version in status line");
}

/** Three digits, then a space and a reason, or nothing: many servers leave the last space out with the reason. */
function parseStatus(text: string, lineEnd: number): number {
  let status = 0;
  for (let index = 9; index < 12; index++) {
    const digit = text.charCodeAt(index) - 48;
    if (digit < 0 || digit > 9) throw syntaxError("invalid status");
    status = status * 10 + digit;
  }
  if (status < 100 || lineEnd < 12 || (lineEnd > 12 && text.charCodeAt(12) !== SP)) throw syntaxError("invalid status line");
  return status;
}
