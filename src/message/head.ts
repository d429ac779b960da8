import { HeaderList } from "./header-list.ts";

export type HttpVersion = "HTTP/1.0" | "HTTP/1.1" | "HTTP/2";

/**
 * The head of a request, whatever version carried it. What decides framing (Content-Length, Transfer-Encoding) has
 * been read and taken out of `headers`; so has Host, which is `authority`. A codec writes its own framing from
 * `contentLength` and never copies it from a header.
 */
export class RequestHead {
  method: string;
  /** `http` or `https`, as the downstream connection was or an absolute-form target said. */
  scheme: string;
  /** Host and optional port as sent; from an absolute-form target when there was one. Never empty. */
  authority: string;
  /** Origin-form target: path and query, or `*`. Never has a fragment. */
  path: string;
  version: HttpVersion;
  headers: HeaderList;
  /** Bytes of body announced, or -1 when its end is told otherwise (chunked), or 0 when there is none. */
  contentLength: number;
  /** The one protocol token of an upgrade that may become a tunnel (`websocket`), lower case, else null. */
  upgrade: string | null = null;
  /** True when the client sent `Expect: 100-continue`; the field itself is taken out and written anew. */
  expectsContinue = false;
  /** How the name of the Host field was written, so that it goes out as it came. */
  hostName = "Host";
  /** Bytes the head took on the wire. */
  wireBytes = 0;

  constructor(method: string, authority: string, path: string, headers: HeaderList, contentLength = 0) {
    this.method = method;
    this.scheme = "http";
    this.authority = authority;
    this.path = path;
    this.version = "HTTP/1.1";
    this.headers = headers;
    this.contentLength = contentLength;
  }
}

/** The head of a response. Framing fields are taken out of `headers` as for a request. */
export class ResponseHead {
  status: number;
  /** Reason phrase as sent; HTTP/2 has none. */
  reason: string;
  headers: HeaderList;
  /** As for a request; for HEAD, 204 and 304 the length the header announced (or -1), though no body follows. */
  contentLength: number;
  version: HttpVersion = "HTTP/1.1";
  wireBytes = 0;

  constructor(status: number, reason: string, headers: HeaderList, contentLength: number) {
    this.status = status;
    this.reason = reason;
    this.headers = headers;
    this.contentLength = contentLength;
  }
}
