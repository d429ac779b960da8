import { ProxyError } from "../message/proxy-error.ts";
import { listTokens } from "./http1-list.ts";
import { isToken, syntaxError } from "./http1-syntax.ts";

/** A length that is told otherwise: by chunks, or by the end of the connection. */
export const UNKNOWN_LENGTH = -1;

const MAX_LENGTH_DIGITS = 19;

/**
 * The number of a Content-Length field: digits only, one value (RFC 9112 section 6.3 item 5; A12-A15). Leading zeros
 * are read and not sent on.
 *
 * @throws ProxyError `codec_error`
 */
export function parseContentLength(value: string): number {
  if (value.length === 0 || value.length > MAX_LENGTH_DIGITS) throw syntaxError("invalid Content-Length");
  let length = 0;
  for (let index = 0; index < value.length; index++) {
    const digit = value.charCodeAt(index) - 48;
    if (digit < 0 || digit > 9) throw syntaxError("invalid Content-Length");
    length = length * 10 + digit;
  }
  if (length > Number.MAX_SAFE_INTEGER) throw syntaxError("invalid Content-Length");
  return length;
}

/**
 * Checks that a Transfer-Encoding field is exactly `chunked`, the one coding we can frame (A03-A08).
 *
 * @throws ProxyError `transfer_encoding` (501) for codings we do not know, `codec_error` for what frames nothing.
 */
export function requireChunked(value: string): void {
  if (value.length === 7 && value.toLowerCase() === "chunked") return;
  const codings = listTokens(value);
  const isList = codings.length > 0 && value.split(",").length === codings.length && codings.every(isToken);
  const chunkedAt = codings.indexOf("chunked");
  if (!isList || (chunkedAt >= 0 && chunkedAt !== codings.length - 1)) throw syntaxError("invalid Transfer-Encoding");
  throw new ProxyError("transfer_encoding", "unsupported transfer coding");
}

/**
 * The length of a body by its framing fields; both together are refused (A01, A02, RFC 9112 section 6.1).
 *
 * @param whenAbsent the answer when there is neither: 0 for a request, UNKNOWN_LENGTH for a response.
 * @throws ProxyError as above
 */
export function bodyLength(
  contentLength: string | null, transferEncoding: string | null, isHttp10: boolean, whenAbsent: number,
): number {
  if (transferEncoding !== null) {
    if (isHttp10) throw syntaxError("Transfer-Encoding in HTTP/1.0");
    if (contentLength !== null) throw syntaxError("Content-Length with Transfer-Encoding");
    requireChunked(transferEncoding);
    return UNKNOWN_LENGTH;
  }
  return contentLength === null ? whenAbsent : parseContentLength(contentLength);
}
