import type { RequestHead, ResponseHead } from "../message/head.ts";
import { HeaderList } from "../message/header-list.ts";
import { FIELD_OVERHEAD, type HpackEncoder } from "./hpack-encoder.ts";
import { requireText } from "./http1-writer.ts";
import { SPELLING_NAME } from "./http2-field-kind.ts";
import type { Http2FrameWriter } from "./http2-frame-writer.ts";
import { requestSpelling, responseSpelling, trailerSpelling } from "./http2-spelling-writer.ts";

/** Fields of HTTP/1 or of our own that configuration or a filter may have added and that are no fields of HTTP/2. */
const UNSENDABLE: ReadonlySet<string> = new Set([
  "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "http2-settings", "host", "content-length", "expect", SPELLING_NAME,
]);

/** Room for pseudo-headers, `content-length` and `expect` beyond their values. */
const FIXED_BYTES = 512;

const STATUS_TEXTS: readonly string[] = Array.from({ length: 1000 }, (_, status) => String(status));

/**
 * Writes the heads and trailers of one connection (RFC 9113 section 8). To another of us (`carriesSpelling`) it adds the
 * private field by which the far end gives an HTTP/1 message back as it was.
 */
export class Http2HeadWriter {
  readonly #frames: Http2FrameWriter;
  readonly #encoder: HpackEncoder;
  readonly #carriesSpelling: boolean;

  constructor(frames: Http2FrameWriter, encoder: HpackEncoder, carriesSpelling: boolean) {
    this.#frames = frames;
    this.#encoder = encoder;
    this.#carriesSpelling = carriesSpelling;
  }

  /**
   * A request. One with `upgrade` goes as an extended CONNECT (RFC 8441), one whose method is CONNECT without scheme and
   * path.
   *
   * @throws ProxyError `internal` when a part of the head cannot be written; nothing was.
   */
  request(streamId: number, head: RequestHead, endsStream: boolean): void {
    requireText(head.authority);
    requireText(head.path);
    const headers = sendable(head.headers);
    const spelling = this.#carriesSpelling ? requestSpelling(head, headers) : null;
    let at = this.#begin(headers, spelling, head.authority.length + head.path.length + head.method.length);
    const { bytes } = this.#frames.output;
    const encoder = this.#encoder;
    at = encoder.field(bytes, at, ":method", head.upgrade === null ? head.method : "CONNECT", false);
    if (head.upgrade !== null) at = encoder.field(bytes, at, ":protocol", head.upgrade, false);
    if (head.method !== "CONNECT") {
      at = encoder.field(bytes, at, ":scheme", head.scheme, false);
      at = encoder.field(bytes, at, ":path", head.path, false);
    }
    at = encoder.field(bytes, at, ":authority", head.authority, false);
    at = this.#fields(bytes, at, headers, spelling);
    if (head.contentLength > 0) at = encoder.field(bytes, at, "content-length", String(head.contentLength), false);
    if (head.expectsContinue) at = encoder.field(bytes, at, "expect", "100-continue", false);
    this.#frames.endBlock(streamId, endsStream, at);
  }

  /**
   * A response, final or informational; 101, which opens a tunnel, goes as 200. `contentLength` is what is announced,
   * -1 for nothing; it need not be the head's.
   *
   * @throws ProxyError as above
   */
  response(streamId: number, head: ResponseHead, contentLength: number, endsStream: boolean): void {
    requireText(head.reason);
    const headers = sendable(head.headers);
    const spelling = this.#carriesSpelling ? responseSpelling(head, headers) : null;
    let at = this.#begin(headers, spelling, 0);
    const { bytes } = this.#frames.output;
    at = this.#encoder.field(bytes, at, ":status", STATUS_TEXTS[head.status === 101 ? 200 : head.status] as string, false);
    at = this.#fields(bytes, at, headers, spelling);
    if (contentLength >= 0) at = this.#encoder.field(bytes, at, "content-length", String(contentLength), false);
    this.#frames.endBlock(streamId, endsStream, at);
  }

  /**
   * Trailer fields, which end the stream.
   *
   * @throws ProxyError as above
   */
  trailers(streamId: number, trailers: HeaderList): void {
    const headers = sendable(trailers);
    const spelling = this.#carriesSpelling ? trailerSpelling(headers) : null;
    const at = this.#begin(headers, spelling, 0);
    this.#frames.endBlock(streamId, true, this.#fields(this.#frames.output.bytes, at, headers, spelling));
  }

  #begin({ keys, values }: HeaderList, spelling: string | null, otherBytes: number): number {
    let bytes = FIXED_BYTES + otherBytes + (spelling === null ? 0 : spelling.length);
    for (let index = 0; index < keys.length; index++) bytes += (keys[index] as string).length + (values[index] as string).length + FIELD_OVERHEAD;
    const at = this.#frames.beginBlock(bytes);
    return this.#encoder.start(this.#frames.output.bytes, at);
  }

  #fields(bytes: Buffer, from: number, { keys, values, sensitive }: HeaderList, spelling: string | null): number {
    const encoder = this.#encoder;
    let at = from;
    for (let index = 0; index < keys.length; index++) {
      const key = keys[index] as string;
      at = encoder.field(bytes, at, key, values[index] as string, sensitive !== null && sensitive.includes(key));
    }
    return spelling === null ? at : encoder.field(bytes, at, SPELLING_NAME, spelling, false);
  }
}

/** `headers`, or a copy without what must not be sent. What parsers read was checked there. */
function sendable(headers: HeaderList): HeaderList {
  const { unvetted } = headers;
  if (unvetted === null) return headers;
  for (let index = 0; index < unvetted.length; index++) requireText(unvetted[index] as string);
  if (!headers.keys.some((key, index) => UNSENDABLE.has(key) || (key === "te" && headers.values[index] !== "trailers"))) return headers;
  const kept = new HeaderList();
  kept.sensitive = headers.sensitive;
  for (let index = 0; index < headers.keys.length; index++) {
    const key = headers.keys[index] as string;
    if (UNSENDABLE.has(key) || (key === "te" && headers.values[index] !== "trailers")) continue;
    kept.appendKeyed(headers.names[index] as string, key, headers.values[index] as string);
  }
  return kept;
}
