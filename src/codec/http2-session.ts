import type { Clock } from "../core/clock.ts";
import type { HeaderList } from "../message/header-list.ts";
import type { ProxyError } from "../message/proxy-error.ts";
import { HpackDecoder } from "./hpack-decoder.ts";
import { HpackError } from "./hpack-error.ts";
import { Http2ErrorCode, http2ErrorName } from "./http2-error-code.ts";
import { Http2Fault } from "./http2-fault.ts";
import { Http2Fields } from "./http2-fields.ts";
import { type Http2FrameHandler, Http2FrameReader } from "./http2-frame-reader.ts";
import type { Http2Output } from "./http2-output.ts";
import type { Http2SessionOptions } from "./http2-session-options.ts";
import type { Http2SessionStream } from "./http2-session-stream.ts";
import { type Http2SessionOwner, Http2Streams } from "./http2-session-streams.ts";
import { type Http2Settings, SettingId } from "./http2-settings.ts";
import { toTrailers } from "./http2-trailers.ts";

const { protocolError, flowControlError, streamClosed, compressionError, refusedStream } = Http2ErrorCode;
const PING_OPAQUE = Buffer.from("outrider", "latin1");
const DEFAULT_TABLE_BYTES = 4096;

/**
 * One end of an HTTP/2 connection (RFC 9113), pure: bytes go in by `read`, frames go out into an `Http2Output`, what was
 * read is told to the users of the streams. Its two sides, `Http2ServerSession` and `Http2ClientSession`, know who may
 * open streams and what a header block means; this is what the other frames mean.
 *
 * A fault of a stream costs the stream, a fault of the connection the connection (section 5.4). Data is passed on in the
 * call that brought it; how much of it a peer may send ahead of a slow reader is bounded by the windows.
 */
export abstract class Http2Session extends Http2Streams implements Http2FrameHandler {
  /** Frames read so far, for telling a peer that has stalled from one that has not. */
  framesRead = 0;
  protected readonly fields: Http2Fields;
  readonly #reader: Http2FrameReader;
  readonly #decoder: HpackDecoder;
  #awaitsSettingsAck = false;
  #pingsUnanswered = 0;

  constructor(side: "server" | "client", output: Http2Output, owner: Http2SessionOwner, options: Http2SessionOptions, clock: Clock) {
    super(output, owner, options, clock);
    this.fields = new Http2Fields(options.limits, options.isHop);
    this.#reader = new Http2FrameReader(this, { side, limits: options.limits });
    this.#decoder = new HpackDecoder(Math.max(options.headerTableBytes, DEFAULT_TABLE_BYTES));
  }

  // === The owner of the connection ===

  /** True until the peer's first SETTINGS has come. */
  get awaitsSettings(): boolean {
    return this.#reader.awaitsSettings;
  }

  /** True until the peer has acknowledged ours. */
  get awaitsSettingsAck(): boolean {
    return this.#awaitsSettingsAck;
  }

  /** True while a frame or a header block has begun and not ended; DATA, which is passed on as it comes, aside. */
  get hasPartialFrame(): boolean {
    return this.#reader.heldBytes > 0;
  }

  /** What the peer has set. */
  get peerSettings(): Http2Settings {
    return this.#reader.settings;
  }

  /** Says the first word. */
  start(): void {
    this.frames.settings(this.ownSettings());
    this.#awaitsSettingsAck = true;
    this.window.open(this.options.connectionWindowBytes);
  }

  /** Reads what came; `chunk` belongs to the session from then on. */
  read(chunk: Buffer): void {
    if (this.isOver) return;
    this.nowMs = this.clock.monotonicMs();
    this.#reader.read(chunk);
  }

  /** The socket took what was buffered. */
  drained(): void {
    if (!this.isOver) this.sender.pump();
  }

  /** Asks the peer for a sign of life; the owner is told of the answer. */
  ping(): void {
    if (this.isOver) return;
    this.#pingsUnanswered++;
    this.frames.ping(PING_OPAQUE, false);
  }

  protected stopReading(): void {
    this.#reader.stop();
  }

  // === The sides ===

  /** True for a stream that was never opened. */
  protected abstract isIdle(streamId: number): boolean;
  /** A block was decoded into `fields`; `stream` undefined: there is none with this id, and it is none that we have reset. */
  protected abstract headersRead(streamId: number, stream: Http2SessionStream | undefined, endsStream: boolean, isSelfDependent: boolean): void;
  protected abstract goAwayRead(lastStreamId: number, code: number, debug: string): void;

  protected ownSettings(): [number, number][] {
    const { headerTableBytes, streamWindowBytes, limits } = this.options;
    const settings: [number, number][] = [[SettingId.initialWindowSize, streamWindowBytes], [SettingId.maxHeaderListSize, limits.maxHeaderBytes]];
    if (headerTableBytes !== DEFAULT_TABLE_BYTES) settings.push([SettingId.headerTableSize, headerTableBytes]);
    return settings;
  }

  /** Trailer fields were read. */
  protected trailersRead(stream: Http2SessionStream, endsStream: boolean): void {
    if (stream.remote === "closed") {
      this.streamFault(stream, streamClosed, "HEADERS behind the end of the stream");
      return;
    }
    let trailers: HeaderList | null;
    try {
      trailers = toTrailers(this.fields, endsStream, this.options.limits.maxTrailerBytes, this.options.isHop);
    } catch (error) {
      this.streamFault(stream, protocolError, (error as ProxyError).reason);
      return;
    }
    if (this.closeRemote(stream)) this.finishRemote(stream, trailers);
  }

  // === Frames ===

  onData(streamId: number, chunk: Buffer, flowBytes: number, endsStream: boolean): void {
    this.framesRead++;
    if (!this.window.receive(flowBytes)) {
      this.#failWith(flowControlError, "connection window exceeded");
      return;
    }
    if (chunk.length === 0 && !endsStream && this.isFlooded(this.governor.emptyDataReceived(this.nowMs))) return;
    const stream = this.streams.get(streamId);
    if (stream === undefined) this.#dataOfNoStream(streamId);
    else if (stream.remote === "closed") this.streamFault(stream, streamClosed, "DATA behind the end of the stream");
    else if (stream.remote === "head") this.streamFault(stream, protocolError, "DATA before the head");
    else if (!stream.receiveWindow.receive(flowBytes)) this.streamFault(stream, flowControlError, "stream window exceeded");
    else if (stream.expected?.take(chunk.length) === false) this.streamFault(stream, protocolError, "more data than Content-Length");
    else this.#dataRead(stream, chunk, flowBytes, endsStream);
  }

  #dataRead(stream: Http2SessionStream, chunk: Buffer, flowBytes: number, endsStream: boolean): void {
    // Closed before the data is passed on, so that the last of it opens no window.
    if (endsStream && !this.closeRemote(stream)) return;
    if (flowBytes > chunk.length) this.passedOn(stream, flowBytes - chunk.length);
    if (chunk.length > 0) stream.receive(chunk);
    if (endsStream) this.finishRemote(stream, null);
  }

  #dataOfNoStream(streamId: number): void {
    if (this.isIdle(streamId)) this.#failWith(protocolError, "DATA on an idle stream");
    else if (!this.resetIds.has(streamId)) this.refuse(streamId, streamClosed, true);
  }

  onHeaderBlock(streamId: number, bytes: Buffer, start: number, end: number, endsStream: boolean, isSelfDependent: boolean): void {
    this.framesRead++;
    this.fields.reset();
    try {
      this.#decoder.decode(bytes, start, end, this.fields);
    } catch (error) {
      if (!(error instanceof HpackError)) throw error;
      this.#failWith(compressionError, error.message);
      return;
    }
    const stream = this.streams.get(streamId);
    if (stream === undefined && this.resetIds.has(streamId)) return;
    this.headersRead(streamId, stream, endsStream, isSelfDependent);
  }

  onResetStream(streamId: number, code: number): void {
    this.framesRead++;
    const stream = this.streams.get(streamId);
    if (stream === undefined) {
      if (this.isIdle(streamId)) this.#failWith(protocolError, "RST_STREAM on an idle stream");
      else if (!this.resetIds.delete(streamId)) this.#countControl();
      return;
    }
    if (this.countsResets && this.isFlooded(this.governor.resetReceived(this.nowMs))) return;
    const kind = code === refusedStream ? "unprocessed" : "reset";
    this.cut(stream, this.isWhole(stream) ? null : { kind, code, reason: `RST_STREAM ${http2ErrorName(code)}` }, false);
  }

  onSettings(settings: Http2Settings, initialWindowDelta: number): void {
    this.framesRead++;
    if (this.#countControl()) return;
    this.encoder.limitTable(settings.headerTableSize);
    this.frames.settingsAck();
    if (initialWindowDelta !== 0 && !this.#windowsChanged(initialWindowDelta)) return;
    this.owner.settingsChanged();
  }

  #windowsChanged(delta: number): boolean {
    for (const stream of this.streams.list()) {
      if (!stream.sendWindow.grow(delta)) {
        this.#failWith(flowControlError, "INITIAL_WINDOW_SIZE makes a window too large");
        return false;
      }
      this.sender.waits(stream);
    }
    this.sender.pump();
    return true;
  }

  onSettingsAck(): void {
    this.framesRead++;
    if (!this.#awaitsSettingsAck) this.#countControl();
    this.#awaitsSettingsAck = false;
  }

  onPing(opaque: Buffer, isAck: boolean): void {
    this.framesRead++;
    if (isAck && this.#pingsUnanswered > 0 && opaque.equals(PING_OPAQUE)) {
      this.#pingsUnanswered--;
      this.owner.pingAcked();
    } else if (!this.#countControl() && !isAck) {
      this.frames.ping(opaque, true);
    }
  }

  onGoAway(lastStreamId: number, code: number, debug: string): void {
    this.framesRead++;
    if (!this.#countControl()) this.goAwayRead(lastStreamId, code, debug);
  }

  onWindowUpdate(streamId: number, increment: number): void {
    this.framesRead++;
    if (this.#countControl()) return;
    if (streamId === 0) {
      if (this.sender.window.grow(increment)) this.sender.pump();
      else this.#failWith(flowControlError, "connection window beyond 2^31-1");
      return;
    }
    const stream = this.streams.get(streamId);
    if (stream === undefined) {
      if (this.isIdle(streamId)) this.#failWith(protocolError, "WINDOW_UPDATE on an idle stream");
    } else if (!stream.sendWindow.grow(increment)) {
      this.streamFault(stream, flowControlError, "stream window beyond 2^31-1");
    } else if (stream.waitingBytes > 0) {
      this.sender.waits(stream);
      this.sender.pump();
    }
  }

  onIgnoredFrame(): void {
    this.framesRead++;
    this.#countControl();
  }

  onFault(fault: Http2Fault): void {
    const stream = this.streams.get(fault.streamId);
    if (fault.scope === "connection") this.fail(fault);
    else if (stream !== undefined) this.streamFault(stream, fault.code, fault.reason);
    else if (this.isIdle(fault.streamId)) this.#failWith(fault.code, fault.reason);
    else if (this.resetIds.has(fault.streamId)) this.#countControl();
    else this.refuse(fault.streamId, fault.code, true);
  }

  #countControl(): boolean {
    return this.isFlooded(this.governor.controlReceived(this.nowMs));
  }

  #failWith(code: Http2ErrorCode, reason: string): void {
    this.fail(new Http2Fault(code, reason));
  }
}
