import type { Duplex } from "node:stream";

import { HpackDecoder } from "../../src/codec/hpack-decoder.ts";
import { HpackError } from "../../src/codec/hpack-error.ts";
import { HpackEncoder } from "../../src/codec/hpack-encoder.ts";
import type { Http2Fault } from "../../src/codec/http2-fault.ts";
import { type Http2FrameHandler, Http2FrameReader } from "../../src/codec/http2-frame-reader.ts";
import { DEFAULT_MAX_FRAME_BYTES, FrameFlag, FrameType, PREFACE } from "../../src/codec/http2-frame.ts";
import { DEFAULT_HTTP2_LIMITS } from "../../src/codec/http2-limits.ts";
import type { Http2Settings } from "../../src/codec/http2-settings.ts";
import { eventually } from "../integration/proxy-under-test.ts";
import { literalBlock } from "../unit/codec/http2-blocks.ts";
import { rawFrame, uint32 } from "../unit/codec/http2-session-harness.ts";

export type Fields = readonly (readonly [string, string])[];

/** What came on one stream. */
export class RawStream {
  /** Header blocks in order: informational, final, trailers. */
  readonly blocks: [string, string][][] = [];
  data = "";
  dataBytes = 0;
  hasEnded = false;
  /** Error code of RST_STREAM, or null. */
  resetCode: number | null = null;

  /** The last value of a field of the first block, or null. */
  field(name: string, block = 0): string | null {
    return this.blocks[block]?.findLast(([key]) => key === name)?.[1] ?? null;
  }

  /** Status of the last block that has one. */
  get status(): number {
    return Number(this.blocks.findLast((block) => block.some(([name]) => name === ":status"))?.find(([name]) => name === ":status")?.[1] ?? 0);
  }
}

/**
 * One end of an HTTP/2 connection that may say anything, right or wrong, and keeps what it is told. It acknowledges
 * settings and pings and gives windows only as far as it is asked to.
 */
export class RawHttp2 implements Http2FrameHandler {
  readonly socket: Duplex;
  readonly streams = new Map<number, RawStream>();
  readonly settings: Http2Settings;
  goAway: { readonly lastStreamId: number; readonly code: number; readonly debug: string } | null = null;
  settingsAcks = 0;
  pingAcks = 0;
  isClosed = false;
  receivedBytes = 0;
  /** Told of every header block, so that a server may answer. */
  onRequest: (streamId: number, stream: RawStream) => void = () => undefined;
  /** Grants as much window as was used up. */
  opensWindows = true;
  /** Answers settings and pings. */
  acknowledges = true;
  readonly #reader: Http2FrameReader;
  readonly #decoder = new HpackDecoder();
  readonly #encoder = new HpackEncoder({ sightings: 1 });

  constructor(socket: Duplex, side: "client" | "server") {
    this.socket = socket;
    this.#reader = new Http2FrameReader(this, { side, limits: { ...DEFAULT_HTTP2_LIMITS, maxBlockBytes: 1 << 20, maxContinuations: 100 } });
    this.settings = this.#reader.settings;
    socket.on("error", () => undefined);
    socket.on("end", () => (this.isClosed = true));
    socket.on("close", () => (this.isClosed = true));
    socket.on("data", (chunk: Buffer) => {
      this.receivedBytes += chunk.length;
      this.#reader.read(Buffer.from(chunk));
    });
  }

  /** A client's first words. */
  static client(socket: Duplex, ...settings: (readonly [number, number])[]): RawHttp2 {
    const peer = new RawHttp2(socket, "client");
    peer.send(PREFACE, settingsFrame(settings));
    return peer;
  }

  /** A server's first words. */
  static server(socket: Duplex, ...settings: (readonly [number, number])[]): RawHttp2 {
    const peer = new RawHttp2(socket, "server");
    peer.send(settingsFrame(settings));
    return peer;
  }

  send(...frames: Buffer[]): void {
    if (!this.socket.writableEnded && !this.socket.destroyed) this.socket.write(Buffer.concat(frames));
  }

  /** A header block by this connection's own encoder, which indexes at once. */
  headers(streamId: number, fields: Fields, end = true): void {
    this.send(headersFrame(streamId, this.encode(fields), end));
  }

  encode(fields: Fields): Buffer {
    const into = Buffer.alloc(1024 + fields.reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0));
    let at = this.#encoder.start(into, 0);
    for (const [name, value] of fields) at = this.#encoder.field(into, at, name, value, false);
    return into.subarray(0, at);
  }

  data(streamId: number, text: string, end = false): void {
    this.send(rawFrame(FrameType.data, end ? FrameFlag.endStream : 0, streamId, text));
  }

  reset(streamId: number, code: number): void {
    this.send(rawFrame(FrameType.resetStream, 0, streamId, uint32(code)));
  }

  sendGoAway(lastStreamId: number, code: number): void {
    this.send(rawFrame(FrameType.goAway, 0, 0, Buffer.concat([uint32(lastStreamId), uint32(code)])));
  }

  stream(id: number): RawStream {
    let stream = this.streams.get(id);
    if (stream === undefined) {
      stream = new RawStream();
      this.streams.set(id, stream);
    }
    return stream;
  }

  /** Resolves with the stream once it has ended, was reset or the connection is gone. */
  async done(id: number): Promise<RawStream> {
    const stream = this.stream(id);
    await eventually(() => stream.hasEnded || stream.resetCode !== null || this.isClosed, `stream ${id} was over`);
    return stream;
  }

  /** Resolves with the code of GOAWAY once the connection was closed; null without one. */
  async closed(): Promise<number | null> {
    await eventually(() => this.isClosed, "the connection was closed");
    return this.goAway?.code ?? null;
  }

  // === Frames ===

  onData(streamId: number, chunk: Buffer, flowBytes: number, endsStream: boolean): void {
    const stream = this.stream(streamId);
    stream.dataBytes += chunk.length;
    if (stream.data.length < 1_000_000) stream.data += chunk.toString("latin1");
    if (this.opensWindows && flowBytes > 0) {
      this.send(rawFrame(FrameType.windowUpdate, 0, 0, uint32(flowBytes)));
      if (!endsStream) this.send(rawFrame(FrameType.windowUpdate, 0, streamId, uint32(flowBytes)));
    }
    if (endsStream) stream.hasEnded = true;
  }

  onHeaderBlock(streamId: number, bytes: Buffer, start: number, end: number, endsStream: boolean): void {
    const block: [string, string][] = [];
    try {
      this.#decoder.decode(bytes, start, end, { field: (field) => block.push([field.name.text, field.value]) });
    } catch (error) {
      if (!(error instanceof HpackError)) throw error;
      block.push([":undecodable", error.message]);
    }
    const stream = this.stream(streamId);
    stream.blocks.push(block);
    if (endsStream) stream.hasEnded = true;
    this.onRequest(streamId, stream);
  }

  onResetStream(streamId: number, code: number): void {
    this.stream(streamId).resetCode = code;
  }

  onSettings(): void {
    if (this.acknowledges) this.send(rawFrame(FrameType.settings, FrameFlag.ack, 0));
  }

  onSettingsAck(): void {
    this.settingsAcks++;
  }

  onPing(opaque: Buffer, isAck: boolean): void {
    if (isAck) this.pingAcks++;
    else if (this.acknowledges) this.send(rawFrame(FrameType.ping, FrameFlag.ack, 0, Buffer.from(opaque)));
  }

  onGoAway(lastStreamId: number, code: number, debug: string): void {
    this.goAway = { lastStreamId, code, debug };
  }

  onWindowUpdate(): void {
    // Counted by nobody: these tests say little.
  }

  onIgnoredFrame(): void {
    // None is expected.
  }

  onFault(fault: Http2Fault): void {
    throw new Error(`what the proxy wrote is no HTTP/2: ${fault.reason}`);
  }
}

export function settingsFrame(settings: readonly (readonly [number, number])[]): Buffer {
  const payload = Buffer.alloc(settings.length * 6);
  settings.forEach(([id, value], index) => payload.writeUInt32BE(value, payload.writeUInt16BE(id, index * 6)));
  return rawFrame(FrameType.settings, 0, 0, payload);
}

/** HEADERS, and CONTINUATION as far as the block does not fit. */
export function headersFrame(streamId: number, block: Buffer, end = true): Buffer {
  const flags = end ? FrameFlag.endStream : 0;
  const first = block.subarray(0, DEFAULT_MAX_FRAME_BYTES);
  if (first.length === block.length) return rawFrame(FrameType.headers, FrameFlag.endHeaders | flags, streamId, block);
  const frames = [rawFrame(FrameType.headers, flags, streamId, first)];
  for (let from = first.length; from < block.length; from += DEFAULT_MAX_FRAME_BYTES) {
    const isLast = from + DEFAULT_MAX_FRAME_BYTES >= block.length;
    frames.push(rawFrame(FrameType.continuation, isLast ? FrameFlag.endHeaders : 0, streamId, block.subarray(from, from + DEFAULT_MAX_FRAME_BYTES)));
  }
  return Buffer.concat(frames);
}

/** Literals without a table, for what no encoder would write. */
export function literalHeaders(streamId: number, fields: Fields, end = true): Buffer {
  return headersFrame(streamId, literalBlock(...fields), end);
}

/** The pseudo-headers of a request. */
export function requestFields(method = "GET", path = "/", authority = "app"): [string, string][] {
  return [[":method", method], [":scheme", "http"], [":path", path], [":authority", authority]];
}
