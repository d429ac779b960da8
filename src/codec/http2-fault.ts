import type { Http2ErrorCode } from "./http2-error-code.ts";

/**
 * What a peer did wrong. With scope `connection` the answer is GOAWAY and the end of the connection, with scope
 * `stream` it is RST_STREAM, and the connection goes on (RFC 9113 section 5.4).
 */
export class Http2Fault {
  readonly scope: "connection" | "stream";
  readonly code: Http2ErrorCode;
  /** The rule that was broken, for logs. */
  readonly reason: string;
  /** 0 when the scope is the connection. */
  readonly streamId: number;

  constructor(code: Http2ErrorCode, reason: string, streamId = 0) {
    this.scope = streamId === 0 ? "connection" : "stream";
    this.code = code;
    this.reason = reason;
    this.streamId = streamId;
  }
}
