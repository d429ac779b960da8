import type { Clock } from "../core/clock.ts";
import type { Timer, TimerWheel } from "../core/timer-wheel.ts";
import { Http2ErrorCode } from "./http2-error-code.ts";
import { Http2Fault } from "./http2-fault.ts";
import type { Http2Session } from "./http2-session.ts";

const CHECK_INTERVAL_MS = 1_000;
/** For the preface and SETTINGS, and for the acknowledgement of ours (RFC 9113 section 6.5.3). */
const SETTINGS_TIMEOUT_MS = 10_000;
/** From the first octet of a header block to its last, as for HTTP/1 (A58). */
const FRAME_TIMEOUT_MS = 10_000;
/** PINGs into one silence that come at the usual interval. gRPC servers take more, more often than this, for an attack. */
const MAX_EARLY_PINGS = 2;
const LATE_PING_MS = 310_000;

/** Whether a silent peer is asked for a sign of life while streams wait for it (F07). */
export interface Http2KeepAlive {
  /** Silence after which it is asked; 0: never. */
  readonly intervalMs: number;
  /** How long it may take to answer. */
  readonly timeoutMs: number;
  /** It may be asked at this interval as long as the silence lasts: it is one of us. */
  readonly isPatient: boolean;
}

/** spec/07 section 7.13 has no such limit; faults.md F07 asks for 30 s at most. */
export const DEFAULT_HTTP2_KEEP_ALIVE: Http2KeepAlive = { intervalMs: 15_000, timeoutMs: 5_000, isPatient: false };

/**
 * Watches a peer that is due to say something: its settings, the rest of a frame or of a body, an answer to PING. It looks once a
 * second while there is something to wait for, and schedules nothing otherwise.
 */
export class Http2SessionWatch {
  readonly #session: Http2Session;
  readonly #keepAlive: Http2KeepAlive;
  readonly #timers: TimerWheel;
  readonly #clock: Clock;
  readonly #onSilent: () => void;
  #timer: Timer | null = null;
  #startedAtMs = 0;
  /** Reads so far, and when their number last changed as far as the checks saw. */
  #reads = 0;
  #readsSeen = 0;
  #readAtMs = 0;
  /** Frames read when the one under way was first seen, and when that was; -1: none is. */
  #partialFrames = -1;
  #partialAtMs = 0;
  /** When the last PING into this silence was sent; -1: there was none. */
  #pingAtMs = -1;
  #pings = 0;

  /** `onSilent` is told when the peer has not answered a PING: nothing of the connection works any more. */
  constructor(session: Http2Session, keepAlive: Http2KeepAlive, timers: TimerWheel, clock: Clock, onSilent: () => void) {
    this.#session = session;
    this.#keepAlive = keepAlive;
    this.#timers = timers;
    this.#clock = clock;
    this.#onSilent = onSilent;
  }

  /** The session has begun. */
  start(): void {
    this.#startedAtMs = this.#readAtMs = this.#clock.monotonicMs();
    this.#schedule();
  }

  /** Something was read. */
  received(): void {
    this.#reads++;
    if (this.#timer === null && this.#session.hasPartialFrame) this.#schedule();
  }

  /** There are streams. */
  streamOpened(): void {
    if (this.#timer !== null) return;
    this.#readAtMs = this.#clock.monotonicMs();
    this.#schedule();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  #schedule(): void {
    this.#timer = this.#timers.schedule(CHECK_INTERVAL_MS, this.#check);
  }

  readonly #check = (): void => {
    this.#timer = null;
    const session = this.#session;
    if (session.isOver) return;
    const nowMs = this.#clock.monotonicMs();
    const waits = [this.#checkSettings(nowMs), this.#checkFrame(nowMs), this.#checkLife(nowMs), this.#checkStreams(nowMs)];
    if (!session.isOver && waits.includes(true)) this.#schedule();
  };

  #checkSettings(nowMs: number): boolean {
    const session = this.#session;
    if (!session.awaitsSettings && !session.awaitsSettingsAck) return false;
    if (nowMs - this.#startedAtMs >= SETTINGS_TIMEOUT_MS) session.fail(new Http2Fault(Http2ErrorCode.settingsTimeout, "no SETTINGS, or none acknowledged"));
    return true;
  }

  #checkFrame(nowMs: number): boolean {
    const session = this.#session;
    if (!session.hasPartialFrame) {
      this.#partialFrames = -1;
      return false;
    }
    if (this.#partialFrames !== session.framesRead) {
      this.#partialFrames = session.framesRead;
      this.#partialAtMs = nowMs;
    } else if (nowMs - this.#partialAtMs >= FRAME_TIMEOUT_MS) {
      session.fail(new Http2Fault(Http2ErrorCode.enhanceYourCalm, "a frame was not completed in time"));
    }
    return true;
  }

  #checkLife(nowMs: number): boolean {
    const { intervalMs, timeoutMs, isPatient } = this.#keepAlive;
    const session = this.#session;
    if (this.#reads !== this.#readsSeen) {
      this.#readsSeen = this.#reads;
      this.#readAtMs = nowMs;
      // The answer to a PING is a sign of life, and does not end the silence of the streams.
      if (this.#pingAtMs < 0 || nowMs - this.#pingAtMs > timeoutMs) this.#pings = 0;
      this.#pingAtMs = -1;
    }
    if (session.isOver || intervalMs === 0 || session.streamCount === 0) return false;
    if (this.#pingAtMs >= 0) {
      if (nowMs - this.#pingAtMs >= timeoutMs) this.#onSilent();
    } else if (nowMs - this.#readAtMs >= (isPatient || this.#pings < MAX_EARLY_PINGS ? intervalMs : LATE_PING_MS)) {
      this.#pingAtMs = nowMs;
      this.#pings++;
      session.ping();
    }
    return true;
  }

  #checkStreams(nowMs: number): boolean {
    const session = this.#session;
    if (!session.isOver) session.checkStreams(nowMs);
    return session.streamCount > 0;
  }
}
