import { DEFAULT_HTTP2_FLOOD_LIMITS, HOP_HTTP2_FLOOD_LIMITS, type Http2FloodLimits } from "./http2-flood-limits.ts";
import { MAX_UINT31 } from "./http2-frame.ts";
import { DEFAULT_HTTP2_LIMITS, HOP_HTTP2_LIMITS, type Http2Limits } from "./http2-limits.ts";
import { DEFAULT_HTTP2_STALL_LIMITS, type Http2StallLimits } from "./http2-stall-limits.ts";

/** How one end of an HTTP/2 connection behaves; what of it the peer must know is told in our SETTINGS. */
export interface Http2SessionOptions {
  readonly limits: Http2Limits;
  readonly flood: Http2FloodLimits;
  readonly stalls: Http2StallLimits;
  /** Streams the peer may have open at once; of a server only. */
  readonly maxStreams: number;
  /** What a stream's peer may send before we have passed it on: 65535 to 256 KiB, which is also what we hold of it. */
  readonly streamWindowBytes: number;
  /** The same for all streams together. */
  readonly connectionWindowBytes: number;
  /**
   * While the streams whose readers are slow hold no more than this, they do not count against the connection's window:
   * a slow reader holds up its own stream and no other.
   */
  readonly maxHeldBytes: number;
  /** The last id a stream of ours may have: then the connection is used up. Of a client only. */
  readonly maxStreamId: number;
  /** Size of the peer's dynamic table, by our SETTINGS. */
  readonly headerTableBytes: number;
  /** A CONNECT without `:protocol` is taken (HBONE); of a server only. */
  readonly allowsConnect: boolean;
  /** We offer extended CONNECT (RFC 8441); of a server only. */
  readonly allowsExtendedConnect: boolean;
  /** The peer is one of us: HTTP/1 messages keep their spelling, order and version on the way. */
  readonly isHop: boolean;
}

/** For any peer (hostile.md "Hard limits"). */
export const DEFAULT_HTTP2_SESSION_OPTIONS: Http2SessionOptions = {
  limits: DEFAULT_HTTP2_LIMITS,
  flood: DEFAULT_HTTP2_FLOOD_LIMITS,
  stalls: DEFAULT_HTTP2_STALL_LIMITS,
  maxStreams: 100,
  streamWindowBytes: 65_535,
  connectionWindowBytes: 1024 * 1024,
  maxHeldBytes: 2 * 1024 * 1024,
  maxStreamId: MAX_UINT31,
  headerTableBytes: 4096,
  allowsConnect: false,
  allowsExtendedConnect: true,
  isHop: false,
};

/** For a peer that is one of us: its connection carries what many clients send. */
export const HOP_HTTP2_SESSION_OPTIONS: Http2SessionOptions = {
  ...DEFAULT_HTTP2_SESSION_OPTIONS,
  limits: HOP_HTTP2_LIMITS,
  flood: HOP_HTTP2_FLOOD_LIMITS,
  maxStreams: 1000,
  streamWindowBytes: 128 * 1024,
  connectionWindowBytes: 4 * 1024 * 1024,
  maxHeldBytes: 16 * 1024 * 1024,
  allowsExtendedConnect: false,
  isHop: true,
};
