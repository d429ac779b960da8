import { Writable } from "node:stream";
import { HpackDecoder } from "../../../src/codec/hpack-decoder.ts";
import { HpackEncoder, type HpackEncoderOptions } from "../../../src/codec/hpack-encoder.ts";
import type { ByteSink } from "../../../src/codec/http1-output.ts";
import type { Http2Fault } from "../../../src/codec/http2-fault.ts";
import { Http2Fields } from "../../../src/codec/http2-fields.ts";
import { type Http2FrameHandler, Http2FrameReader } from "../../../src/codec/http2-frame-reader.ts";
import { Http2FrameWriter } from "../../../src/codec/http2-frame-writer.ts";
import { Http2HeadWriter } from "../../../src/codec/http2-head-writer.ts";
import { DEFAULT_HTTP2_LIMITS, type Http2Limits } from "../../../src/codec/http2-limits.ts";
import { Http2Output } from "../../../src/codec/http2-output.ts";
import type { Http2Settings } from "../../../src/codec/http2-settings.ts";

/** Writes down in one line each what a reader says. Blocks are not decoded. */
export class FrameRecorder implements Http2FrameHandler {
  readonly reader: Http2FrameReader;
  readonly events: string[] = [];
  /** Data by stream, put together. */
  readonly data = new Map<number, string>();
  flowBytes = 0;

  constructor(side: "server" | "client" = "client", limits: Http2Limits = DEFAULT_HTTP2_LIMITS) {
    this.reader = new Http2FrameReader(this, { side, limits });
  }

  /** Reads frames that are given in hexadecimal. */
  readHex(...frames: string[]): string[] {
    this.reader.read(Buffer.from(frames.join("").replaceAll(" ", ""), "hex"));
    return this.events;
  }

  onData(streamId: number, chunk: Buffer, flowBytes: number, endsStream: boolean): void {
    this.data.set(streamId, (this.data.get(streamId) ?? "") + chunk.toString("latin1"));
    this.flowBytes += flowBytes;
    this.events.push(`data ${streamId} ${chunk.length}/${flowBytes}${endsStream ? " end" : ""}`);
  }

  onHeaderBlock(streamId: number, bytes: Buffer, start: number, end: number, endsStream: boolean, isSelfDependent: boolean): void {
    this.events.push(`headers ${streamId} ${bytes.toString("hex", start, end)}${endsStream ? " end" : ""}${isSelfDependent ? " self" : ""}`);
  }

  onResetStream(streamId: number, code: number): void {
    this.events.push(`reset ${streamId} ${code}`);
  }

  onSettings(settings: Http2Settings, initialWindowDelta: number): void {
    this.events.push(`settings ${JSON.stringify(settings)} ${initialWindowDelta}`);
  }

  onSettingsAck(): void {
    this.events.push("settings ack");
  }

  onPing(opaque: Buffer, isAck: boolean): void {
    this.events.push(`ping ${opaque.toString("latin1")}${isAck ? " ack" : ""}`);
  }

  onGoAway(lastStreamId: number, code: number, debug: string): void {
    this.events.push(`goaway ${lastStreamId} ${code} ${debug}`);
  }

  onWindowUpdate(streamId: number, increment: number): void {
    this.events.push(`window ${streamId} ${increment}`);
  }

  onIgnoredFrame(type: number, streamId: number): void {
    this.events.push(`ignored ${type} ${streamId}`);
  }

  onFault(fault: Http2Fault): void {
    this.events.push(`fault ${fault.scope} ${fault.streamId} ${fault.code} ${fault.reason}`);
  }
}

/** A socket that keeps what is written. */
export class WrittenBytes extends Writable implements ByteSink {
  readonly chunks: Buffer[] = [];
  /** How often the stream below was called: a write, or several at once. */
  calls = 0;

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.calls++;
    this.chunks.push(Buffer.from(chunk));
    done();
  }

  override _writev(chunks: { chunk: Buffer }[], done: () => void): void {
    this.calls++;
    for (const { chunk } of chunks) this.chunks.push(Buffer.from(chunk));
    done();
  }

  /** What was written since the last call. */
  take(): Buffer {
    return Buffer.concat(this.chunks.splice(0));
  }
}

/** Our writing side, into memory. */
export class FrameSource {
  readonly sink = new WrittenBytes();
  readonly output = new Http2Output(this.sink);
  readonly frames = new Http2FrameWriter(this.output);
  readonly encoder: HpackEncoder;
  readonly heads: Http2HeadWriter;

  constructor(carriesSpelling = false, options: HpackEncoderOptions = {}) {
    this.encoder = new HpackEncoder(options);
    this.heads = new Http2HeadWriter(this.frames, this.encoder, carriesSpelling);
  }

  /** The frames written since the last call. */
  take(): Buffer {
    this.output.flush();
    return this.sink.take();
  }
}

/** Decodes header blocks one after another. */
export class BlockDecoder {
  readonly decoder = new HpackDecoder();
  readonly fields: Http2Fields;

  constructor(limits: Http2Limits = DEFAULT_HTTP2_LIMITS, isHop = false) {
    this.fields = new Http2Fields(limits, isHop);
  }

  decode(bytes: Buffer, start = 0, end = bytes.length): Http2Fields {
    this.fields.reset();
    this.decoder.decode(bytes, start, end, this.fields);
    return this.fields;
  }

  /** Decodes the blocks of a frame that was written whole. */
  decodeFrames(frames: Buffer): Http2Fields {
    const recorder = new FrameRecorder();
    recorder.readHex("000000040000000000", frames.toString("hex"));
    const blocks = recorder.events.filter((event) => event.startsWith("headers "));
    return this.decode(Buffer.from((blocks[0] as string).split(" ")[2] as string, "hex"));
  }
}
