import { Http2ErrorCode } from "./http2-error-code.ts";
import { Http2Fault } from "./http2-fault.ts";
import { FrameFlag, FrameType } from "./http2-frame.ts";

const { protocolError, frameSizeError } = Http2ErrorCode;

/**
 * What can be said against a frame by its header alone (RFC 9113 sections 6.1 to 6.10), before anything of its payload
 * is kept. Null for a frame in order and for types nobody knows. A fault of scope `stream` means: pass the frame over.
 */
export function frameHeaderFault(type: number, flags: number, streamId: number, length: number): Http2Fault | null {
  switch (type) {
    case FrameType.data:
    case FrameType.headers:
      if (streamId === 0) return new Http2Fault(protocolError, "frame on stream 0");
      return length < fixedPart(type, flags) ? new Http2Fault(frameSizeError, "frame too short for its fields") : null;
    case FrameType.priority:
      if (streamId === 0) return new Http2Fault(protocolError, "PRIORITY on stream 0");
      return length === 5 ? null : new Http2Fault(frameSizeError, "PRIORITY of the wrong length", streamId);
    case FrameType.resetStream:
      if (streamId === 0) return new Http2Fault(protocolError, "RST_STREAM on stream 0");
      return length === 4 ? null : new Http2Fault(frameSizeError, "RST_STREAM of the wrong length");
    case FrameType.settings:
      if (streamId !== 0) return new Http2Fault(protocolError, "SETTINGS on a stream");
      return length % 6 !== 0 || ((flags & FrameFlag.ack) !== 0 && length !== 0) ? new Http2Fault(frameSizeError, "SETTINGS of the wrong length") : null;
    case FrameType.pushPromise:
      // We disable it, and a client may never send it (RFC 9113 section 8.4).
      return new Http2Fault(protocolError, "PUSH_PROMISE");
    case FrameType.ping:
      if (streamId !== 0) return new Http2Fault(protocolError, "PING on a stream");
      return length === 8 ? null : new Http2Fault(frameSizeError, "PING of the wrong length");
    case FrameType.goAway:
      if (streamId !== 0) return new Http2Fault(protocolError, "GOAWAY on a stream");
      return length >= 8 ? null : new Http2Fault(frameSizeError, "GOAWAY too short");
    case FrameType.windowUpdate:
      return length === 4 ? null : new Http2Fault(frameSizeError, "WINDOW_UPDATE of the wrong length");
    default:
      return null;
  }
}

/** Octets the flags of a DATA or HEADERS frame ask for. */
function fixedPart(type: number, flags: number): number {
  const padding = (flags & FrameFlag.padded) === 0 ? 0 : 1;
  return type === FrameType.headers && (flags & FrameFlag.priority) !== 0 ? padding + 5 : padding;
}
