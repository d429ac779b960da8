import type { Http2BodyLength } from "./http2-body-length.ts";
import type { Http2SendWindow } from "./http2-send-window.ts";
import type { Http2StallLimits } from "./http2-stall-limits.ts";

/** A check that comes later than this was kept from coming by us, and what the peer has sent since may be unread. */
const MAX_COUNTED_MS = 2_000;

/** The stream, as far as it is watched. */
interface WatchedStream {
  /** Holds the peer's body against its announced length; null when none was announced. */
  readonly expected: Http2BodyLength | null;
  readonly sendWindow: Http2SendWindow;
}

/** What ran out: patience with the peer's body, or with its reading. */
export type Http2Late = "slow-body" | "stalled";

/**
 * Patience with one stream whose peer owes something (A59): the rest of a body whose length it announced, or a look at
 * what waits for it. A stream that owes nothing, however long it is silent, has none of these: gRPC streams announce no
 * length. Made when a check first finds a debt, and asked at every check, about once a second.
 *
 * With a body it wears off with time and grows with every octet, never beyond the grace; seconds in which we held the
 * body up do not count. With a reader it begins anew with every octet that it takes.
 */
export class Http2StreamPatience {
  readonly #limits: Http2StallLimits;
  #checkedAtMs: number;
  #leftMs: number;
  #bodyLeft: number;
  #wasHeld = false;
  #taken: number;
  /** Since when the peer has taken nothing; -1: nothing waits for it. */
  #stuckAtMs = -1;

  constructor(limits: Http2StallLimits, stream: WatchedStream, nowMs: number) {
    this.#limits = limits;
    this.#checkedAtMs = nowMs;
    this.#leftMs = limits.bodyGraceMs;
    this.#bodyLeft = stream.expected === null ? 0 : stream.expected.left;
    this.#taken = stream.sendWindow.taken;
  }

  /** `owesBody`, `owesReading`: what of the two the peer owes now. `isHeld`: it is us who keep the body from coming. */
  check(stream: WatchedStream, owesBody: boolean, owesReading: boolean, isHeld: boolean, nowMs: number): Http2Late | null {
    const elapsedMs = Math.min(nowMs - this.#checkedAtMs, MAX_COUNTED_MS);
    this.#checkedAtMs = nowMs;
    if (owesBody && this.#isBodyLate(stream, elapsedMs, isHeld)) return "slow-body";
    return this.#isReaderStuck(stream, owesReading, nowMs) ? "stalled" : null;
  }

  #isBodyLate({ expected }: WatchedStream, elapsedMs: number, isHeld: boolean): boolean {
    const { bodyGraceMs, minBodyBytesPerSecond } = this.#limits;
    const left = expected === null ? 0 : expected.left;
    const came = this.#bodyLeft - left;
    this.#bodyLeft = left;
    const wasHeld = this.#wasHeld;
    this.#wasHeld = isHeld;
    if (bodyGraceMs === 0 || isHeld || wasHeld) return false;
    this.#leftMs = Math.min(bodyGraceMs, this.#leftMs - elapsedMs + (came * 1_000) / minBodyBytesPerSecond);
    return this.#leftMs <= 0;
  }

  #isReaderStuck({ sendWindow }: WatchedStream, owesReading: boolean, nowMs: number): boolean {
    const { stalledMs } = this.#limits;
    const isStuck = owesReading && stalledMs > 0 && sendWindow.taken === this.#taken;
    this.#taken = sendWindow.taken;
    if (!isStuck) this.#stuckAtMs = -1;
    else if (this.#stuckAtMs < 0) this.#stuckAtMs = nowMs;
    return this.#stuckAtMs >= 0 && nowMs - this.#stuckAtMs >= stalledMs;
  }
}
