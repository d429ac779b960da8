import type { RequestHead } from "../message/head.ts";
import { ProxyError } from "../message/proxy-error.ts";
import { type Http1BodySink, Http1BodyDecoder } from "./http1-body.ts";
import { UNKNOWN_LENGTH } from "./http1-framing.ts";
import { Http1HeadBuffer } from "./http1-head-buffer.ts";
import { maxLinesOf } from "./http1-head-end.ts";
import type { Http1Limits } from "./http1-limits.ts";
import { Http1RequestHeadParser, type RequestOrigin } from "./http1-request-head.ts";
import { CR, LF, SP, syntaxError } from "./http1-syntax.ts";

const MAX_METHOD_LENGTH = 32;
/** RFC 9112 section 2.2 asks to bear with one empty line before a request; a flood of them is not that. */
const MAX_EMPTY_LINES = 1;

/** Told what a connection's requests hold. */
export interface Http1RequestSink extends Http1BodySink {
  /** A head was read. `hasBody` false: neither `onBodyData` nor `onBodyEnd` follows, the message is complete. */
  onRequestHead(head: RequestHead, hasBody: boolean): void;
  /** What came is not HTTP/1.1; nothing more is parsed. */
  onMalformed(error: ProxyError): void;
}

const State = { head: 0, body: 1, complete: 2, failed: 3 } as const;
type State = (typeof State)[keyof typeof State];

/**
 * The server side's parser: bytes in, messages out, whatever way the bytes are cut. It stops at the end of each message
 * until `next` is called, so that requests are taken one at a time. Chunks given to it are its own from then on.
 */
export class Http1RequestParser {
  readonly #sink: Http1RequestSink;
  readonly #limits: Http1Limits;
  readonly #heads: Http1HeadBuffer;
  readonly #headParser: Http1RequestHeadParser;
  readonly #body: Http1BodyDecoder;
  #state: State = State.head;
  #emptyLines = 0;

  constructor(sink: Http1RequestSink, limits: Http1Limits, origin: RequestOrigin) {
    this.#sink = sink;
    this.#limits = limits;
    this.#heads = new Http1HeadBuffer(limits.maxHeadBytes, maxLinesOf(limits.maxHeaders));
    this.#headParser = new Http1RequestHeadParser(limits.maxTargetBytes, origin);
    this.#body = new Http1BodyDecoder(sink, limits);
  }

  /** True when the message last begun has been read whole. */
  get isComplete(): boolean {
    return this.#state === State.complete;
  }

  /** True when a head has begun and not ended. */
  get hasPartialHead(): boolean {
    return this.#state === State.head && this.#heads.hasPart;
  }

  /** Whether the peer wants the connection kept after the message last begun. */
  get keepsAlive(): boolean {
    return this.#headParser.keepsAlive;
  }

  /** Parses `chunk` from `offset` on; returns the offset of the first byte not taken, which belongs to the next message. */
  push(chunk: Buffer, offset: number): number {
    let index = offset;
    while (this.#state === State.head && index < chunk.length) index = this.#readHead(chunk, index);
    if (this.#state === State.body) {
      index = this.#body.decode(chunk, index);
      if (this.#body.error !== null) this.#fail(this.#body.error);
      else if (this.#state === State.body && !this.#body.isActive) this.#state = State.complete;
    }
    return this.#state === State.failed ? chunk.length : index;
  }

  /** Goes on to the next message. */
  next(): void {
    if (this.#state !== State.complete) return;
    this.#state = State.head;
    this.#emptyLines = 0;
  }

  /** Parses nothing more and tells nothing more. */
  stop(): void {
    this.#state = State.failed;
    this.#body.stop();
  }

  #readHead(chunk: Buffer, offset: number): number {
    let head: RequestHead;
    let end: number;
    try {
      end = this.#heads.take(chunk, offset);
      if (end < 0) return chunk.length;
      if (this.#heads.lines === 0) {
        if (++this.#emptyLines > MAX_EMPTY_LINES) throw syntaxError("empty lines before the request");
        return end;
      }
      head = this.#headParser.parse(this.#heads);
    } catch (error) {
      this.#fail(this.#explain(error as ProxyError, chunk, offset));
      return chunk.length;
    }
    this.#begin(head);
    return end;
  }

  #begin(head: RequestHead): void {
    const length = head.contentLength;
    if (length === 0) {
      this.#state = State.complete;
    } else {
      this.#state = State.body;
      if (length === UNKNOWN_LENGTH) this.#body.startChunked();
      else this.#body.startLength(length);
    }
    this.#sink.onRequestHead(head, length !== 0);
  }

  /** A head too long because of its first line is told so: 414, or 400 when not even its method ends. */
  #explain(error: ProxyError, chunk: Buffer, offset: number): ProxyError {
    if (error.code !== "headers_too_large") return error;
    const bytes = this.#heads.hasPart ? this.#heads.part : chunk.subarray(offset);
    const space = bytes.indexOf(SP);
    if (space < 0 || space > MAX_METHOD_LENGTH) return syntaxError("invalid method");
    const lineEnd = bytes.indexOf(LF);
    const targetEnd = lineEnd < 0 ? bytes.length : lineEnd;
    if (targetEnd - space > this.#limits.maxTargetBytes + " HTTP/1.1".length + (bytes[targetEnd - 1] === CR ? 2 : 1)) {
      return new ProxyError("uri_too_long");
    }
    return error;
  }

  #fail(error: ProxyError): void {
    this.stop();
    this.#sink.onMalformed(error);
  }
}
