import { DEFAULT_MAX_FRAME_BYTES } from "./http2-frame.ts";

/** Bounds on what one peer may make us hold or look at (hostile.md "Hard limits"). What it may do how often, see `Http2FloodLimits`. */
export interface Http2Limits {
  /** Our SETTINGS_MAX_FRAME_SIZE. */
  readonly maxFrameBytes: number;
  /** A header block as it comes, HEADERS and CONTINUATION together. */
  readonly maxBlockBytes: number;
  /** CONTINUATION frames of one block. */
  readonly maxContinuations: number;
  /** Entries of one SETTINGS frame (CVE-2020-11080). */
  readonly maxSettings: number;
  /** A decoded header block: names, values and 32 octets a field (RFC 9113 section 6.5.2), every cookie crumb counted. */
  readonly maxHeaderBytes: number;
  /** Fields of a block but pseudo-headers, all cookie crumbs counted as one. */
  readonly maxHeaders: number;
  /** Cookie fields of a block: browsers send one for each cookie, and hold no more than about 180 for a host. */
  readonly maxCookieCrumbs: number;
  readonly maxTargetBytes: number;
  readonly maxTrailerBytes: number;
}

export const DEFAULT_HTTP2_LIMITS: Http2Limits = {
  maxFrameBytes: DEFAULT_MAX_FRAME_BYTES,
  maxBlockBytes: 64 * 1024,
  maxContinuations: 8,
  maxSettings: 64,
  maxHeaderBytes: 60 * 1024,
  maxHeaders: 100,
  maxCookieCrumbs: 200,
  maxTargetBytes: 8 * 1024,
  maxTrailerBytes: 8 * 1024,
};

/**
 * For a peer that is one of us and sends on what an HTTP/1 client sent: a head that was within the limits there must be
 * here, with what the hop adds and 32 octets a field.
 */
export const HOP_HTTP2_LIMITS: Http2Limits = {
  ...DEFAULT_HTTP2_LIMITS,
  maxBlockBytes: 80 * 1024,
  maxHeaderBytes: 80 * 1024,
  maxHeaders: 120,
  maxTrailerBytes: 16 * 1024,
};
