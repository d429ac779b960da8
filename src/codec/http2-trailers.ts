import { HeaderList } from "../message/header-list.ts";
import { ProxyError } from "../message/proxy-error.ts";
import { syntaxError } from "./http1-syntax.ts";
import { isTrailer } from "./http1-trailers.ts";
import type { Http2Fields } from "./http2-fields.ts";
import { restoreTrailers } from "./http2-spelling.ts";

/**
 * Makes trailer fields of a decoded block (RFC 9113 section 8.1), without those that may not come behind a message (A23);
 * null when none is left.
 *
 * @throws ProxyError `codec_error`, `headers_too_large`: in both cases the stream is reset
 */
export function toTrailers(fields: Http2Fields, endsStream: boolean, maxTrailerBytes: number, restoresSpelling: boolean): HeaderList | null {
  if (fields.fault !== null) throw syntaxError(fields.fault);
  if (!endsStream) throw syntaxError("trailers that do not end the stream");
  if (fields.hasPseudo) throw syntaxError("pseudo-header in trailers");
  if (fields.contentLength !== null || fields.host !== null) throw syntaxError("framing field in trailers");
  if (fields.isTooLarge || fields.decodedBytes > maxTrailerBytes) throw new ProxyError("headers_too_large", "trailers too long");
  const { headers } = fields;
  if (restoresSpelling && fields.spelling !== null) restoreTrailers(fields.spelling, headers);
  const kept = new HeaderList();
  for (let index = 0; index < headers.keys.length; index++) {
    const key = headers.keys[index] as string;
    if (isTrailer(key)) kept.appendKeyed(headers.names[index] as string, key, headers.values[index] as string);
  }
  kept.sensitive = headers.sensitive;
  return kept.length === 0 ? null : kept;
}
