import { Http2ErrorCode } from "./http2-error-code.ts";
import { Http2Fault } from "./http2-fault.ts";
import { DEFAULT_MAX_FRAME_BYTES, MAX_UINT31 } from "./http2-frame.ts";

/** RFC 9113 section 6.5.2, RFC 8441 section 3. */
export const SettingId = {
  headerTableSize: 1, enablePush: 2, maxConcurrentStreams: 3, initialWindowSize: 4, maxFrameSize: 5, maxHeaderListSize: 6, enableConnectProtocol: 8,
} as const;

const MAX_FRAME_SIZE = 0xffffff;

/** The settings one peer has sent; until then what RFC 9113 assumes. */
export class Http2Settings {
  headerTableSize = 4096;
  maxConcurrentStreams: number = Number.POSITIVE_INFINITY;
  initialWindowSize = 65_535;
  maxFrameSize = DEFAULT_MAX_FRAME_BYTES;
  maxHeaderListSize: number = Number.POSITIVE_INFINITY;
  enableConnectProtocol = false;

  /**
   * Applies the payload of a SETTINGS frame, `bytes[start, end)`, whose length is a multiple of 6, in order. Null when
   * every value is allowed, else what to answer. Settings nobody knows are passed over. `isServer`: the sender is one.
   */
  apply(bytes: Buffer, start: number, end: number, isServer: boolean): Http2Fault | null {
    for (let at = start; at < end; at += 6) {
      const fault = this.#set(bytes.readUInt16BE(at), bytes.readUInt32BE(at + 2), isServer);
      if (fault !== null) return fault;
    }
    return null;
  }

  #set(id: number, value: number, isServer: boolean): Http2Fault | null {
    switch (id) {
      case SettingId.headerTableSize:
        this.headerTableSize = value;
        return null;
      case SettingId.enablePush:
        // We never push, so a client's wish is no matter; a server may not wish at all (RFC 9113 section 6.5.2).
        return value > 1 || (isServer && value === 1) ? new Http2Fault(Http2ErrorCode.protocolError, "invalid ENABLE_PUSH") : null;
      case SettingId.maxConcurrentStreams:
        this.maxConcurrentStreams = value;
        return null;
      case SettingId.initialWindowSize:
        if (value > MAX_UINT31) return new Http2Fault(Http2ErrorCode.flowControlError, "invalid INITIAL_WINDOW_SIZE");
        this.initialWindowSize = value;
        return null;
      case SettingId.maxFrameSize:
        if (value < DEFAULT_MAX_FRAME_BYTES || value > MAX_FRAME_SIZE) return new Http2Fault(Http2ErrorCode.protocolError, "invalid MAX_FRAME_SIZE");
        this.maxFrameSize = value;
        return null;
      case SettingId.maxHeaderListSize:
        this.maxHeaderListSize = value;
        return null;
      case SettingId.enableConnectProtocol:
        // RFC 8441 section 3: once offered it is not taken back.
        if (value > 1 || (value === 0 && this.enableConnectProtocol)) return new Http2Fault(Http2ErrorCode.protocolError, "invalid ENABLE_CONNECT_PROTOCOL");
        this.enableConnectProtocol = value === 1;
        return null;
      default:
        return null;
    }
  }
}
