import type { HeaderList } from "../message/header-list.ts";
import type { Http2FloodGovernor } from "./http2-flood-governor.ts";
import { FRAME_HEADER_BYTES, FrameFlag } from "./http2-frame.ts";
import type { Http2FrameWriter } from "./http2-frame-writer.ts";
import type { Http2HeadWriter } from "./http2-head-writer.ts";
import type { Http2Output } from "./http2-output.ts";
import { Http2SendWindow } from "./http2-send-window.ts";
import { ByteQueue } from "../core/byte-queue.ts";
import type { Http2SessionStream } from "./http2-session-stream.ts";

/** What one stream sends before others that wait have their turn. */
const TURN_BYTES = 16 * 1024;
/** What one call sends at once; the rest waits for its turn. */
const MAX_DIRECT_BYTES = 64 * 1024;
/** Data waiting on one stream at which its source should pause, and at which it may go on. */
const HIGH_WATERMARK = 64 * 1024;
const LOW_WATERMARK = 16 * 1024;

const NO_BYTES = Buffer.alloc(0);

/** Told what became of a stream whose end was due. */
export interface Http2SenderOwner {
  /** Its end was sent. */
  ended(stream: Http2SessionStream): void;
  /** It cannot be, since its trailers cannot be written. */
  unsendable(stream: Http2SessionStream, cause: unknown): void;
}

/**
 * Sends the DATA of all streams of a connection, as far as their windows, the connection's window and the socket allow.
 * What cannot be sent waits at its stream; streams that wait for the connection stand in line, and each that is served
 * and has more goes to its end, so that none starves another.
 */
export class Http2Sender {
  /** The connection's window. */
  readonly window = new Http2SendWindow();
  readonly #owner: Http2SenderOwner;
  readonly #frames: Http2FrameWriter;
  readonly #output: Http2Output;
  readonly #heads: Http2HeadWriter;
  readonly #governor: Http2FloodGovernor;
  #first: Http2SessionStream | null = null;
  #last: Http2SessionStream | null = null;
  #isPumping = false;
  // The last DATA frame, which may still be made the last of its stream while it is here and nothing stands behind it.
  #lastStreamId = 0;
  #lastHeader: Buffer = NO_BYTES;
  #lastFlagsAt = 0;
  #lastBytes: Buffer = NO_BYTES;
  #lastEnd = 0;

  constructor(owner: Http2SenderOwner, frames: Http2FrameWriter, heads: Http2HeadWriter, governor: Http2FloodGovernor) {
    this.#owner = owner;
    this.#frames = frames;
    this.#output = frames.output;
    this.#heads = heads;
    this.#governor = governor;
  }

  /** Sends `chunk` or lets it wait. False: more waits than the watermark, and the stream's user is told of `drain`. */
  send(stream: Http2SessionStream, chunk: Buffer): boolean {
    let rest = chunk;
    if (stream.waitingBytes === 0 && this.#first === null && !this.#output.isOverWatermark) {
      const count = Math.min(chunk.length, this.#allowed(stream), MAX_DIRECT_BYTES);
      if (count === chunk.length) {
        this.#emit(stream, chunk);
        return true;
      }
      if (count > 0) {
        this.#emit(stream, chunk.subarray(0, count));
        rest = chunk.subarray(count);
      }
    }
    stream.waiting ??= new ByteQueue();
    stream.waiting.push(rest);
    this.waits(stream);
    if (this.window.available > 0) this.pump();
    stream.isBlocked = stream.waiting.bytes > HIGH_WATERMARK;
    return !stream.isBlocked;
  }

  /** Ends the stream behind what waits. */
  end(stream: Http2SessionStream, trailers: HeaderList | null): void {
    if (stream.waitingBytes === 0 && !this.#output.isOverWatermark) {
      this.#end(stream, trailers);
      return;
    }
    stream.endsAfterWaiting = true;
    stream.trailers = trailers;
    this.waits(stream);
  }

  /** Puts a stream that may send in line, unless nothing of it waits or its own window is shut. */
  waits(stream: Http2SessionStream): void {
    if (stream.isInLine || stream.local === "closed") return;
    const { waitingBytes } = stream;
    if (waitingBytes === 0 ? !stream.endsAfterWaiting : stream.sendWindow.available === 0) return;
    stream.isInLine = true;
    if (this.#last === null) this.#first = stream;
    else this.#last.next = stream;
    this.#last = stream;
  }

  /** Sends what waits, a turn for each stream in line, until the connection's window or the socket is full. */
  pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    try {
      // Those that are passed over because the connection's window is shut stand in line again behind this one.
      let stop: Http2SessionStream | null = null;
      while (this.#first !== null && this.#first !== stop && !this.#output.isOverWatermark) {
        const stream: Http2SessionStream = this.#first;
        this.#first = stream.next;
        if (this.#first === null) this.#last = null;
        stream.next = null;
        stream.isInLine = false;
        if (stream.local === "closed") continue;
        if (this.#turn(stream)) stop = null;
        else stop ??= stream;
        this.waits(stream);
      }
    } finally {
      this.#isPumping = false;
    }
  }

  /** Lets a stream have its turn. False: the connection's window did not allow it anything. */
  #turn(stream: Http2SessionStream): boolean {
    const { waiting } = stream;
    if (waiting !== null && waiting.bytes > 0) {
      let left = Math.min(TURN_BYTES, this.#allowed(stream));
      // One whose own window is shut leaves the line.
      if (left === 0) return stream.sendWindow.available === 0;
      while (left > 0 && waiting.bytes > 0) {
        const piece = waiting.take(left);
        left -= piece.length;
        this.#emit(stream, piece);
      }
      if (stream.isBlocked && waiting.bytes <= LOW_WATERMARK) {
        stream.isBlocked = false;
        if (!stream.endsAfterWaiting) stream.user?.onDrain();
      }
    }
    if (stream.waitingBytes === 0 && stream.endsAfterWaiting && stream.local !== "closed") {
      const { trailers } = stream;
      stream.trailers = null;
      this.#end(stream, trailers);
    }
    return true;
  }

  #allowed(stream: Http2SessionStream): number {
    return Math.min(this.window.available, stream.sendWindow.available);
  }

  #emit(stream: Http2SessionStream, payload: Buffer): void {
    const output = this.#output;
    stream.sendWindow.take(payload.length);
    this.window.take(payload.length);
    this.#governor.dataSent();
    this.#lastStreamId = 0;
    const headerAt = output.reserve(FRAME_HEADER_BYTES);
    const header = output.bytes;
    this.#frames.data(stream.id, payload, false);
    if (payload.length > this.#frames.maxFrameBytes) return;
    this.#lastStreamId = stream.id;
    this.#lastHeader = header;
    this.#lastFlagsAt = headerAt + 4;
    this.#lastBytes = output.bytes;
    this.#lastEnd = output.at;
  }

  #end(stream: Http2SessionStream, trailers: HeaderList | null): void {
    try {
      if (trailers !== null) this.#heads.trailers(stream.id, trailers);
      else if (!this.#endLastFrame(stream.id)) this.#frames.data(stream.id, NO_BYTES, true);
    } catch (cause) {
      this.#owner.unsendable(stream, cause);
      return;
    }
    this.#owner.ended(stream);
  }

  /** Spares an empty frame where the stream's last DATA is the last thing written, and was not passed to the socket. */
  #endLastFrame(streamId: number): boolean {
    const output = this.#output;
    if (this.#lastStreamId !== streamId) return false;
    if (output.bytes !== this.#lastBytes || output.at !== this.#lastEnd || output.collectedBytes === 0) return false;
    this.#lastHeader[this.#lastFlagsAt] = FrameFlag.endStream;
    this.#lastStreamId = 0;
    return true;
  }
}
