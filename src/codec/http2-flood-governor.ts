import { Http2ErrorCode } from "./http2-error-code.ts";
import { Http2Fault } from "./http2-fault.ts";
import type { Http2FloodLimits } from "./http2-flood-limits.ts";

/** Control frames that one DATA frame or one stream of ours explains: window updates, measuring pings. */
const CREDIT_PER_DATA = 4;
const CREDIT_PER_STREAM = 4;
const MAX_CREDIT = 4000;

/**
 * Counts what the peer of one connection does too often. Every method takes the time (`Clock.monotonicMs`) and answers
 * null, or the fault by which the connection ends (ENHANCE_YOUR_CALM).
 *
 * Streams are charged when they open and credited when they end in order: any rate of requests that are answered is
 * welcome, since many clients put all they have on one connection, while streams that are opened and given up, or reset
 * for a fault, use the allowance up (CVE-2023-44487, CVE-2025-8671).
 */
export class Http2FloodGovernor {
  readonly #limits: Http2FloodLimits;
  #streams: number;
  #streamsAt = 0;
  #windowStart: number;
  #receivedResets = 0;
  #sentResets = 0;
  #control = 0;
  #emptyData = 0;
  #credit = 0;

  constructor(limits: Http2FloodLimits, nowMs: number) {
    this.#limits = limits;
    this.#streams = limits.maxStreamBurst;
    this.#streamsAt = nowMs;
    this.#windowStart = nowMs;
  }

  /** The peer opened a stream. */
  streamOpened(nowMs: number): Http2Fault | null {
    const { maxStreamsPerSecond, maxStreamBurst } = this.#limits;
    this.#streams = Math.min(maxStreamBurst, this.#streams + ((nowMs - this.#streamsAt) * maxStreamsPerSecond) / 1000);
    this.#streamsAt = nowMs;
    this.#credit = Math.min(MAX_CREDIT, this.#credit + CREDIT_PER_STREAM);
    if (this.#streams < 1) return tooMany("streams given up");
    this.#streams--;
    return null;
  }

  /** A stream ended in order: both sides said all they had to. */
  streamFinished(): void {
    this.#streams = Math.min(this.#limits.maxStreamBurst, this.#streams + 1);
  }

  resetReceived(nowMs: number): Http2Fault | null {
    this.#roll(nowMs);
    return ++this.#receivedResets > this.#limits.maxResets ? tooMany("RST_STREAM") : null;
  }

  /** We reset a stream for what the peer did: the peer made us (C02). */
  resetSent(nowMs: number): Http2Fault | null {
    this.#roll(nowMs);
    return ++this.#sentResets > this.#limits.maxResets ? tooMany("stream errors") : null;
  }

  /** PING, SETTINGS, PRIORITY, WINDOW_UPDATE, or a frame of a type nobody knows. Not ACKs we asked for. */
  controlReceived(nowMs: number): Http2Fault | null {
    if (this.#credit > 0) {
      this.#credit--;
      return null;
    }
    this.#roll(nowMs);
    return ++this.#control > this.#limits.maxControlFrames ? tooMany("control frames") : null;
  }

  /** We sent a DATA frame. */
  dataSent(): void {
    if (this.#credit < MAX_CREDIT) this.#credit += CREDIT_PER_DATA;
  }

  /** A DATA frame without data that did not end its stream (CVE-2019-9518). */
  emptyDataReceived(nowMs: number): Http2Fault | null {
    this.#roll(nowMs);
    return ++this.#emptyData > this.#limits.maxEmptyData ? tooMany("empty DATA") : null;
  }

  /** Begins a new window when the last one is over. */
  #roll(nowMs: number): void {
    if (nowMs - this.#windowStart < this.#limits.windowMs) return;
    this.#windowStart = nowMs;
    this.#receivedResets = 0;
    this.#sentResets = 0;
    this.#control = 0;
    this.#emptyData = 0;
  }
}

function tooMany(what: string): Http2Fault {
  return new Http2Fault(Http2ErrorCode.enhanceYourCalm, `too many ${what}`);
}
