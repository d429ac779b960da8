/** What a client sends before its first frame (RFC 9113 section 3.4). */
export const PREFACE: Buffer = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

export const FRAME_HEADER_BYTES = 9;
/** Largest payload a peer that said nothing else takes (RFC 9113 section 4.2). */
export const DEFAULT_MAX_FRAME_BYTES = 16_384;
/** Largest stream identifier and largest window. */
export const MAX_UINT31 = 0x7fffffff;

/** RFC 9113 section 6. */
export const FrameType = {
  data: 0, headers: 1, priority: 2, resetStream: 3, settings: 4, pushPromise: 5, ping: 6, goAway: 7, windowUpdate: 8, continuation: 9,
} as const;

/** Bits of a frame's flags; what a bit means depends on the type. */
export const FrameFlag = { endStream: 0x1, ack: 0x1, endHeaders: 0x4, padded: 0x8, priority: 0x20 } as const;
