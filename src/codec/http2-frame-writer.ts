import { FRAME_HEADER_BYTES, FrameFlag, FrameType, PREFACE } from "./http2-frame.ts";
import type { Http2Output } from "./http2-output.ts";

const MAX_DEBUG_CHARACTERS = 256;

/** Writes the frames of one connection into its output (RFC 9113 section 6). Never padded, never with priority. */
export class Http2FrameWriter {
  readonly output: Http2Output;
  /** The peer's SETTINGS_MAX_FRAME_SIZE: larger payloads are split. */
  maxFrameBytes = 16_384;

  constructor(output: Http2Output) {
    this.output = output;
  }

  /** What a client sends first. */
  preface(): void {
    this.output.payload(PREFACE);
  }

  /** Settings as pairs of `SettingId` and value. */
  settings(entries: readonly (readonly [number, number])[]): void {
    let at = this.#header(entries.length * 6, FrameType.settings, 0, 0);
    const { bytes } = this.output;
    for (const [id, value] of entries) at = bytes.writeUInt32BE(value, bytes.writeUInt16BE(id, at));
    this.output.at = at;
  }

  settingsAck(): void {
    this.output.at = this.#header(0, FrameType.settings, FrameFlag.ack, 0);
  }

  /** `opaque`: eight octets. */
  ping(opaque: Uint8Array, isAck: boolean): void {
    const at = this.#header(8, FrameType.ping, isAck ? FrameFlag.ack : 0, 0);
    for (let index = 0; index < 8; index++) this.output.bytes[at + index] = opaque[index] as number;
    this.output.at = at + 8;
  }

  /** `lastStreamId`: the last stream of the peer that was or may yet be acted upon. `debug`: ASCII, cut at 256. */
  goAway(lastStreamId: number, code: number, debug = ""): void {
    const length = Math.min(debug.length, MAX_DEBUG_CHARACTERS);
    const at = this.#header(8 + length, FrameType.goAway, 0, 0);
    const { bytes } = this.output;
    bytes.writeUInt32BE(code, bytes.writeUInt32BE(lastStreamId, at));
    bytes.write(debug, at + 8, length, "latin1");
    this.output.at = at + 8 + length;
  }

  resetStream(streamId: number, code: number): void {
    const at = this.#header(4, FrameType.resetStream, 0, streamId);
    this.output.at = this.output.bytes.writeUInt32BE(code, at);
  }

  /** `increment`: 1 to 2^31-1; stream 0 is the connection. */
  windowUpdate(streamId: number, increment: number): void {
    const at = this.#header(4, FrameType.windowUpdate, 0, streamId);
    this.output.at = this.output.bytes.writeUInt32BE(increment, at);
  }

  /** DATA, in as many frames as the peer asks for; the windows have been seen to. An empty `payload` makes one frame. */
  data(streamId: number, payload: Buffer, endsStream: boolean): void {
    const { length } = payload;
    if (length <= this.maxFrameBytes) {
      this.#data(streamId, payload, endsStream);
      return;
    }
    for (let from = 0; from < length; from += this.maxFrameBytes) {
      const to = Math.min(length, from + this.maxFrameBytes);
      this.#data(streamId, payload.subarray(from, to), endsStream && to === length);
    }
  }

  /**
   * Begins a header block of at most `maxBytes` and returns the offset in `output.bytes` where it starts. The block is
   * written there, nothing else in between, and `endBlock` told where it ends.
   */
  beginBlock(maxBytes: number): number {
    const frames = 1 + Math.ceil(maxBytes / this.maxFrameBytes);
    return this.output.reserve(maxBytes + frames * FRAME_HEADER_BYTES) + FRAME_HEADER_BYTES;
  }

  /** Frames the block that `beginBlock` began and that ends before `end`: HEADERS, and CONTINUATION as needed. */
  endBlock(streamId: number, endsStream: boolean, end: number): void {
    const { output } = this;
    const start = output.at + FRAME_HEADER_BYTES;
    const length = end - start;
    const flags = endsStream ? FrameFlag.endStream : 0;
    if (length <= this.maxFrameBytes) {
      writeFrameHeader(output.bytes, output.at, length, FrameType.headers, flags | FrameFlag.endHeaders, streamId);
      output.at = end;
    } else {
      this.#splitBlock(streamId, flags, start, length);
    }
  }

  #splitBlock(streamId: number, flags: number, start: number, length: number): void {
    const { output, maxFrameBytes } = this;
    const { bytes } = output;
    const frames = Math.ceil(length / maxFrameBytes);
    // From the last fragment on, so that none is overwritten before it was moved.
    for (let index = frames - 1; index > 0; index--) {
      const from = start + index * maxFrameBytes;
      const size = Math.min(maxFrameBytes, start + length - from);
      const to = from + index * FRAME_HEADER_BYTES;
      bytes.copyWithin(to, from, from + size);
      writeFrameHeader(bytes, to - FRAME_HEADER_BYTES, size, FrameType.continuation, index === frames - 1 ? FrameFlag.endHeaders : 0, streamId);
    }
    writeFrameHeader(bytes, start - FRAME_HEADER_BYTES, maxFrameBytes, FrameType.headers, flags, streamId);
    output.at = start + length + (frames - 1) * FRAME_HEADER_BYTES;
  }

  #data(streamId: number, payload: Buffer, endsStream: boolean): void {
    const at = this.output.reserve(FRAME_HEADER_BYTES);
    this.output.at = writeFrameHeader(this.output.bytes, at, payload.length, FrameType.data, endsStream ? FrameFlag.endStream : 0, streamId);
    this.output.payload(payload);
  }

  /** Makes room for a frame, writes its header and returns where its payload goes. */
  #header(length: number, type: number, flags: number, streamId: number): number {
    const at = this.output.reserve(FRAME_HEADER_BYTES + length);
    return writeFrameHeader(this.output.bytes, at, length, type, flags, streamId);
  }
}

function writeFrameHeader(bytes: Uint8Array, at: number, length: number, type: number, flags: number, streamId: number): number {
  bytes[at] = length >>> 16;
  bytes[at + 1] = length >>> 8;
  bytes[at + 2] = length;
  bytes[at + 3] = type;
  bytes[at + 4] = flags;
  bytes[at + 5] = streamId >>> 24;
  bytes[at + 6] = streamId >>> 16;
  bytes[at + 7] = streamId >>> 8;
  bytes[at + 8] = streamId;
  return at + FRAME_HEADER_BYTES;
}
