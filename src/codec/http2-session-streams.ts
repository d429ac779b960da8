import type { Clock } from "../core/clock.ts";
import type { ResponseHead } from "../message/head.ts";
import type { HeaderList } from "../message/header-list.ts";
import { HpackEncoder } from "./hpack-encoder.ts";
import { Http2ErrorCode } from "./http2-error-code.ts";
import { Http2Fault } from "./http2-fault.ts";
import { Http2FloodGovernor } from "./http2-flood-governor.ts";
import { Http2FrameWriter } from "./http2-frame-writer.ts";
import { Http2HeadWriter } from "./http2-head-writer.ts";
import type { Http2Output } from "./http2-output.ts";
import type { Http2Answered } from "./http2-response-head.ts";
import type { Http2SessionOptions } from "./http2-session-options.ts";
import { Http2Sender, type Http2SenderOwner } from "./http2-session-sender.ts";
import { type Http2Cut, Http2SessionStream, type Http2StreamHost } from "./http2-session-stream.ts";
import { Http2StreamTable } from "./http2-stream-table.ts";
import { type Http2Late, Http2StreamPatience } from "./http2-stream-patience.ts";
import { Http2ConnectionWindow } from "./http2-session-window.ts";

/** What the owner of a session's connection is told. */
export interface Http2SessionOwner {
  /** The peer broke a rule of the connection. GOAWAY was written and nothing more is read: abandon the session and close. */
  failed(fault: Http2Fault): void;
  /** A stream is over, so that another may begin. */
  streamClosed(): void;
  /** The peer's settings changed. */
  settingsChanged(): void;
  /** The peer answered a PING. */
  pingAcked(): void;
}

/** Streams we reset whose frames may still be on their way; a peer that has more of them has been flooding us. */
const MAX_REMEMBERED = 256;

/**
 * The streams of one end of a connection, and what is written for them. A stream is in the set from its first HEADERS
 * until both halves have ended or either end reset it.
 */
export abstract class Http2Streams implements Http2StreamHost, Http2SenderOwner {
  readonly output: Http2Output;
  protected readonly options: Http2SessionOptions;
  protected readonly owner: Http2SessionOwner;
  protected readonly clock: Clock;
  protected readonly frames: Http2FrameWriter;
  protected readonly encoder = new HpackEncoder();
  protected readonly heads: Http2HeadWriter;
  protected readonly sender: Http2Sender;
  protected readonly governor: Http2FloodGovernor;
  protected readonly window: Http2ConnectionWindow;
  protected readonly streams = new Http2StreamTable();
  /** Streams we have reset, the last of them. */
  protected readonly resetIds = new Set<number>();
  /** The time when the bytes at hand came. */
  protected nowMs: number;
  #isOver = false;

  constructor(output: Http2Output, owner: Http2SessionOwner, options: Http2SessionOptions, clock: Clock) {
    this.output = output;
    this.owner = owner;
    this.options = options;
    this.clock = clock;
    this.nowMs = clock.monotonicMs();
    this.frames = new Http2FrameWriter(output);
    this.heads = new Http2HeadWriter(this.frames, this.encoder, options.isHop);
    this.governor = new Http2FloodGovernor(options.flood, this.nowMs);
    this.window = new Http2ConnectionWindow(this.frames, options.maxHeldBytes);
    this.sender = new Http2Sender(this, this.frames, this.heads, this.governor);
  }

  /** Streams under way. */
  get streamCount(): number {
    return this.streams.size;
  }

  /** Octets that wait for slow readers, of all streams. */
  get heldBytes(): number {
    return this.window.heldBytes;
  }

  /** True once the connection is at its end: nothing is read or written any more. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Ends the connection for what the peer did: writes GOAWAY and tells the owner, who abandons the session. */
  fail(fault: Http2Fault): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.stopReading();
    this.frames.goAway(this.lastPeerStreamId, fault.code, fault.reason);
    this.owner.failed(fault);
  }

  /** The connection is at its end: every stream whose message has not come whole is cut. */
  abandon(cut: Http2Cut): void {
    this.#isOver = true;
    this.stopReading();
    const streams = this.streams.list();
    this.streams.clear();
    for (const stream of streams) stream.over(this.isWhole(stream) ? null : cut);
  }

  // === The sides ===

  /** The last stream the peer has opened. */
  protected abstract readonly lastPeerStreamId: number;
  protected abstract stopReading(): void;
  /** True when it counts how often streams are reset: the other side opened them. */
  protected abstract readonly countsResets: boolean;
  /** Our half of a stream has ended and the peer's has not: true when the rest of it is not wanted. */
  protected abstract isDoneAfterEnd(stream: Http2SessionStream): boolean;
  /** The peer's message has come whole, so that the end of the stream takes nothing from it. */
  protected abstract isWhole(stream: Http2SessionStream): boolean;

  /** `peerWindowBytes`: the peer's SETTINGS_INITIAL_WINDOW_SIZE. */
  protected addStream(streamId: number, answered: Http2Answered, peerWindowBytes: number): Http2SessionStream {
    const stream = new Http2SessionStream(this, streamId, answered, peerWindowBytes, this.options.streamWindowBytes);
    this.streams.add(stream);
    this.#chooseFlushPoint();
    return stream;
  }

  // === The peer's half ===

  /** The peer's half ends. False: by its Content-Length it may not yet. */
  protected closeRemote(stream: Http2SessionStream): boolean {
    if (stream.expected?.isComplete === false) {
      this.streamFault(stream, Http2ErrorCode.protocolError, "less data than Content-Length");
      return false;
    }
    stream.remote = "closed";
    return true;
  }

  /** Behind `closeRemote`: tells the user. */
  protected finishRemote(stream: Http2SessionStream, trailers: HeaderList | null): void {
    this.remoteClosed(stream);
    stream.receiveEnd(trailers);
  }

  /** The peer's half has ended. */
  protected remoteClosed(stream: Http2SessionStream): void {
    if (stream.local === "closed") this.#remove(stream, true);
  }

  passedOn(stream: Http2SessionStream, bytes: number): void {
    if (stream.remote === "closed") return;
    const increment = stream.receiveWindow.consume(bytes);
    if (increment > 0 && !this.#isOver) this.frames.windowUpdate(stream.id, increment);
  }

  heldChanged(bytes: number): void {
    this.window.heldChanged(bytes);
  }

  // === Our half ===

  sendResponse(stream: Http2SessionStream, head: ResponseHead, contentLength: number, end: boolean): void {
    // What ends a stream makes room for another: behind a peer that does not read, it waits its turn.
    const endsLater = end && this.output.isOverWatermark;
    this.heads.response(stream.id, head, contentLength, end && !endsLater);
    if (head.status >= 200 || head.status === 101) stream.local = "open";
    else if (head.status === 100) stream.awaitsContinue = false;
    if (endsLater) this.sender.end(stream, null);
    else if (end) this.ended(stream);
  }

  send(stream: Http2SessionStream, chunk: Buffer): boolean {
    return this.sender.send(stream, chunk);
  }

  sendEnd(stream: Http2SessionStream, trailers: HeaderList | null): void {
    this.sender.end(stream, trailers);
  }

  ended(stream: Http2SessionStream): void {
    stream.local = "closed";
    if (stream.remote === "closed") {
      this.#remove(stream, true);
    } else if (this.isDoneAfterEnd(stream)) {
      // Our choice, and nothing to be charged to the peer.
      this.governor.streamFinished();
      stream.reset(Http2ErrorCode.noError);
    }
  }

  unsendable(stream: Http2SessionStream, cause: unknown): void {
    const { user } = stream;
    stream.reset(Http2ErrorCode.internalError);
    user?.onCut({ kind: "unsendable", code: Http2ErrorCode.internalError, reason: cause instanceof Error ? cause.message : String(cause) });
  }

  sendReset(stream: Http2SessionStream, code: number): void {
    if (this.#isOver) return;
    this.frames.resetStream(stream.id, code);
    this.cut(stream, null, stream.remote !== "closed");
  }

  // === Streams whose peer keeps them waiting ===

  /** Gives up streams whose peer has owed them something for too long; to be called about once a second. */
  checkStreams(nowMs: number): void {
    const isBackedUp = this.output.isOverWatermark;
    for (const stream of this.streams.list()) {
      if (stream.isTunnel || !this.streams.has(stream.id)) continue;
      const owesBody = this.owesBody(stream);
      const owesReading = stream.endsAfterWaiting || (stream.waitingBytes > 0 && (stream.isBlocked || isBackedUp));
      if (!owesBody && !owesReading) {
        stream.patience = null;
        continue;
      }
      stream.patience ??= new Http2StreamPatience(this.options.stalls, stream, nowMs);
      const isHeld = stream.isHeld || stream.awaitsContinue || this.window.isWithheld;
      const late = stream.patience.check(stream, owesBody, owesReading, isHeld, nowMs);
      if (late !== null) this.giveUp(stream, late);
    }
  }

  /** True when the peer has announced the length of a request body and not sent all of it. */
  protected abstract owesBody(stream: Http2SessionStream): boolean;

  /** Not charged to the peer: a slow network does not make it a flood. */
  protected giveUp(stream: Http2SessionStream, kind: Http2Late): void {
    const code = Http2ErrorCode.cancel;
    this.frames.resetStream(stream.id, code);
    this.cut(stream, { kind, code, reason: kind === "slow-body" ? "request body too slow" : "nothing of what waits was taken" }, stream.remote !== "closed");
  }

  // === The end of a stream before its time ===

  /** Resets a stream for what the peer did. */
  protected streamFault(stream: Http2SessionStream, code: number, reason: string): void {
    if (this.#isFaulted()) return;
    this.frames.resetStream(stream.id, code);
    this.cut(stream, { kind: "fault", code, reason }, stream.remote !== "closed");
  }

  /** The same where there is no stream, or none was made: more of it may still come. */
  protected refuse(streamId: number, code: number, isFault: boolean): void {
    if (isFault && this.#isFaulted()) return;
    this.frames.resetStream(streamId, code);
    this.#remember(streamId);
  }

  /** Takes a stream out and tells its user. `mayGoOn`: frames of it may still come. */
  protected cut(stream: Http2SessionStream, cut: Http2Cut | null, mayGoOn: boolean): void {
    if (mayGoOn) this.#remember(stream.id);
    this.#remove(stream, false);
    stream.over(cut);
  }

  /** Ends the connection when there is a fault, and says so. */
  protected isFlooded(fault: Http2Fault | null): boolean {
    if (fault !== null) this.fail(fault);
    return fault !== null;
  }

  #isFaulted(): boolean {
    return this.countsResets && this.isFlooded(this.governor.resetSent(this.nowMs));
  }

  #remove(stream: Http2SessionStream, isInOrder: boolean): void {
    if (!this.streams.delete(stream.id)) return;
    this.#chooseFlushPoint();
    if (isInOrder) this.governor.streamFinished();
    this.owner.streamClosed();
  }

  /** Waiting for the turn's other frames is worth its while only where other streams may have some. */
  #chooseFlushPoint(): void {
    if (this.options.isHop) this.output.flushPoint = this.streams.size > 1 ? "turn" : "tick";
  }

  #remember(streamId: number): void {
    if (this.resetIds.size === MAX_REMEMBERED) this.resetIds.delete(this.resetIds.values().next().value as number);
    this.resetIds.add(streamId);
  }
}
