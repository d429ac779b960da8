import type { HeaderList } from "../message/header-list.ts";
import { ProxyError } from "../message/proxy-error.ts";
import { Http1ChunkHeader } from "./http1-chunk-header.ts";
import { Http1HeadBuffer } from "./http1-head-buffer.ts";
import { maxLinesOf } from "./http1-head-end.ts";
import type { Http1Limits } from "./http1-limits.ts";
import { CR, LF, syntaxError } from "./http1-syntax.ts";
import { parseTrailers } from "./http1-trailers.ts";

/** Chunks of a chunked body up to this size are moved together in the buffer they were read into. */
const MAX_MOVED_BYTES = 4096;

/** Below this a loop is faster than a call of `copyWithin`. */
const MAX_LOOPED_BYTES = 32;

/** Told what a body holds. It may call `stop` on the decoder at any time. */
export interface Http1BodySink {
  onBodyData(chunk: Buffer): void;
  onBodyEnd(trailers: HeaderList | null): void;
}

const Mode = { none: 0, length: 1, close: 2, chunkHeader: 3, chunkData: 4, chunkCr: 5, chunkLf: 6, trailers: 7 } as const;
type Mode = (typeof Mode)[keyof typeof Mode];

/**
 * Takes the body of one message after another out of a connection's chunks: by length, chunked (RFC 9112 section 7.1)
 * or until the connection ends. Data goes on as views of the buffers that came in. These buffers belong to the decoder:
 * small chunks are moved together within them, so that a body in one-byte chunks costs its receiver no more than any
 * other (A22, CVE-2020-8659).
 */
export class Http1BodyDecoder {
  /** Set when the body turned out malformed; nothing is decoded from then on. */
  error: ProxyError | null = null;
  readonly #sink: Http1BodySink;
  readonly #limits: Http1Limits;
  readonly #chunkHeader: Http1ChunkHeader;
  #trailers: Http1HeadBuffer | null = null;
  #mode: Mode = Mode.none;
  /** Bytes left of the body or of the chunk. */
  #left = 0;

  constructor(sink: Http1BodySink, limits: Http1Limits) {
    this.#sink = sink;
    this.#limits = limits;
    this.#chunkHeader = new Http1ChunkHeader(limits);
  }

  /** True while a body is under way. */
  get isActive(): boolean {
    return this.#mode !== Mode.none;
  }

  /** True when the body ends with the connection. */
  get endsWithConnection(): boolean {
    return this.#mode === Mode.close;
  }

  startLength(length: number): void {
    this.#mode = Mode.length;
    this.#left = length;
  }

  startChunked(): void {
    this.#mode = Mode.chunkHeader;
    this.#chunkHeader.resetBody();
  }

  startUntilClose(): void {
    this.#mode = Mode.close;
  }

  /** Forgets the body under way; its sink hears nothing more. */
  stop(): void {
    this.#mode = Mode.none;
    this.#trailers = null;
  }

  /** Decodes `chunk` from `offset` on and returns the offset after what belonged to the body. */
  decode(chunk: Buffer, offset: number): number {
    if (offset === chunk.length) return offset;
    if (this.#mode === Mode.length) return this.#decodeLength(chunk, offset);
    if (this.#mode === Mode.close) {
      this.#sink.onBodyData(offset === 0 ? chunk : chunk.subarray(offset));
      return chunk.length;
    }
    return this.#decodeChunked(chunk, offset);
  }

  #decodeLength(chunk: Buffer, offset: number): number {
    const end = Math.min(chunk.length, offset + this.#left);
    this.#left -= end - offset;
    this.#sink.onBodyData(offset === 0 && end === chunk.length ? chunk : chunk.subarray(offset, end));
    if (this.#left === 0 && this.#mode === Mode.length) this.#finish(null);
    return end;
  }

  #decodeChunked(chunk: Buffer, offset: number): number {
    let index = offset;
    // The data found so far and not handed on: [runStart, runEnd).
    let runStart = 0;
    let runEnd = 0;
    while (index < chunk.length && this.#mode !== Mode.none) {
      if (this.#mode === Mode.chunkData) {
        const end = Math.min(chunk.length, index + this.#left);
        this.#left -= end - index;
        if (runEnd > runStart && end - index > MAX_MOVED_BYTES) {
          this.#sink.onBodyData(chunk.subarray(runStart, runEnd));
          runStart = runEnd = 0;
          if (this.#mode !== Mode.chunkData) return end;
        }
        if (runEnd === runStart) runStart = runEnd = index;
        else if (end - index > MAX_LOOPED_BYTES) chunk.copyWithin(runEnd, index, end);
        else for (let byte = index; byte < end; byte++) chunk[runEnd + byte - index] = chunk[byte] as number;
        runEnd += end - index;
        index = end;
        if (this.#left === 0) this.#mode = Mode.chunkCr;
      } else if (this.#mode === Mode.trailers) {
        if (runEnd > runStart) {
          this.#sink.onBodyData(chunk.subarray(runStart, runEnd));
          runStart = runEnd = 0;
          if (this.#mode !== Mode.trailers) return index;
        }
        index = this.#readTrailers(chunk, index);
      } else {
        this.#readFraming(chunk[index++] as number);
      }
    }
    // What came before an error is not handed on: the message is void.
    if (runEnd > runStart && this.#mode !== Mode.none) this.#sink.onBodyData(chunk.subarray(runStart, runEnd));
    return index;
  }

  #readFraming(byte: number): void {
    if (this.#mode === Mode.chunkHeader) {
      const outcome = this.#chunkHeader.read(byte);
      if (outcome === 1) this.#startChunk();
      else if (outcome < 0) this.#fail(syntaxError(this.#chunkHeader.error));
    } else if (this.#mode === Mode.chunkCr) {
      if (byte === CR) this.#mode = Mode.chunkLf;
      else this.#fail(syntaxError("chunk longer than its size"));
    } else if (byte === LF) {
      this.#mode = Mode.chunkHeader;
      this.#chunkHeader.reset();
    } else {
      this.#fail(syntaxError("chunk data without CRLF"));
    }
  }

  #startChunk(): void {
    this.#left = this.#chunkHeader.size;
    if (this.#left > 0) {
      this.#mode = Mode.chunkData;
      return;
    }
    this.#mode = Mode.trailers;
    this.#trailers ??= new Http1HeadBuffer(this.#limits.maxTrailerBytes, maxLinesOf(this.#limits.maxHeaders));
  }

  #readTrailers(chunk: Buffer, offset: number): number {
    const buffer = this.#trailers as Http1HeadBuffer;
    let trailers: HeaderList | null;
    let end: number;
    try {
      end = buffer.take(chunk, offset);
      if (end < 0) return chunk.length;
      trailers = parseTrailers(buffer);
    } catch (error) {
      this.#fail(error as ProxyError);
      return chunk.length;
    }
    this.#finish(trailers);
    return end;
  }

  #finish(trailers: HeaderList | null): void {
    this.#mode = Mode.none;
    this.#sink.onBodyEnd(trailers);
  }

  #fail(error: ProxyError): void {
    this.error = error;
    this.stop();
  }
}
