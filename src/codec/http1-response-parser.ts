import type { ResponseHead } from "../message/head.ts";
import { ProxyError } from "../message/proxy-error.ts";
import { type Http1BodySink, Http1BodyDecoder } from "./http1-body.ts";
import { Http1HeadBuffer } from "./http1-head-buffer.ts";
import { maxLinesOf } from "./http1-head-end.ts";
import type { Http1Limits } from "./http1-limits.ts";
import { Http1ResponseHeadParser, isBodiless } from "./http1-response-head.ts";
import { syntaxError } from "./http1-syntax.ts";

/** Told what a connection's responses hold. */
export interface Http1ResponseSink extends Http1BodySink {
  /** An informational response, not 101. */
  onInformational(head: ResponseHead): void;
  /** The final head, or 101. `hasBody` false: neither `onBodyData` nor `onBodyEnd` follows. */
  onResponseHead(head: ResponseHead, hasBody: boolean): void;
  /** What came is no answer to the request; nothing more is parsed. The error's code is `upstream_protocol`. */
  onMalformed(error: ProxyError): void;
}

const State = { idle: 0, head: 1, body: 2, tunnel: 3, stopped: 4 } as const;
type State = (typeof State)[keyof typeof State];

/** How every status line begins that we read. */
const VERSION = Buffer.from("HTTP/1.", "latin1");

/**
 * The client side's parser. It expects one response at a time, after `expect`; bytes while none is expected are not
 * taken, and their being there means that the connection is not to be used again (A57, CVE-2026-48931).
 */
export class Http1ResponseParser {
  readonly #sink: Http1ResponseSink;
  readonly #limits: Http1Limits;
  readonly #heads: Http1HeadBuffer;
  readonly #headParser = new Http1ResponseHeadParser();
  readonly #body: Http1BodyDecoder;
  #state: State = State.idle;
  #method = "";
  #upgrade: string | null = null;
  #informational = 0;
  #endedWithConnection = false;

  constructor(sink: Http1ResponseSink, limits: Http1Limits) {
    this.#sink = sink;
    this.#limits = limits;
    this.#heads = new Http1HeadBuffer(limits.maxHeadBytes, maxLinesOf(limits.maxHeaders));
    this.#body = new Http1BodyDecoder(sink, limits);
  }

  /** True when no response is under way. */
  get isIdle(): boolean {
    return this.#state === State.idle;
  }

  /** True while the head of the response is awaited. */
  get awaitsHead(): boolean {
    return this.#state === State.head;
  }

  /** Whether the connection may carry another request after the response last read. */
  get keepsAlive(): boolean {
    return this.#headParser.keepsAlive && !this.#endedWithConnection;
  }

  /** Seconds of the last response's `Keep-Alive: timeout=`, or -1. */
  get keepAliveSeconds(): number {
    return this.#headParser.keepAliveSeconds;
  }

  /** Expects the response to a request; `upgrade` is the protocol it asked for, or null. */
  expect(method: string, upgrade: string | null): void {
    this.#state = State.head;
    this.#method = method;
    this.#upgrade = upgrade;
    this.#informational = 0;
    this.#endedWithConnection = false;
  }

  /** Parses `chunk` from its beginning; returns the offset of the first byte that belongs to no expected response. */
  push(chunk: Buffer): number {
    let index = 0;
    while (this.#state === State.head && index < chunk.length) index = this.#readHead(chunk, index);
    if (this.#state === State.body) {
      index = this.#body.decode(chunk, index);
      if (this.#body.error !== null) this.#fail(this.#body.error);
      else if (this.#state === State.body && !this.#body.isActive) this.#state = State.idle;
    } else if (this.#state === State.tunnel && index < chunk.length) {
      this.#sink.onBodyData(index === 0 ? chunk : chunk.subarray(index));
      index = chunk.length;
    }
    return this.#state === State.stopped ? chunk.length : index;
  }

  /** The connection ended in order. True when that was the end of the response (RFC 9112 section 6.3 item 8). */
  endOfConnection(): boolean {
    const ends = this.#state === State.tunnel || (this.#state === State.body && this.#body.endsWithConnection);
    if (!ends) return false;
    this.#state = State.stopped;
    this.#body.stop();
    this.#sink.onBodyEnd(null);
    return true;
  }

  /** Parses nothing more and tells nothing more. */
  stop(): void {
    this.#state = State.stopped;
    this.#body.stop();
  }

  #readHead(chunk: Buffer, offset: number): number {
    let head: ResponseHead;
    let end: number;
    try {
      end = this.#heads.take(chunk, offset);
      if (end < 0) {
        checkBeginning(this.#heads.part);
        return chunk.length;
      }
      head = this.#headParser.parse(this.#heads, this.#method);
      if (head.status < 200) this.#checkInformational(head.status);
    } catch (error) {
      this.#fail(error as ProxyError);
      return chunk.length;
    }
    if (head.status >= 200) this.#begin(head);
    else if (head.status === 101) this.#beginTunnel(head);
    else this.#sink.onInformational(head);
    return end;
  }

  /** Only a wanted upgrade to what was asked for may switch (A50); a flood of 1xx is refused (A57). */
  #checkInformational(status: number): void {
    if (status !== 101) {
      if (++this.#informational > this.#limits.maxInformational) throw syntaxError("too many informational responses");
      return;
    }
    if (this.#upgrade === null) throw syntaxError("101 that was not asked for");
    if (this.#headParser.upgrade !== this.#upgrade) throw syntaxError("101 to another protocol");
  }

  #begin(head: ResponseHead): void {
    if (isBodiless(this.#method, head.status) || head.contentLength === 0) {
      this.#state = State.idle;
      this.#sink.onResponseHead(head, false);
      return;
    }
    this.#state = State.body;
    if (this.#headParser.isChunked) {
      this.#body.startChunked();
    } else if (head.contentLength >= 0) {
      this.#body.startLength(head.contentLength);
    } else {
      this.#body.startUntilClose();
      this.#endedWithConnection = true;
    }
    this.#sink.onResponseHead(head, true);
  }

  #beginTunnel(head: ResponseHead): void {
    this.#state = State.tunnel;
    this.#endedWithConnection = true;
    this.#sink.onResponseHead(head, true);
  }

  #fail(error: ProxyError): void {
    this.stop();
    this.#sink.onMalformed(new ProxyError("upstream_protocol", error.reason === "" ? error.code : error.reason));
  }
}

/**
 * Refuses at once what cannot become a status line: a peer of another protocol says its greeting and then waits, and so
 * would the request.
 */
function checkBeginning(part: Buffer): void {
  const length = Math.min(part.length, VERSION.length);
  if (part.compare(VERSION, 0, length, 0, length) !== 0) throw syntaxError("invalid version in status line");
}
