import { ResponseHead } from "../message/head.ts";
import { reasonPhrase } from "../message/local-reply.ts";
import { ProxyError } from "../message/proxy-error.ts";
import { parseContentLength, UNKNOWN_LENGTH } from "./http1-framing.ts";
import { isBodiless } from "./http1-response-head.ts";
import { syntaxError } from "./http1-syntax.ts";
import type { Http2Fields } from "./http2-fields.ts";
import { restoreResponse } from "./http2-spelling.ts";

/** What a response answers. */
export interface Http2Answered {
  readonly method: string;
  /** The protocol asked for, or null. */
  readonly upgrade: string | null;
}

/**
 * Makes a response head of a decoded block, by RFC 9113 section 8.3.2. A success that answers a request with `upgrade`
 * becomes a 101, as it would be in HTTP/1 (RFC 8441 section 4). The version is HTTP/2 and the reason the usual one,
 * unless `restoresSpelling` and the private field says otherwise.
 *
 * @throws ProxyError of the downstream kind, `codec_error` or `headers_too_large`: the caller knows that the peer is an
 *   upstream, and resets the stream.
 */
export function toResponseHead(fields: Http2Fields, endsStream: boolean, answered: Http2Answered, restoresSpelling: boolean): ResponseHead {
  if (fields.fault !== null) throw syntaxError(fields.fault);
  if (fields.isTooLarge) throw new ProxyError("headers_too_large");
  if (fields.method !== null || fields.scheme !== null || fields.authority !== null || fields.path !== null || fields.protocol !== null) {
    throw syntaxError("pseudo-header of a request in a response");
  }
  const status = statusOf(fields.status);
  if (status < 200 && endsStream) throw syntaxError("informational response that ends the stream");
  const isTunnel = status >= 200 && status < 300 && (answered.upgrade !== null || answered.method === "CONNECT");
  const length = isTunnel ? UNKNOWN_LENGTH : lengthOf(fields, endsStream, status, answered.method);
  const told = isTunnel && answered.upgrade !== null ? 101 : status;
  const head = new ResponseHead(told, reasonPhrase(told), fields.headers, length);
  head.version = "HTTP/2";
  if (fields.spelling === null) fields.joinCookies();
  else if (restoresSpelling) restoreResponse(fields.spelling, head);
  return head;
}

function statusOf(text: string | null): number {
  if (text === null) throw syntaxError(":status missing");
  const status = text.length === 3 ? Number(text) : 0;
  // 101 has no meaning in HTTP/2 (RFC 9113 section 8.6); `Number` reads "1e2" and " 20" too.
  if (status < 100 || status === 101 || String(status) !== text) throw syntaxError("invalid :status");
  return status;
}

/** As for HTTP/1: of 1xx and 204 a length means nothing; of HEAD and 304 it is told and no body follows. */
function lengthOf({ contentLength }: Http2Fields, endsStream: boolean, status: number, method: string): number {
  const length = contentLength === null ? UNKNOWN_LENGTH : parseContentLength(contentLength);
  if (status < 200 || status === 204) return UNKNOWN_LENGTH;
  if (!endsStream || isBodiless(method, status)) return length;
  if (length > 0) throw syntaxError("Content-Length without a body");
  return 0;
}
