/** How long a peer may keep a stream waiting that it owes something. What it owes: see `Http2StreamPatience`. */
export interface Http2StallLimits {
  /** Patience with an announced request body at its start, and the most that can be saved up; 0: any rate will do. */
  readonly bodyGraceMs: number;
  readonly minBodyBytesPerSecond: number;
  /** How long a peer may take nothing at all of what waits for it; 0: for ever. */
  readonly stalledMs: number;
}

/** As for HTTP/1 (A59; the hard limits of hostile.md). */
export const DEFAULT_HTTP2_STALL_LIMITS: Http2StallLimits = { bodyGraceMs: 10_000, minBodyBytesPerSecond: 256, stalledMs: 300_000 };
