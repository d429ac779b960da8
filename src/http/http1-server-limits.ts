import { DEFAULT_HTTP1_LIMITS, type Http1Limits } from "../codec/http1-limits.ts";
import type { Clock } from "../core/clock.ts";
import type { TimerWheel } from "../core/timer-wheel.ts";
import type { BodyRate } from "./http1-body-patience.ts";

/** Times and bounds of a downstream connection. */
export interface Http1ServerLimits {
  readonly codec: Http1Limits;
  /** From the first byte of a head to its last (A58). */
  readonly headTimeoutMs: number;
  /** Between a response and the next request; 0: no limit. */
  readonly idleTimeoutMs: number;
  /** The same from the moment the connection is to be drained, when its next response will close it. */
  readonly drainIdleTimeoutMs: number;
  readonly bodyRate: BodyRate;
  /**
   * From the FIN of a plaintext peer, or from the turn of its next request, to the beginning of the response; then the
   * peer counts as gone. 0: no limit.
   */
  readonly halfClosedMs: number;
  /** How long a peer may take nothing at all of a response of which more waits than the watermark (A59); 0: no limit. */
  readonly stalledResponseMs: number;
  /** Bytes of later requests taken in while one is served. */
  readonly maxHeldBytes: number;
}

/** spec/07 section 7.7 and the hard limits of hostile.md. */
export const DEFAULT_HTTP1_SERVER_LIMITS: Http1ServerLimits = {
  codec: DEFAULT_HTTP1_LIMITS,
  headTimeoutMs: 10_000,
  idleTimeoutMs: 3_600_000,
  drainIdleTimeoutMs: 5_000,
  halfClosedMs: 5_000,
  stalledResponseMs: 300_000,
  bodyRate: { graceMs: 10_000, minBytesPerSecond: 256 },
  maxHeldBytes: 64 * 1024,
};

export interface Http1ServerOptions {
  readonly clock: Clock;
  readonly timers: TimerWheel;
  readonly limits?: Http1ServerLimits;
}
