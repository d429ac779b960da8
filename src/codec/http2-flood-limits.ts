/** How often a peer may do what costs it little and us more (hostile.md "Hard limits" and C01 to C06). */
export interface Http2FloodLimits {
  /** Streams that may be opened a second beyond those that ended in order, and at once. */
  readonly maxStreamsPerSecond: number;
  readonly maxStreamBurst: number;
  /** RST_STREAM in `windowMs`, received and sent counted apart. */
  readonly maxResets: number;
  /** PING, SETTINGS, PRIORITY, WINDOW_UPDATE and unknown frames in `windowMs` beyond what our own DATA explains. */
  readonly maxControlFrames: number;
  /** DATA frames without data that end nothing, in `windowMs`. */
  readonly maxEmptyData: number;
  readonly windowMs: number;
}

export const DEFAULT_HTTP2_FLOOD_LIMITS: Http2FloodLimits = {
  maxStreamsPerSecond: 200,
  maxStreamBurst: 400,
  maxResets: 100,
  maxControlFrames: 500,
  maxEmptyData: 50,
  windowMs: 10_000,
};

/**
 * For a peer that is one of us: its connection carries the streams of many clients, and one of them that gives up a
 * lot must not cost the others theirs. What bounds it is the number of streams at once.
 */
export const HOP_HTTP2_FLOOD_LIMITS: Http2FloodLimits = {
  maxStreamsPerSecond: 20_000,
  maxStreamBurst: 40_000,
  maxResets: 20_000,
  maxControlFrames: 5_000,
  maxEmptyData: 1_000,
  windowMs: 10_000,
};
