import { Http2ErrorCode } from "./http2-error-code.ts";
import { Http2Fault } from "./http2-fault.ts";
import type { Http2Limits } from "./http2-limits.ts";

/** Puts together a header block that came in several frames, up to a bound (C03, CVE-2024-27983). */
export class Http2BlockBuffer {
  /** The stream whose block has begun and not ended, or 0. */
  streamId = 0;
  endsStream = false;
  isSelfDependent = false;
  bytes: Buffer = Buffer.alloc(0);
  length = 0;
  readonly #limits: Http2Limits;
  #continuations = 0;

  constructor(limits: Http2Limits) {
    this.#limits = limits;
  }

  /** Keeps the fragment `from[start, end)` of a HEADERS frame. */
  begin(streamId: number, endsStream: boolean, isSelfDependent: boolean, from: Buffer, start: number, end: number): void {
    this.streamId = streamId;
    this.endsStream = endsStream;
    this.isSelfDependent = isSelfDependent;
    this.length = 0;
    this.#continuations = 0;
    this.append(from, start, end);
  }

  /** What can be said against another CONTINUATION of `length` octets, before it is read. */
  continuationFault(streamId: number, length: number): Http2Fault | null {
    if (this.streamId === 0 || streamId !== this.streamId) return new Http2Fault(Http2ErrorCode.protocolError, "CONTINUATION of no block");
    if (++this.#continuations > this.#limits.maxContinuations) return new Http2Fault(Http2ErrorCode.enhanceYourCalm, "too many CONTINUATION frames");
    if (this.length + length > this.#limits.maxBlockBytes) return new Http2Fault(Http2ErrorCode.enhanceYourCalm, "header block too long");
    return null;
  }

  append(from: Buffer, start: number, end: number): void {
    const needed = this.length + end - start;
    if (this.bytes.length < needed) {
      const larger = Buffer.allocUnsafeSlow(Math.max(needed, Math.min(this.#limits.maxBlockBytes, this.bytes.length * 2)));
      this.bytes.copy(larger, 0, 0, this.length);
      this.bytes = larger;
    }
    from.copy(this.bytes, this.length, start, end);
    this.length = needed;
  }

  /** Forgets the block, which was decoded, and its memory: blocks of several frames are rare. */
  clear(): void {
    this.streamId = 0;
    this.length = 0;
    this.bytes = Buffer.alloc(0);
  }
}
