import type { Http2Fault } from "../../../src/codec/http2-fault.ts";
import { Http2Output } from "../../../src/codec/http2-output.ts";
import { type Http2ClientSessionOwner, Http2ClientSession } from "../../../src/codec/http2-session-client.ts";
import { DEFAULT_HTTP2_SESSION_OPTIONS, type Http2SessionOptions } from "../../../src/codec/http2-session-options.ts";
import { type Http2ServerOwner, Http2ServerSession } from "../../../src/codec/http2-session-server.ts";
import type { Http2Cut, Http2SessionStream, Http2StreamUser } from "../../../src/codec/http2-session-stream.ts";
import { RequestHead, type ResponseHead } from "../../../src/message/head.ts";
import { HeaderList } from "../../../src/message/header-list.ts";
import type { ProxyError } from "../../../src/message/proxy-error.ts";
import { FrameRecorder, FrameSource, WrittenBytes } from "./http2-recording.ts";

/** What one stream told its user, a line each; data is counted and kept. */
export class StreamLog implements Http2StreamUser {
  readonly events: string[] = [];
  stream: Http2SessionStream | null = null;
  data = "";
  drains = 0;
  onDataCall: (chunk: Buffer) => void = () => undefined;
  onDrainCall: () => void = () => undefined;
  onEndCall: () => void = () => undefined;

  onHead(head: ResponseHead, end: boolean): void {
    this.events.push(`head ${head.status}${end ? " end" : ""}`);
  }

  onData(chunk: Buffer): void {
    this.data += chunk.toString("latin1");
    this.onDataCall(chunk);
  }

  onEnd(trailers: HeaderList | null): void {
    this.events.push(trailers === null ? "end" : `end ${JSON.stringify(trailers.toPairs())}`);
    this.onEndCall();
  }

  onDrain(): void {
    this.drains++;
    this.onDrainCall();
  }

  onCut(cut: Http2Cut): void {
    this.events.push(`cut ${cut.kind} ${cut.code}`);
  }
}

/** A peer made of raw frames, and what it has been told. */
export class RawPeer {
  /** Frames to send. */
  readonly source = new FrameSource();
  readonly #recorder: FrameRecorder;

  constructor(side: "server" | "client") {
    this.#recorder = new FrameRecorder(side);
  }

  /** Reads what the session wrote; the frames since the last call, a line each. */
  read(bytes: Buffer): string[] {
    this.#recorder.reader.read(bytes);
    return this.#recorder.events.splice(0);
  }

  get data(): Map<number, string> {
    return this.#recorder.data;
  }
}

/** A frame as the peer wants it, right or wrong. */
export function rawFrame(type: number, flags: number, streamId: number, payload: Buffer | string = ""): Buffer {
  const body = typeof payload === "string" ? Buffer.from(payload, "latin1") : payload;
  const header = Buffer.alloc(9);
  header.writeUIntBE(body.length, 0, 3);
  header[3] = type;
  header[4] = flags;
  header.writeUInt32BE(streamId, 5);
  return Buffer.concat([header, body]);
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

export const request = (method = "GET", path = "/", contentLength = 0, ...headers: [string, string][]) => {
  const head = new RequestHead(method, "a.test", path, HeaderList.of(...headers), contentLength);
  head.version = "HTTP/2";
  return head;
};

/** What both sides under test have in common. */
abstract class Side {
  readonly sink = new WrittenBytes();
  readonly output = new Http2Output(this.sink);
  readonly clock = { nowMs: 1_000, monotonicMs: () => this.clock.nowMs, wallMs: () => this.clock.nowMs };
  readonly peer: RawPeer;
  readonly faults: Http2Fault[] = [];
  closedStreams = 0;
  settingsChanges = 0;
  pingAcks = 0;

  constructor(peerSide: "server" | "client") {
    this.peer = new RawPeer(peerSide);
  }

  streamClosed(): void {
    this.closedStreams++;
  }

  settingsChanged(): void {
    this.settingsChanges++;
  }

  pingAcked(): void {
    this.pingAcks++;
  }

  /** What was written since the last call, as frames. */
  written(): string[] {
    this.output.flush();
    return this.peer.read(this.sink.take());
  }
}

/** A server session whose peer is played by the test. */
export class ServerSide extends Side implements Http2ServerOwner {
  readonly session: Http2ServerSession;
  readonly heads: RequestHead[] = [];
  readonly logs: StreamLog[] = [];
  readonly malformedErrors: ProxyError[] = [];
  onRequest: (head: RequestHead, end: boolean, stream: Http2SessionStream) => void = () => undefined;

  constructor(options: Partial<Http2SessionOptions> = {}) {
    super("client");
    this.session = new Http2ServerSession(this.output, this, { ...DEFAULT_HTTP2_SESSION_OPTIONS, ...options }, this.clock);
    this.session.start();
  }

  /** Takes the preface and settings of the peer, and the acknowledgement of ours. */
  greet(...settings: [number, number][]): this {
    const { frames } = this.peer.source;
    frames.preface();
    frames.settings(settings);
    frames.settingsAck();
    this.send();
    this.written();
    return this;
  }

  /** Hands over what the peer has written, then `frames`. */
  send(...frames: Buffer[]): void {
    this.session.read(Buffer.concat([this.peer.source.take(), ...frames]));
  }

  request(head: RequestHead, end: boolean, stream: Http2SessionStream): Http2StreamUser {
    const log = new StreamLog();
    log.stream = stream;
    this.heads.push(head);
    this.logs.push(log);
    this.onRequest(head, end, stream);
    return log;
  }

  malformed(error: ProxyError): void {
    this.malformedErrors.push(error);
  }

  failed(fault: Http2Fault): void {
    this.faults.push(fault);
    this.session.abandon({ kind: "fault", code: fault.code, reason: fault.reason });
  }
}

/** A client session whose peer is played by the test. */
export class ClientSide extends Side implements Http2ClientSessionOwner {
  readonly session: Http2ClientSession;
  readonly goAways: string[] = [];

  constructor(options: Partial<Http2SessionOptions> = {}) {
    super("server");
    this.session = new Http2ClientSession(this.output, this, { ...DEFAULT_HTTP2_SESSION_OPTIONS, ...options }, this.clock);
    this.session.start();
  }

  greet(...settings: [number, number][]): this {
    const { frames } = this.peer.source;
    frames.settings(settings);
    frames.settingsAck();
    this.send();
    this.written();
    return this;
  }

  send(...frames: Buffer[]): void {
    this.session.read(Buffer.concat([this.peer.source.take(), ...frames]));
  }

  open(head = request(), end = true): StreamLog {
    const log = new StreamLog();
    log.stream = this.session.open(head, end, log);
    return log;
  }

  goingAway(code: number, debug: string): void {
    this.goAways.push(`${code} ${debug}`);
  }

  failed(fault: Http2Fault): void {
    this.faults.push(fault);
    this.session.abandon({ kind: "fault", code: fault.code, reason: fault.reason });
  }
}

