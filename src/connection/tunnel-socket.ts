import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import type { Timer, TimerWheel } from "../core/timer-wheel.ts";
import { ResponseHead } from "../message/head.ts";
import { HeaderList } from "../message/header-list.ts";
import { ProxyError } from "../message/proxy-error.ts";
import type { DownstreamStream, RequestReceiver } from "../message/stream.ts";

/** How the peer was answered. */
export type TunnelAnswer = "accepted" | "refused" | "unreachable";

export interface TunnelSocketOptions {
  readonly timers: TimerWheel;
  /** Told once. */
  readonly answered: (answer: TunnelAnswer) => void;
  /** The peer has ended its half with the CONNECT itself. */
  readonly hasEnded: boolean;
}

/** A half that we have closed waits so long for the peer's, as Linux waits for a FIN. */
const FIN_WAIT_MS = 60_000;

/**
 * - `offered`: the CONNECT is not answered yet.
 * - `open`: bytes go both ways; each half ends by itself.
 * - `lingering`: closed here; the peer has not ended its half.
 * - `over`: nothing more is said.
 */
type Phase = "offered" | "open" | "lingering" | "over";

/**
 * A CONNECT stream of HTTP/2 as the connection it stands for, so that whoever serves sockets serves tunnels:
 *
 * - It is paused until somebody takes it, and the peer hears 200 when its bytes are first asked for: at once where the
 *   protocol shows in them, and once the upstream is connected where nothing is read before.
 * - Closed before that it is answered with the status of `refuse`, or with 503: no upstream was to be had.
 * - A FIN is END_STREAM, a reset is RST_STREAM, both ways. Bytes that come after it was closed are answered with a reset.
 * - A full buffer here closes the stream's window, a full one there holds `write` back.
 *
 * Of `net.Socket` it has what is used of accepted connections: the stream itself, `resetAndDestroy` and the remote
 * address. It has no TLS and no options of TCP.
 */
export class TunnelSocket extends Duplex {
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** Who hears the peer's half. */
  readonly receiver: RequestReceiver = new TunnelReceiver(this);
  readonly #stream: DownstreamStream;
  readonly #options: TunnelSocketOptions;
  #phase: Phase = "offered";
  #refusedWith = 0;
  #hasPeerEnded: boolean;
  #isHeldBack = false;
  #isResetting = false;
  #onWritten: ((error?: Error | null) => void) | null = null;
  #unconfirmedBytes = 0;
  #finWait: Timer | null = null;

  constructor(stream: DownstreamStream, options: TunnelSocketOptions) {
    super({ allowHalfOpen: true });
    const { remote } = stream.connection;
    this.remoteAddress = remote.address;
    this.remotePort = remote.port;
    this.#stream = stream;
    this.#options = options;
    this.#hasPeerEnded = options.hasEnded;
    // A connection that is reset while nobody listens must not end the process.
    this.on("error", ignoreError);
    this.pause();
  }

  /** For those who serve sockets: see above for what it has of one. */
  asSocket(): Socket {
    return this as unknown as Socket;
  }

  /** Closes it unserved; the peer is answered with `status`. Once it is open this is a plain close. */
  refuse(status: number): void {
    this.#refusedWith = status;
    this.destroy();
  }

  /** Closes it so that the peer cannot take what it got for all there was. */
  resetAndDestroy(): this {
    this.#isResetting = true;
    return this.destroy();
  }

  // === The peer's half ===

  takeData(chunk: Buffer): void {
    // Closed, and the peer does not know it yet.
    if (this.#phase === "lingering") this.#cut("bytes for a connection that is closed");
    if (this.#phase !== "open" || this.push(chunk)) return;
    this.#isHeldBack = true;
    this.#stream.pause();
  }

  takeEnd(): void {
    this.#hasPeerEnded = true;
    if (this.#phase === "lingering") this.#finish();
    else if (this.#phase === "open") this.push(null);
  }

  takeDrain(): void {
    const onWritten = this.#onWritten;
    this.#onWritten = null;
    this.#unconfirmedBytes = 0;
    onWritten?.();
  }

  takeReset(error: ProxyError): void {
    this.#finish();
    this.destroy(Object.assign(new Error(error.message), { code: "ECONNRESET" }));
  }

  // === What a stream of Node asks of its maker ===

  override _read(): void {
    if (this.#phase === "offered") this.#accept();
    if (!this.#isHeldBack) return;
    this.#isHeldBack = false;
    this.#stream.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    if (this.#phase === "offered") this.#accept();
    if (this.#phase !== "open" || this.#stream.write(chunk)) {
      done();
      return;
    }
    this.#onWritten = done;
    this.#unconfirmedBytes = chunk.length;
  }

  override _final(done: (error?: Error | null) => void): void {
    if (this.#phase === "offered") this.#accept();
    if (this.#phase === "open") this.#stream.end(null);
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#onWritten = null;
    if (this.#phase === "offered") this.#answerRefused();
    else if (this.#phase === "open") this.#close();
    done(error);
  }

  // === Opening and closing ===

  #accept(): void {
    this.#phase = "open";
    this.#options.answered("accepted");
    this.#stream.respond(new ResponseHead(200, "OK", new HeaderList(), -1), false);
    if (this.#hasPeerEnded) this.push(null);
  }

  #answerRefused(): void {
    const isRefused = this.#refusedWith !== 0;
    this.#finish();
    this.#options.answered(isRefused ? "refused" : "unreachable");
    this.#stream.respond(new ResponseHead(isRefused ? this.#refusedWith : 503, "", new HeaderList(), 0), true);
  }

  #close(): void {
    // What Node still held was never sent, and an end would belie it.
    if (this.#isResetting || this.writableLength > this.#unconfirmedBytes) {
      this.#cut("connection reset");
      return;
    }
    if (!this.writableFinished) this.#stream.end(null);
    if (this.#hasPeerEnded) {
      this.#finish();
      return;
    }
    this.#phase = "lingering";
    this.#finWait = this.#options.timers.schedule(FIN_WAIT_MS, () => this.#cut("the peer did not close its half"));
    this.#stream.resume();
  }

  #cut(reason: string): void {
    this.#finish();
    this.#stream.reset(new ProxyError("upstream_reset", reason));
  }

  #finish(): void {
    this.#phase = "over";
    this.#finWait?.cancel();
    this.#finWait = null;
  }
}

/** Apart, because `end` and `resume` of a socket are other things than those of a receiver. */
class TunnelReceiver implements RequestReceiver {
  readonly #socket: TunnelSocket;

  constructor(socket: TunnelSocket) {
    this.#socket = socket;
  }

  data(chunk: Buffer): void {
    this.#socket.takeData(chunk);
  }

  end(): void {
    this.#socket.takeEnd();
  }

  drain(): void {
    this.#socket.takeDrain();
  }

  reset(error: ProxyError): void {
    this.#socket.takeReset(error);
  }
}

function ignoreError(): void {
  // 'close' follows every error, and tells whoever serves it.
}
