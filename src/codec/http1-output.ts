/** What an output buffer needs of a socket. */
export interface ByteSink {
  write(data: Buffer): boolean;
  write(data: string, encoding: "latin1"): boolean;
  cork(): void;
  uncork(): void;
  readonly destroyed: boolean;
  readonly writableLength: number;
  readonly writableHighWaterMark: number;
}

/** What one turn may collect before it is written: one TLS record. */
const MAX_COLLECTED_BYTES = 16 * 1024;
const HIGH_WATERMARK = 128 * 1024;

/**
 * Collects what one turn of the event loop has to say to a peer, so that a head and its body leave in one write: one
 * system call, one TLS record, one packet. Pieces beyond 16 KiB are passed to the socket as they are.
 */
export class OutputBuffer {
  readonly #sink: ByteSink;
  readonly #highWatermark: number;
  #pieces: (string | Buffer)[] = [];
  #bytes = 0;
  #isScheduled = false;

  constructor(sink: ByteSink) {
    this.#sink = sink;
    // A socket tells of `drain` only after it held its own mark: ours must lie above it.
    this.#highWatermark = Math.max(HIGH_WATERMARK, sink.writableHighWaterMark + MAX_COLLECTED_BYTES);
  }

  /** True when the peer is so far behind that its source should pause until the socket's `drain`. */
  get isOverWatermark(): boolean {
    return this.#sink.writableLength > this.#highWatermark;
  }

  /** What the peer has yet to take while it is that far behind; 0 when it is not. */
  get waitingBytes(): number {
    return this.isOverWatermark ? this.#sink.writableLength : 0;
  }

  /** Adds latin1 text. */
  text(piece: string): void {
    if (this.#bytes + piece.length > MAX_COLLECTED_BYTES) this.flush();
    this.#add(piece);
  }

  /** Adds bytes, which must not change until they are written. */
  bytes(piece: Buffer): void {
    if (this.#bytes + piece.length <= MAX_COLLECTED_BYTES) {
      this.#add(piece);
      return;
    }
    if (this.#bytes === 0) {
      if (!this.#sink.destroyed) this.#sink.write(piece);
      return;
    }
    this.#sink.cork();
    this.flush();
    if (!this.#sink.destroyed) this.#sink.write(piece);
    this.#sink.uncork();
  }

  /** Writes now what was collected. */
  flush(): void {
    if (this.#bytes === 0) return;
    const pieces = this.#pieces;
    const bytes = this.#bytes;
    this.#bytes = 0;
    this.#pieces = [];
    if (this.#sink.destroyed) return;
    const only = pieces[0] as string | Buffer;
    if (pieces.length > 1) this.#sink.write(merge(pieces, bytes));
    else if (typeof only === "string") this.#sink.write(only, "latin1");
    else this.#sink.write(only);
  }

  #add(piece: string | Buffer): void {
    if (piece.length === 0) return;
    this.#pieces.push(piece);
    this.#bytes += piece.length;
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    process.nextTick(flushScheduled, this);
  }

  /** For the scheduled call only. */
  flushScheduled(): void {
    this.#isScheduled = false;
    this.flush();
  }
}

function flushScheduled(output: OutputBuffer): void {
  output.flushScheduled();
}

function merge(pieces: readonly (string | Buffer)[], bytes: number): Buffer {
  const merged = Buffer.allocUnsafe(bytes);
  let offset = 0;
  for (const piece of pieces) {
    if (typeof piece === "string") merged.write(piece, offset, "latin1");
    else merged.set(piece, offset);
    offset += piece.length;
  }
  return merged;
}
