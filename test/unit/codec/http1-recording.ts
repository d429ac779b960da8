import { DEFAULT_HTTP1_LIMITS, type Http1Limits } from "../../../src/codec/http1-limits.ts";
import { Http1RequestParser, type Http1RequestSink } from "../../../src/codec/http1-request-parser.ts";
import { Http1ResponseParser, type Http1ResponseSink } from "../../../src/codec/http1-response-parser.ts";
import type { RequestHead, ResponseHead } from "../../../src/message/head.ts";
import type { HeaderList } from "../../../src/message/header-list.ts";
import type { ProxyError } from "../../../src/message/proxy-error.ts";

/** A message as a parser told of it. */
export interface Recorded<Head> {
  head: Head;
  body: string;
  trailers: [string, string][] | null;
  isComplete: boolean;
  keepsAlive: boolean;
}

/** Writes down what a request parser says; messages follow each other without delay. */
export class RequestRecorder implements Http1RequestSink {
  readonly messages: Recorded<RequestHead>[] = [];
  error: ProxyError | null = null;
  dataEvents = 0;
  readonly parser: Http1RequestParser;

  constructor(options: { isTls?: boolean; limits?: Http1Limits } = {}) {
    const origin = { isTls: options.isTls ?? false, defaultAuthority: "192.0.2.1:80" };
    this.parser = new Http1RequestParser(this, options.limits ?? DEFAULT_HTTP1_LIMITS, origin);
  }

  push(chunk: Buffer): void {
    let index = 0;
    while (index < chunk.length && this.error === null) {
      index = this.parser.push(chunk, index);
      if (this.parser.isComplete) this.parser.next();
    }
  }

  onRequestHead(head: RequestHead, hasBody: boolean): void {
    this.messages.push({ head, body: "", trailers: null, isComplete: !hasBody, keepsAlive: this.parser.keepsAlive });
  }

  onBodyData(chunk: Buffer): void {
    this.dataEvents++;
    (this.messages.at(-1) as Recorded<RequestHead>).body += chunk.toString("latin1");
  }

  onBodyEnd(trailers: HeaderList | null): void {
    const message = this.messages.at(-1) as Recorded<RequestHead>;
    message.isComplete = true;
    message.trailers = trailers === null ? null : trailers.toPairs();
  }

  onMalformed(error: ProxyError): void {
    this.error = error;
  }
}

/** Writes down what a response parser says of the answers to `requests`, one after the other. */
export class ResponseRecorder implements Http1ResponseSink {
  readonly messages: Recorded<ResponseHead>[] = [];
  readonly informational: ResponseHead[] = [];
  error: ProxyError | null = null;
  /** How many bytes came that no request had asked for. */
  unsolicitedBytes = 0;
  readonly parser: Http1ResponseParser;

  constructor(method = "GET", upgrade: string | null = null, limits: Http1Limits = DEFAULT_HTTP1_LIMITS) {
    this.parser = new Http1ResponseParser(this, limits);
    this.parser.expect(method, upgrade);
  }

  push(chunk: Buffer): void {
    this.unsolicitedBytes += chunk.length - this.parser.push(chunk);
  }

  onInformational(head: ResponseHead): void {
    this.informational.push(head);
  }

  onResponseHead(head: ResponseHead, hasBody: boolean): void {
    this.messages.push({ head, body: "", trailers: null, isComplete: !hasBody, keepsAlive: this.parser.keepsAlive });
  }

  onBodyData(chunk: Buffer): void {
    (this.messages.at(-1) as Recorded<ResponseHead>).body += chunk.toString("latin1");
  }

  onBodyEnd(trailers: HeaderList | null): void {
    const message = this.messages.at(-1) as Recorded<ResponseHead>;
    message.isComplete = true;
    message.trailers = trailers === null ? null : trailers.toPairs();
  }

  onMalformed(error: ProxyError): void {
    this.error = error;
  }
}

/** Parses `text` (latin1), given whole. */
export function parseRequests(text: string, options: { isTls?: boolean; limits?: Http1Limits } = {}): RequestRecorder {
  const recorder = new RequestRecorder(options);
  recorder.push(Buffer.from(text, "latin1"));
  return recorder;
}

/** Parses `text` (latin1) as the answer to one request. */
export function parseResponse(text: string, method = "GET", upgrade: string | null = null): ResponseRecorder {
  const recorder = new ResponseRecorder(method, upgrade);
  recorder.push(Buffer.from(text, "latin1"));
  return recorder;
}
