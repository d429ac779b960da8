import type { Socket } from "node:net";
import type { DefectObserver } from "../core/defect.ts";
import type { Timer, TimerWheel } from "../core/timer-wheel.ts";

/** Told once what became of waiting for the first bytes. */
export interface FirstBytesReceiver {
  /** Decides on all bytes so far: true when they were enough. The socket is paused meanwhile and stays so after true. */
  bytes(bytes: Buffer): boolean;
  /**
   * `bytes` is all there is to decide by: no more came in time, or (`hasEnded`) the peer has sent its FIN and may still
   * wait for an answer. The socket is paused.
   */
  silent(bytes: Buffer, hasEnded: boolean): void;
  /** The connection is gone. */
  closed(): void;
}

export interface FirstBytesParts {
  readonly timers: TimerWheel;
  readonly defect: DefectObserver;
}

/** More than any protocol needs to show itself (a ClientHello has 16 KiB at most here). */
const MAX_BYTES = 65_536;
const EMPTY = Buffer.alloc(0);

/**
 * Reads from an accepted socket until its protocol is known, then lets go of it. Whoever takes over gets the bytes
 * handed on: nothing is lost and nothing is read twice. It listens before each call of the receiver ends, so that no
 * event falls between two owners. A receiver that throws loses its connection.
 */
export class FirstBytes {
  readonly #socket: Socket;
  readonly #receiver: FirstBytesReceiver;
  readonly #defect: DefectObserver;
  readonly #timer: Timer;
  #bytes: Buffer = EMPTY;
  #isOver = false;

  /** The socket is paused and has not been read from. */
  constructor(socket: Socket, receiver: FirstBytesReceiver, parts: FirstBytesParts, timeoutMs: number) {
    this.#socket = socket;
    this.#receiver = receiver;
    this.#defect = parts.defect;
    this.#timer = parts.timers.schedule(timeoutMs, this.#onTimeout);
    this.#listen();
    socket.resume();
  }

  /**
   * Somebody else knows what the connection is: lets go of the socket and hands on what was read, which may be nothing.
   * Does nothing once the receiver has decided.
   */
  decide(take: (bytes: Buffer) => void): void {
    if (this.#isOver) return;
    this.#release();
    this.#finish();
    try {
      take(this.#bytes);
    } catch (cause) {
      this.#break(cause);
    }
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
    if (this.#bytes.length > MAX_BYTES) {
      this.#tellSilence(false);
      return;
    }
    // Let go first: the receiver may hand the socket to its next owner within the call.
    this.#release();
    let isEnough = false;
    try {
      isEnough = this.#receiver.bytes(this.#bytes);
    } catch (cause) {
      this.#break(cause);
      return;
    }
    if (isEnough) {
      this.#finish();
      return;
    }
    this.#listen();
    this.#socket.resume();
  };

  readonly #onTimeout = (): void => this.#tellSilence(false);

  readonly #onEnd = (): void => this.#tellSilence(true);

  readonly #onClosed = (): void => {
    this.#release();
    this.#finish();
    try {
      this.#receiver.closed();
    } catch (cause) {
      this.#break(cause);
    }
  };

  #tellSilence(hasEnded: boolean): void {
    this.#release();
    this.#finish();
    try {
      this.#receiver.silent(this.#bytes, hasEnded);
    } catch (cause) {
      this.#break(cause);
    }
  }

  #listen(): void {
    this.#socket.on("data", this.#onData);
    this.#socket.on("end", this.#onEnd);
    this.#socket.on("close", this.#onClosed);
  }

  #release(): void {
    this.#socket.pause();
    this.#socket.off("data", this.#onData);
    this.#socket.off("end", this.#onEnd);
    this.#socket.off("close", this.#onClosed);
  }

  /** The receiver has decided, or there is nothing to decide any more. */
  #finish(): void {
    this.#isOver = true;
    this.#timer.cancel();
  }

  #break(cause: unknown): void {
    this.#finish();
    this.#socket.destroy();
    this.#defect("first_bytes", cause);
  }
}
