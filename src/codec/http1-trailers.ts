import { HeaderList } from "../message/header-list.ts";
import { Http1Fields } from "./http1-fields.ts";
import type { Http1HeadBuffer } from "./http1-head-buffer.ts";
import { syntaxError } from "./http1-syntax.ts";

/**
 * Fields that frame, route, authenticate or control a message may not come after it (RFC 9110 section 6.5.1; A23):
 * whatever was decided from the head would not hold. They are dropped, with everything a proxy vouches for; those that
 * could frame the message once more void it.
 */
const FORBIDDEN: ReadonlySet<string> = new Set([
  "authorization", "proxy-authorization", "proxy-authenticate", "www-authenticate", "cookie", "set-cookie", "age", "cache-control",
  "expires", "date", "location", "retry-after", "vary", "warning", "max-forwards", "pragma", "range", "trailer", "via", "forwarded",
  "accept-encoding", "content-encoding", "content-type", "content-range", "content-length", "transfer-encoding", "traceparent",
  "tracestate", "x-request-id", "x-http-method-override", "x-original-url", "x-rewrite-url", "x-real-ip", "b3",
]);
const FORBIDDEN_PREFIXES: readonly string[] = ["x-outrider-", "x-envoy-", "x-istio-", "x-forwarded-", "x-b3-", "if-", "access-control-"];

/**
 * The trailer fields that `found` holds, without those that may not be there; null when none is left.
 *
 * @throws ProxyError `codec_error` when a line is no field, or is Content-Length, Transfer-Encoding or Host.
 */
export function parseTrailers(found: Http1HeadBuffer): HeaderList | null {
  if (found.lines === 0) return null;
  const fields = new Http1Fields();
  fields.parse(found.bytes, found.bytes.toString("latin1", found.start, found.end), found.start, 0, found.lines);
  if (fields.contentLength !== null || fields.transferEncoding !== null || fields.host !== null) throw syntaxError("framing field in trailers");
  const kept = new HeaderList();
  const { names, keys, values } = fields.headers;
  for (let index = 0; index < keys.length; index++) {
    const key = keys[index] as string;
    if (!isTrailer(key)) continue;
    kept.appendKeyed(names[index] as string, key, values[index] as string);
  }
  return kept.length === 0 ? null : kept;
}

/** True when the field called `key` (lower case) may come after a message. */
export function isTrailer(key: string): boolean {
  return key !== "te" && !FORBIDDEN.has(key) && !FORBIDDEN_PREFIXES.some((prefix) => key.startsWith(prefix));
}
