import type { Clock } from "../core/clock.ts";
import type { RequestHead, ResponseHead } from "../message/head.ts";
import { localReplyHead, toLocalReply } from "../message/local-reply.ts";
import { ProxyError } from "../message/proxy-error.ts";
import { Http2BodyLength } from "./http2-body-length.ts";
import { Http2ErrorCode } from "./http2-error-code.ts";
import { Http2Fault } from "./http2-fault.ts";
import { MAX_UINT31 } from "./http2-frame.ts";
import type { Http2Output } from "./http2-output.ts";
import { type Http2RequestRules, toRequestHead } from "./http2-request-head.ts";
import { Http2Session } from "./http2-session.ts";
import type { Http2SessionOptions } from "./http2-session-options.ts";
import type { Http2SessionStream, Http2StreamUser } from "./http2-session-stream.ts";
import type { Http2SessionOwner } from "./http2-session-streams.ts";
import { SettingId } from "./http2-settings.ts";
import type { Http2Late } from "./http2-stream-patience.ts";

/** What the owner of a server's connection is told besides. */
export interface Http2ServerOwner extends Http2SessionOwner {
  /** A request began. `end` true: it has no body. Returns who hears the rest of it. */
  request(head: RequestHead, end: boolean, stream: Http2SessionStream): Http2StreamUser;
  /** A request could not be read; it was answered, or its stream reset. */
  malformed(error: ProxyError): void;
}

/** The server's end of an HTTP/2 connection. */
export class Http2ServerSession extends Http2Session {
  protected readonly countsResets = true;
  protected lastPeerStreamId = 0;
  readonly #serverOwner: Http2ServerOwner;
  readonly #rules: Http2RequestRules;
  /** Streams above it are not served: the last stream of our final GOAWAY. */
  #lastServed = MAX_UINT31;

  constructor(output: Http2Output, owner: Http2ServerOwner, options: Http2SessionOptions, clock: Clock) {
    super("server", output, owner, options, clock);
    this.#serverOwner = owner;
    this.#rules = {
      maxTargetBytes: options.limits.maxTargetBytes,
      allowsConnect: options.allowsConnect,
      allowsExtendedConnect: options.allowsExtendedConnect,
      restoresSpelling: options.isHop,
    };
  }

  /** Asks the peer to open no more streams; those on their way are still served. RFC 9113 section 6.8. */
  announceShutdown(): void {
    if (this.isOver) return;
    this.frames.goAway(MAX_UINT31, Http2ErrorCode.noError);
    this.ping();
  }

  /** No stream is served that has not come by now. */
  refuseNewStreams(): void {
    if (this.isOver || this.#lastServed !== MAX_UINT31) return;
    this.#lastServed = this.lastPeerStreamId;
    this.frames.goAway(this.#lastServed, Http2ErrorCode.noError);
  }

  protected override ownSettings(): [number, number][] {
    const settings = super.ownSettings();
    settings.push([SettingId.maxConcurrentStreams, this.options.maxStreams]);
    if (this.options.allowsExtendedConnect) settings.push([SettingId.enableConnectProtocol, 1]);
    return settings;
  }

  protected isIdle(streamId: number): boolean {
    return (streamId & 1) === 0 || streamId > this.lastPeerStreamId;
  }

  /** An answer that is complete before its request ends the stream, unless each half ends by itself (RFC 9113 section 8.1). */
  protected isDoneAfterEnd(stream: Http2SessionStream): boolean {
    return !stream.isTunnel;
  }

  /** Nobody waits for the answer to a request that was cut. */
  protected isWhole(): boolean {
    return false;
  }

  protected owesBody(stream: Http2SessionStream): boolean {
    return stream.remote === "open" && stream.expected !== null && !stream.expected.isComplete;
  }

  /** Said if anything can still be said (408), and cut. */
  protected override giveUp(stream: Http2SessionStream, kind: Http2Late): void {
    if (kind === "slow-body" && stream.local === "head") this.heads.response(stream.id, bareReply(new ProxyError("body_rate")), 0, true);
    super.giveUp(stream, kind);
  }

  protected goAwayRead(): void {
    // We open no streams; the client's go on to their end.
  }

  protected headersRead(streamId: number, stream: Http2SessionStream | undefined, endsStream: boolean, isSelfDependent: boolean): void {
    if (stream !== undefined) {
      if (isSelfDependent) this.streamFault(stream, Http2ErrorCode.protocolError, "stream depends on itself");
      else this.trailersRead(stream, endsStream);
    } else if ((streamId & 1) === 0 || streamId < this.lastPeerStreamId) {
      this.fail(new Http2Fault(Http2ErrorCode.protocolError, "stream id not larger than the last"));
    } else if (streamId === this.lastPeerStreamId) {
      this.fail(new Http2Fault(Http2ErrorCode.streamClosed, "HEADERS on a closed stream"));
    } else {
      this.lastPeerStreamId = streamId;
      if (!this.isFlooded(this.governor.streamOpened(this.nowMs))) this.#open(streamId, endsStream, isSelfDependent);
    }
  }

  #open(streamId: number, endsStream: boolean, isSelfDependent: boolean): void {
    if (streamId > this.#lastServed) {
      this.refuse(streamId, Http2ErrorCode.refusedStream, false);
    } else if (this.streams.size >= this.options.maxStreams) {
      // Until it has our settings the peer cannot know.
      this.refuse(streamId, Http2ErrorCode.refusedStream, !this.awaitsSettingsAck);
    } else if (isSelfDependent) {
      this.refuse(streamId, Http2ErrorCode.protocolError, true);
    } else {
      this.#request(streamId, endsStream);
    }
  }

  #request(streamId: number, endsStream: boolean): void {
    let head: RequestHead;
    try {
      head = toRequestHead(this.fields, endsStream, this.#rules);
    } catch (error) {
      if (!(error instanceof ProxyError)) throw error;
      this.#malformed(streamId, endsStream, error);
      return;
    }
    const stream = this.addStream(streamId, head, this.peerSettings.initialWindowSize);
    stream.isTunnel = head.upgrade !== null || head.method === "CONNECT";
    stream.local = "head";
    stream.awaitsContinue = head.expectsContinue;
    if (endsStream) stream.remote = "closed";
    else if (head.contentLength >= 0 && !stream.isTunnel) stream.expected = new Http2BodyLength(head.contentLength);
    const user = this.#serverOwner.request(head, endsStream, stream);
    // Answered or reset within the call: nobody is left to hear the rest.
    if (this.streams.has(streamId)) stream.user = user;
  }

  /** RFC 9113 section 8.1.1 has what is malformed reset; what is understood and refused is answered. */
  #malformed(streamId: number, endsStream: boolean, error: ProxyError): void {
    if (error.code === "codec_error") this.refuse(streamId, Http2ErrorCode.protocolError, true);
    else if (error.code === "headers_too_large") this.refuse(streamId, Http2ErrorCode.enhanceYourCalm, true);
    else this.#answer(streamId, endsStream, error);
    this.#serverOwner.malformed(error);
  }

  #answer(streamId: number, endsStream: boolean, error: ProxyError): void {
    this.heads.response(streamId, bareReply(error), 0, true);
    if (!endsStream) this.refuse(streamId, Http2ErrorCode.noError, true);
  }
}

/** A local reply without a body. */
function bareReply(error: ProxyError): ResponseHead {
  return localReplyHead({ ...toLocalReply(error), body: "" });
}
