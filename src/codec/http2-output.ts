import type { ByteSink } from "./http1-output.ts";
import { giveSlab, type Slab, takeSlab } from "./http2-slab.ts";

/** Payloads up to this size are copied behind the frames before them; larger ones are passed on as they are. */
const MAX_COPIED_BYTES = 4096;
/** Output beyond this goes to the socket without waiting for the turn to end. */
const MAX_COLLECTED_BYTES = 64 * 1024;
const HIGH_WATERMARK = 128 * 1024;
const FIRST_ROOM_BYTES = 2048;
const NO_BYTES = Buffer.alloc(0);

/**
 * When what was collected is written: `tick`, once the code that runs now returned to the event loop, for frames that
 * are all made in answer to one read; `turn`, after every socket that had something to read was read, for those of
 * many connections' streams.
 */
export type FlushPoint = "tick" | "turn";

/**
 * Collects the frames of one connection and writes them together. Frames are written into `bytes` at `at`, after
 * `reserve` saw to it that there is room: `const at = output.reserve(n); ...; output.at = end`.
 */
export class Http2Output {
  /** Where to write; valid until the next call. */
  bytes: Buffer = NO_BYTES;
  at = 0;
  /** Obeyed by the next flush that is scheduled. */
  flushPoint: FlushPoint = "tick";
  readonly #sink: ByteSink;
  readonly #highWatermark: number;
  #slab: Slab | null = null;
  /** Where in the slab the piece under way begins. */
  #start = 0;
  #pieces: Buffer[] = [];
  #pieceBytes = 0;
  #isScheduled = false;

  constructor(sink: ByteSink) {
    this.#sink = sink;
    // A socket tells of `drain` only after it held its own mark: ours must lie above it.
    this.#highWatermark = Math.max(HIGH_WATERMARK, sink.writableHighWaterMark + MAX_COLLECTED_BYTES);
  }

  /** Octets collected and not written to the socket. */
  get collectedBytes(): number {
    return this.#pieceBytes + this.at - this.#start;
  }

  /** True when the peer is so far behind that sources should pause until the socket's `drain`. */
  get isOverWatermark(): boolean {
    return this.#sink.writableLength + this.collectedBytes > this.#highWatermark;
  }

  /** Sees to it that `count` octets fit behind `at`, which it returns; schedules the flush. */
  reserve(count: number): number {
    if (!this.#isScheduled) this.#schedule();
    if (this.bytes.length - this.at < count) this.#makeRoom(count);
    return this.at;
  }

  /** Adds a payload, which must not change until it is written. */
  payload(piece: Buffer): void {
    const { length } = piece;
    if (length <= MAX_COPIED_BYTES) {
      const at = this.reserve(length);
      if (length > 0) this.bytes.set(piece, at);
      this.at = at + length;
    } else {
      if (!this.#isScheduled) this.#schedule();
      this.#endPiece();
      this.#pieces.push(piece);
      this.#pieceBytes += length;
    }
    if (this.collectedBytes > MAX_COLLECTED_BYTES) this.flush();
  }

  /** Writes now what was collected. */
  flush(): void {
    const sink = this.#sink;
    if (this.#slab !== null) {
      // Behind a slow peer a small piece would keep its whole slab from being freed, so it gets memory of its own.
      if (sink.writableLength > 0 && this.at > this.#start) this.#moveOut();
      this.#endPiece();
      this.#slab.used = this.at;
      giveSlab(this.#slab);
      this.#slab = null;
      this.bytes = NO_BYTES;
      this.at = this.#start = 0;
    }
    const pieces = this.#pieces;
    if (pieces.length === 0) return;
    this.#pieceBytes = 0;
    this.#pieces = [];
    if (sink.destroyed) return;
    if (pieces.length === 1) {
      sink.write(pieces[0] as Buffer);
      return;
    }
    sink.cork();
    for (let index = 0; index < pieces.length; index++) sink.write(pieces[index] as Buffer);
    sink.uncork();
  }

  /** For the scheduled call only. */
  flushScheduled(): void {
    this.#isScheduled = false;
    this.flush();
  }

  #makeRoom(count: number): void {
    if (this.#slab !== null) {
      this.#endPiece();
      this.#slab.used = this.at;
      giveSlab(this.#slab);
    }
    const slab = takeSlab(Math.max(count, FIRST_ROOM_BYTES));
    this.#slab = slab;
    this.bytes = slab.bytes;
    this.at = this.#start = slab.used;
  }

  /** Ends the piece under way: what comes next is not contiguous with it. */
  #endPiece(): void {
    if (this.at === this.#start) return;
    this.#pieces.push(this.bytes.subarray(this.#start, this.at));
    this.#pieceBytes += this.at - this.#start;
    this.#start = this.at;
  }

  /** Moves the piece under way into memory of its own size and takes its room in the slab back. */
  #moveOut(): void {
    const copy = Buffer.allocUnsafeSlow(this.at - this.#start);
    this.bytes.copy(copy, 0, this.#start, this.at);
    this.#pieces.push(copy);
    this.at = this.#start;
  }

  #schedule(): void {
    this.#isScheduled = true;
    if (this.flushPoint === "turn") setImmediate(flushScheduled, this);
    else process.nextTick(flushScheduled, this);
  }
}

function flushScheduled(output: Http2Output): void {
  output.flushScheduled();
}
