import { Http2BlockBuffer } from "./http2-block-buffer.ts";
import { Http2ErrorCode } from "./http2-error-code.ts";
import { Http2Fault } from "./http2-fault.ts";
import { FRAME_HEADER_BYTES, FrameFlag, FrameType, MAX_UINT31, PREFACE } from "./http2-frame.ts";
import { frameHeaderFault } from "./http2-frame-header.ts";
import type { Http2Limits } from "./http2-limits.ts";
import { Http2Settings } from "./http2-settings.ts";

/**
 * Told the frames of a connection in order. What a frame means for its stream (whether it is open, how much of its
 * window is left) is for the handler; that it is well formed was seen to. Any method may call `stop` of the reader.
 */
export interface Http2FrameHandler {
  /**
   * Payload of a DATA frame, a view of the buffer that was read; a frame that spans several buffers comes in as many
   * pieces. `flowBytes` counts against the windows: padding included. Only an empty frame has an empty `chunk`.
   */
  onData(streamId: number, chunk: Buffer, flowBytes: number, endsStream: boolean): void;
  /**
   * A whole header block, `bytes[start, end)`, valid during the call. It must be decoded whatever becomes of the stream.
   * `isSelfDependent`: its priority makes the stream depend on itself, a stream error (RFC 7540 section 5.3.1).
   */
  onHeaderBlock(streamId: number, bytes: Buffer, start: number, end: number, endsStream: boolean, isSelfDependent: boolean): void;
  onResetStream(streamId: number, code: number): void;
  /** The peer's settings changed; `initialWindowDelta` is to be added to the window of every stream. Owed: an ACK. */
  onSettings(settings: Http2Settings, initialWindowDelta: number): void;
  onSettingsAck(): void;
  /** `opaque`: eight octets, valid during the call. Owed unless `isAck`: the same octets with ACK. */
  onPing(opaque: Buffer, isAck: boolean): void;
  onGoAway(lastStreamId: number, code: number, debug: string): void;
  /** `increment` is not 0. */
  onWindowUpdate(streamId: number, increment: number): void;
  /** A frame that changes nothing: PRIORITY and types nobody knows. To be counted. */
  onIgnoredFrame(type: number, streamId: number): void;
  /** With scope `connection` nothing more is read. */
  onFault(fault: Http2Fault): void;
}

export interface Http2ReaderOptions {
  /** `server`: we are one; the peer begins with the preface and sends no settings a client may not. */
  readonly side: "server" | "client";
  readonly limits: Http2Limits;
}

const MAX_DEBUG_BYTES = 256;
const NO_BYTES = Buffer.alloc(0);

/**
 * Takes frames out of the buffers of a connection (RFC 9113 sections 4 to 6), however they are cut. It copies only
 * frames that are split over buffers, and of those not DATA; what it holds is at most one frame and one header block.
 */
export class Http2FrameReader {
  /** What the peer has set so far. */
  readonly settings = new Http2Settings();
  readonly #handler: Http2FrameHandler;
  readonly #limits: Http2Limits;
  readonly #isPeerServer: boolean;
  readonly #block: Http2BlockBuffer;
  /** Octets of the preface still to come. */
  #prefaceLeft: number;
  #awaitsSettings = true;
  #isStopped = false;
  /** The part of a frame that the last buffer ended with. */
  #carry: Buffer = NO_BYTES;
  #carried = 0;
  /** Octets of the DATA payload still to come, and what its header said. */
  #dataLeft = 0;
  #dataStream = 0;
  #dataEnds = false;
  // The header of the frame under way.
  #length = 0;
  #type = 0;
  #flags = 0;
  #streamId = 0;

  constructor(handler: Http2FrameHandler, { side, limits }: Http2ReaderOptions) {
    this.#handler = handler;
    this.#limits = limits;
    this.#isPeerServer = side === "client";
    this.#prefaceLeft = side === "server" ? PREFACE.length : 0;
    this.#block = new Http2BlockBuffer(limits);
  }

  /** Octets held of frames that have not ended, for tests and gauges. */
  get heldBytes(): number {
    return this.#carried + this.#block.length;
  }

  /** True until the peer's first SETTINGS has come. */
  get awaitsSettings(): boolean {
    return this.#awaitsSettings;
  }

  /** Reads nothing more and tells nothing more. */
  stop(): void {
    this.#isStopped = true;
    this.#carry = NO_BYTES;
    this.#carried = 0;
    this.#block.clear();
  }

  /** Reads the next buffer, which belongs to the reader from then on. Never throws of its own. */
  read(chunk: Buffer): void {
    let at = this.#prefaceLeft === 0 ? 0 : this.#readPreface(chunk);
    while (at < chunk.length && !this.#isStopped) {
      if (this.#dataLeft > 0) at = this.#readData(chunk, at);
      else if (this.#carried > 0) at = this.#readCarried(chunk, at);
      else at = this.#readFrame(chunk, at);
    }
  }

  #readPreface(chunk: Buffer): number {
    const from = PREFACE.length - this.#prefaceLeft;
    const length = Math.min(this.#prefaceLeft, chunk.length);
    if (PREFACE.compare(chunk, 0, length, from, from + length) !== 0) {
      this.#fail(Http2ErrorCode.protocolError, "invalid preface");
      return chunk.length;
    }
    this.#prefaceLeft -= length;
    return length;
  }

  /** Reads the frame that begins at `at`, or keeps what there is of it. */
  #readFrame(chunk: Buffer, at: number): number {
    const left = chunk.length - at;
    if (left < FRAME_HEADER_BYTES) return this.#keep(chunk, at, FRAME_HEADER_BYTES);
    if (!this.#readHeader(chunk, at)) return chunk.length;
    const start = at + FRAME_HEADER_BYTES;
    if (this.#isPlainData()) {
      this.#beginData();
      return start;
    }
    if (left - FRAME_HEADER_BYTES < this.#length) return this.#keep(chunk, at, FRAME_HEADER_BYTES + this.#length);
    this.#dispatch(chunk, start);
    return start + this.#length;
  }

  /** Completes the frame whose beginning is carried. */
  #readCarried(chunk: Buffer, from: number): number {
    let at = from;
    if (this.#carried < FRAME_HEADER_BYTES) {
      at = this.#fill(chunk, at, FRAME_HEADER_BYTES);
      if (this.#carried < FRAME_HEADER_BYTES) return at;
      if (!this.#readHeader(this.#carry, 0)) return chunk.length;
      if (this.#isPlainData()) {
        this.#dropCarry();
        this.#beginData();
        return at;
      }
    }
    const needed = FRAME_HEADER_BYTES + this.#length;
    at = this.#fill(chunk, at, needed);
    if (this.#carried < needed) return at;
    const frame = this.#carry;
    this.#dropCarry();
    this.#dispatch(frame, FRAME_HEADER_BYTES);
    return at;
  }

  #keep(chunk: Buffer, at: number, needed: number): number {
    this.#carry = Buffer.allocUnsafeSlow(needed);
    this.#carried = chunk.copy(this.#carry, 0, at);
    return chunk.length;
  }

  #fill(chunk: Buffer, at: number, needed: number): number {
    if (this.#carry.length < needed) {
      const larger = Buffer.allocUnsafeSlow(needed);
      this.#carry.copy(larger, 0, 0, this.#carried);
      this.#carry = larger;
    }
    const end = Math.min(chunk.length, at + needed - this.#carried);
    this.#carried += chunk.copy(this.#carry, this.#carried, at, end);
    return end;
  }

  #dropCarry(): void {
    this.#carry = NO_BYTES;
    this.#carried = 0;
  }

  /** Reads a frame's header and checks what can be checked by it. False when the connection is at its end. */
  #readHeader(bytes: Buffer, at: number): boolean {
    const length = (this.#length = bytes.readUIntBE(at, 3));
    const type = (this.#type = bytes[at + 3] as number);
    const flags = (this.#flags = bytes[at + 4] as number);
    const streamId = (this.#streamId = bytes.readUInt32BE(at + 5) & MAX_UINT31);
    if (this.#awaitsSettings) {
      if (type !== FrameType.settings || (flags & FrameFlag.ack) !== 0) return this.#fail(Http2ErrorCode.protocolError, "first frame is not SETTINGS");
    }
    if (length > this.#limits.maxFrameBytes) return this.#fail(Http2ErrorCode.frameSizeError, "frame too long");
    if (this.#block.streamId !== 0 && type !== FrameType.continuation) return this.#fail(Http2ErrorCode.protocolError, "frame within a header block");
    const fault = type === FrameType.continuation ? this.#block.continuationFault(streamId, length) : frameHeaderFault(type, flags, streamId, length);
    if (fault === null) return true;
    if (fault.scope === "connection") return this.#failWith(fault);
    this.#handler.onFault(fault);
    return !this.#isStopped;
  }

  #isPlainData(): boolean {
    return this.#type === FrameType.data && (this.#flags & FrameFlag.padded) === 0;
  }

  #beginData(): void {
    this.#dataLeft = this.#length;
    this.#dataStream = this.#streamId;
    this.#dataEnds = (this.#flags & FrameFlag.endStream) !== 0;
    if (this.#length === 0) this.#handler.onData(this.#streamId, NO_BYTES, 0, this.#dataEnds);
  }

  #readData(chunk: Buffer, at: number): number {
    const end = Math.min(chunk.length, at + this.#dataLeft);
    this.#dataLeft -= end - at;
    this.#handler.onData(this.#dataStream, chunk.subarray(at, end), end - at, this.#dataEnds && this.#dataLeft === 0);
    return end;
  }

  /** Reads the payload of the frame whose header was read; it begins at `start` and is whole. */
  #dispatch(bytes: Buffer, start: number): void {
    switch (this.#type) {
      case FrameType.data:
        this.#readPaddedData(bytes, start);
        break;
      case FrameType.headers:
        this.#readHeaders(bytes, start);
        break;
      case FrameType.continuation:
        this.#readContinuation(bytes, start);
        break;
      case FrameType.resetStream:
        this.#handler.onResetStream(this.#streamId, bytes.readUInt32BE(start));
        break;
      case FrameType.settings:
        this.#readSettings(bytes, start);
        break;
      case FrameType.ping:
        this.#handler.onPing(bytes.subarray(start, start + 8), (this.#flags & FrameFlag.ack) !== 0);
        break;
      case FrameType.goAway:
        this.#readGoAway(bytes, start);
        break;
      case FrameType.windowUpdate:
        this.#readWindowUpdate(bytes, start);
        break;
      case FrameType.priority:
        this.#readPriority(bytes, start);
        break;
      default:
        this.#handler.onIgnoredFrame(this.#type, this.#streamId);
    }
  }

  #readPaddedData(bytes: Buffer, start: number): void {
    const end = this.#unpaddedEnd(bytes, start);
    if (end < 0) return;
    this.#handler.onData(this.#streamId, bytes.subarray(start + 1, end), this.#length, (this.#flags & FrameFlag.endStream) !== 0);
  }

  #readHeaders(bytes: Buffer, payload: number): void {
    let start = payload;
    let end = payload + this.#length;
    if ((this.#flags & FrameFlag.padded) !== 0) {
      end = this.#unpaddedEnd(bytes, payload);
      if (end < 0) return;
      start++;
    }
    let isSelfDependent = false;
    if ((this.#flags & FrameFlag.priority) !== 0) {
      if (end - start < 5) {
        this.#fail(Http2ErrorCode.protocolError, "padding longer than its frame");
        return;
      }
      isSelfDependent = (bytes.readUInt32BE(start) & MAX_UINT31) === this.#streamId;
      start += 5;
    }
    const endsStream = (this.#flags & FrameFlag.endStream) !== 0;
    if ((this.#flags & FrameFlag.endHeaders) !== 0) this.#handler.onHeaderBlock(this.#streamId, bytes, start, end, endsStream, isSelfDependent);
    else this.#block.begin(this.#streamId, endsStream, isSelfDependent, bytes, start, end);
  }

  #readContinuation(bytes: Buffer, start: number): void {
    const block = this.#block;
    block.append(bytes, start, start + this.#length);
    if ((this.#flags & FrameFlag.endHeaders) === 0) return;
    const { bytes: whole, length, endsStream, isSelfDependent } = block;
    block.clear();
    this.#handler.onHeaderBlock(this.#streamId, whole, 0, length, endsStream, isSelfDependent);
  }

  /** Where the payload of a padded frame ends before its padding; -1 when there is more padding than frame. */
  #unpaddedEnd(bytes: Buffer, start: number): number {
    const end = start + this.#length - (bytes[start] as number);
    if (end > start) return end;
    this.#fail(Http2ErrorCode.protocolError, "padding longer than its frame");
    return -1;
  }

  #readSettings(bytes: Buffer, start: number): void {
    if ((this.#flags & FrameFlag.ack) !== 0) {
      this.#handler.onSettingsAck();
      return;
    }
    if (this.#length > this.#limits.maxSettings * 6) {
      this.#fail(Http2ErrorCode.enhanceYourCalm, "too many settings");
      return;
    }
    this.#awaitsSettings = false;
    const before = this.settings.initialWindowSize;
    const fault = this.settings.apply(bytes, start, start + this.#length, this.#isPeerServer);
    if (fault === null) this.#handler.onSettings(this.settings, this.settings.initialWindowSize - before);
    else this.#failWith(fault);
  }

  #readGoAway(bytes: Buffer, start: number): void {
    const debugEnd = start + Math.min(this.#length, 8 + MAX_DEBUG_BYTES);
    this.#handler.onGoAway(bytes.readUInt32BE(start) & MAX_UINT31, bytes.readUInt32BE(start + 4), bytes.toString("latin1", start + 8, debugEnd));
  }

  #readWindowUpdate(bytes: Buffer, start: number): void {
    const increment = bytes.readUInt32BE(start) & MAX_UINT31;
    if (increment !== 0) this.#handler.onWindowUpdate(this.#streamId, increment);
    else if (this.#streamId === 0) this.#fail(Http2ErrorCode.protocolError, "WINDOW_UPDATE of 0");
    else this.#handler.onFault(new Http2Fault(Http2ErrorCode.protocolError, "WINDOW_UPDATE of 0", this.#streamId));
  }

  #readPriority(bytes: Buffer, start: number): void {
    // Of the wrong length: its fault was told.
    if (this.#length !== 5) return;
    if ((bytes.readUInt32BE(start) & MAX_UINT31) !== this.#streamId) this.#handler.onIgnoredFrame(FrameType.priority, this.#streamId);
    else this.#handler.onFault(new Http2Fault(Http2ErrorCode.protocolError, "stream depends on itself", this.#streamId));
  }

  #fail(code: Http2ErrorCode, reason: string): false {
    return this.#failWith(new Http2Fault(code, reason));
  }

  #failWith(fault: Http2Fault): false {
    this.stop();
    this.#handler.onFault(fault);
    return false;
  }
}
