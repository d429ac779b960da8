import { asciiLowerCase } from "../core/ascii.ts";
import { RequestHead } from "../message/head.ts";
import { ProxyError } from "../message/proxy-error.ts";
import { isAuthority } from "./http1-authority.ts";
import { parseContentLength, UNKNOWN_LENGTH } from "./http1-framing.ts";
import { checkTargetBytes, requireMethod } from "./http1-request-line.ts";
import { syntaxError } from "./http1-syntax.ts";
import type { Http2Fields } from "./http2-fields.ts";
import { restoreRequest } from "./http2-spelling.ts";

/** What a request may be on a connection. */
export interface Http2RequestRules {
  readonly maxTargetBytes: number;
  /** CONNECT without `:protocol` is wanted (HBONE). */
  readonly allowsConnect: boolean;
  /** We have sent SETTINGS_ENABLE_CONNECT_PROTOCOL. */
  readonly allowsExtendedConnect: boolean;
  /** The peer is one of us, and its private field is believed; another's is dropped unread. */
  readonly restoresSpelling: boolean;
}

/**
 * Makes a request head of a decoded block, by RFC 9113 section 8.3.1. Its version is HTTP/2, or what the private field
 * says. A CONNECT with `:protocol` websocket becomes a GET with `upgrade`, as if it came by HTTP/1 (RFC 8441); a plain
 * CONNECT has an empty path.
 *
 * @throws ProxyError `codec_error` when the request is malformed: its stream is reset with PROTOCOL_ERROR, and nothing of
 *   it goes further (C09-C11, B26). Any other code is one to be answered with its status: `headers_too_large`,
 *   `uri_too_long`, `method_unknown`, `method_not_allowed`, `expectation_failed`.
 */
export function toRequestHead(fields: Http2Fields, endsStream: boolean, rules: Http2RequestRules): RequestHead {
  if (fields.fault !== null) throw syntaxError(fields.fault);
  if (fields.isTooLarge) throw new ProxyError("headers_too_large");
  if (fields.status !== null) throw syntaxError(":status in a request");
  const { method } = fields;
  if (method === null) throw syntaxError(":method missing");
  const authority = authorityOf(fields);
  const isConnect = method === "CONNECT";
  if (isConnect && fields.protocol === null) return connectHead(fields, authority, endsStream, rules);
  if (fields.protocol !== null) checkProtocol(fields, isConnect, rules);
  // Neither folded nor guessed (CVE-2023-35944).
  if (fields.scheme !== "http" && fields.scheme !== "https") throw syntaxError(":scheme missing or unknown");
  const path = pathOf(fields, method, rules.maxTargetBytes);
  if (!isConnect) requireMethod(method);
  const head = new RequestHead(isConnect ? "GET" : method, authority, path, fields.headers, lengthOf(fields, endsStream));
  head.scheme = fields.scheme;
  head.version = "HTTP/2";
  if (isConnect) {
    if (endsStream || fields.contentLength !== null) throw syntaxError("upgrade with a body");
    head.upgrade = "websocket";
    head.contentLength = 0;
  }
  if (fields.expect !== null) readExpect(fields.expect, head);
  if (fields.spelling === null) fields.joinCookies();
  else if (rules.restoresSpelling) restoreRequest(fields.spelling, head);
  return head;
}

function connectHead(fields: Http2Fields, authority: string, endsStream: boolean, rules: Http2RequestRules): RequestHead {
  if (fields.scheme !== null || fields.path !== null) throw syntaxError("CONNECT with :scheme or :path");
  if (!rules.allowsConnect) throw new ProxyError("method_not_allowed", "CONNECT");
  if (fields.contentLength !== null) throw syntaxError("CONNECT with Content-Length");
  const head = new RequestHead("CONNECT", authority, "", fields.headers, endsStream ? 0 : UNKNOWN_LENGTH);
  head.version = "HTTP/2";
  return head;
}

/** RFC 8441 section 4; a protocol other than WebSocket is not implemented (RFC 9220 section 3 asks for 501). */
function checkProtocol(fields: Http2Fields, isConnect: boolean, rules: Http2RequestRules): void {
  if (!isConnect || !rules.allowsExtendedConnect) throw syntaxError(":protocol not allowed");
  if (fields.protocol !== "websocket") throw new ProxyError("method_unknown", "unknown :protocol");
}

/** `:authority`, or Host in its place; two that differ are two destinations (RFC 9113 section 8.3.1). */
function authorityOf({ authority, host }: Http2Fields): string {
  const found = authority ?? host;
  if (found === null) throw syntaxError(":authority missing");
  if (!isAuthority(found)) throw syntaxError("invalid :authority");
  if (host !== null && host !== found && asciiLowerCase(host) !== asciiLowerCase(found)) throw syntaxError("Host differs from :authority");
  return found;
}

function pathOf({ path }: Http2Fields, method: string, maxTargetBytes: number): string {
  if (path === null || path === "") throw syntaxError(":path missing");
  if (path.length > maxTargetBytes) throw new ProxyError("uri_too_long");
  if (path.charCodeAt(0) !== 47 && (path !== "*" || method !== "OPTIONS")) throw syntaxError("invalid :path");
  checkTargetBytes(path);
  return path;
}

/** Length of the body: as announced, which the end of the stream must not belie (C10), or unknown. */
function lengthOf({ contentLength }: Http2Fields, endsStream: boolean): number {
  if (contentLength === null) return endsStream ? 0 : UNKNOWN_LENGTH;
  const length = parseContentLength(contentLength);
  if (endsStream && length !== 0) throw syntaxError("Content-Length without a body");
  return length;
}

/** RFC 9110 section 10.1.1; A52. */
function readExpect(expect: string, head: RequestHead): void {
  if (expect.toLowerCase() !== "100-continue") throw new ProxyError("expectation_failed");
  head.expectsContinue = head.contentLength !== 0;
}
