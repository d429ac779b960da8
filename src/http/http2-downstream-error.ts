import { Http2ErrorCode } from "../codec/http2-error-code.ts";
import type { Http2Cut } from "../codec/http2-session-stream.ts";
import { ProxyError } from "../message/proxy-error.ts";

/*
 * What a downstream peer did wrong, in the words of Envoy's response code details for HTTP/2 (`spec/06` 6.5). Where the
 * stream is reset and not answered there is no status: the log says 0.
 */

/** A request head that could not be read, as the session tells it. */
export function malformedRequest(error: ProxyError): ProxyError {
  if (error.code === "codec_error") return new ProxyError("http2_messaging", error.reason);
  if (error.code === "headers_too_large") return new ProxyError("http2_headers_too_large", error.reason);
  return error;
}

/** A rule of the connection that was broken, or a right used too often. */
export function brokenRule({ code, reason }: Pick<Http2Cut, "code" | "reason">): ProxyError {
  return new ProxyError(code === Http2ErrorCode.enhanceYourCalm ? "http2_flood" : "http2_protocol", reason);
}

/** The end of a stream before its time. */
export function cutRequest({ kind, code, reason }: Http2Cut): ProxyError {
  switch (kind) {
    case "fault":
      return brokenRule({ code, reason });
    case "slow-body":
      return new ProxyError("body_rate", reason);
    case "dismissed":
      return new ProxyError("no_longer_accepted", reason);
    case "stalled":
      return new ProxyError("response_stalled", reason);
    default:
      return new ProxyError("downstream_disconnect", reason);
  }
}
