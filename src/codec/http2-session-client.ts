import type { Clock } from "../core/clock.ts";
import type { RequestHead, ResponseHead } from "../message/head.ts";
import { ProxyError } from "../message/proxy-error.ts";
import { Http2BodyLength } from "./http2-body-length.ts";
import { Http2ErrorCode, http2ErrorName } from "./http2-error-code.ts";
import { Http2Fault } from "./http2-fault.ts";
import { isBodiless } from "./http1-response-head.ts";
import type { Http2Output } from "./http2-output.ts";
import { toResponseHead } from "./http2-response-head.ts";
import { Http2Session } from "./http2-session.ts";
import type { Http2SessionOptions } from "./http2-session-options.ts";
import type { Http2SessionStream, Http2StreamUser } from "./http2-session-stream.ts";
import type { Http2SessionOwner } from "./http2-session-streams.ts";
import { SettingId } from "./http2-settings.ts";

/** What the owner of a client's connection is told besides. */
export interface Http2ClientSessionOwner extends Http2SessionOwner {
  /** The peer takes no more streams; told before those it did not process are cut. */
  goingAway(code: number, debug: string): void;
}

/** Streams we open before the peer has said how many it takes. */
const CAUTIOUS_STREAMS = 100;
/** As for HTTP/1 (A57). */
const MAX_INFORMATIONAL = 8;

/** The client's end of an HTTP/2 connection. */
export class Http2ClientSession extends Http2Session {
  // What the peer resets are streams of ours, and it gains nothing by it.
  protected readonly countsResets = false;
  protected readonly lastPeerStreamId = 0;
  readonly #clientOwner: Http2ClientSessionOwner;
  #nextStreamId = 1;
  #isGoingAway = false;

  constructor(output: Http2Output, owner: Http2ClientSessionOwner, options: Http2SessionOptions, clock: Clock) {
    super("client", output, owner, options, clock);
    this.#clientOwner = owner;
  }

  override start(): void {
    this.frames.preface();
    super.start();
  }

  /** Streams there may be at once. */
  get maxStreams(): number {
    if (this.awaitsSettings) return Math.min(this.options.maxStreams, CAUTIOUS_STREAMS);
    return Math.min(this.options.maxStreams, this.peerSettings.maxConcurrentStreams);
  }

  /** No stream can be opened any more, ever. */
  get isGoingAway(): boolean {
    return this.#isGoingAway || this.isOver || this.#nextStreamId > this.options.maxStreamId;
  }

  /** Another stream may be opened now. */
  get canOpen(): boolean {
    return !this.isGoingAway && this.streams.size < this.maxStreams;
  }

  /**
   * Opens a stream with a request; only while `canOpen`. `end` true: it has no body.
   *
   * @throws ProxyError `internal` when the head cannot be written; there is no stream then, and nothing was written
   */
  open(head: RequestHead, end: boolean, user: Http2StreamUser): Http2SessionStream {
    const streamId = this.#nextStreamId;
    this.heads.request(streamId, head, end);
    this.#nextStreamId += 2;
    const stream = this.addStream(streamId, head, this.peerSettings.initialWindowSize);
    stream.user = user;
    stream.remote = "head";
    stream.isTunnel = head.upgrade !== null || head.method === "CONNECT";
    if (end) stream.local = "closed";
    return stream;
  }

  /** Tells the peer that no more streams come. */
  sayGoodbye(): void {
    if (!this.isOver) this.frames.goAway(0, Http2ErrorCode.noError);
  }

  protected override ownSettings(): [number, number][] {
    return [[SettingId.enablePush, 0], ...super.ownSettings()];
  }

  protected isIdle(streamId: number): boolean {
    return (streamId & 1) === 0 || streamId >= this.#nextStreamId;
  }

  /** Our request ends before its answer. */
  protected isDoneAfterEnd(): boolean {
    return false;
  }

  /** A response that came whole is delivered, though its reader be slow and the connection gone. */
  protected isWhole(stream: Http2SessionStream): boolean {
    return stream.remote === "closed" && !stream.isTunnel;
  }

  /** How fast a response comes is its application's affair. */
  protected owesBody(): boolean {
    return false;
  }

  protected goAwayRead(lastStreamId: number, code: number, debug: string): void {
    this.#isGoingAway = true;
    this.#clientOwner.goingAway(code, debug);
    const reason = `GOAWAY ${http2ErrorName(code)}${debug === "" ? "" : `: ${debug}`}`;
    for (const stream of this.streams.list()) {
      if (stream.id > lastStreamId && this.streams.has(stream.id)) this.cut(stream, { kind: "unprocessed", code, reason }, false);
    }
  }

  protected headersRead(streamId: number, stream: Http2SessionStream | undefined, endsStream: boolean, isSelfDependent: boolean): void {
    if (stream === undefined) {
      const code = this.isIdle(streamId) ? Http2ErrorCode.protocolError : Http2ErrorCode.streamClosed;
      this.fail(new Http2Fault(code, "HEADERS on a stream that is not open"));
    } else if (isSelfDependent) {
      this.streamFault(stream, Http2ErrorCode.protocolError, "stream depends on itself");
    } else if (stream.remote === "head") {
      this.#response(stream, endsStream);
    } else {
      this.trailersRead(stream, endsStream);
    }
  }

  #response(stream: Http2SessionStream, endsStream: boolean): void {
    let head: ResponseHead;
    try {
      head = toResponseHead(this.fields, endsStream, stream.answered, this.options.isHop);
    } catch (error) {
      if (!(error instanceof ProxyError)) throw error;
      this.streamFault(stream, Http2ErrorCode.protocolError, error.reason === "" ? error.code : error.reason);
      return;
    }
    if (head.status < 200 && head.status !== 101) {
      if (++stream.informationalCount > MAX_INFORMATIONAL) this.streamFault(stream, Http2ErrorCode.enhanceYourCalm, "too many informational responses");
      else stream.user?.onHead(head, false);
      return;
    }
    stream.isTunnel &&= head.status < 300;
    this.#expectBody(stream, head);
    if (!endsStream) {
      stream.remote = "open";
      stream.user?.onHead(head, false);
      return;
    }
    stream.remote = "closed";
    this.remoteClosed(stream);
    stream.user?.onHead(head, true);
  }

  #expectBody(stream: Http2SessionStream, head: ResponseHead): void {
    if (stream.isTunnel) return;
    if (isBodiless(stream.answered.method, head.status)) stream.expected = new Http2BodyLength(0);
    else if (head.contentLength >= 0) stream.expected = new Http2BodyLength(head.contentLength);
  }
}
