import type { Socket } from "node:net";
import type { Timer, TimerWheel } from "../core/timer-wheel.ts";

/** Told once what became of waiting for the first bytes. */
export interface FirstBytesReceiver {
  /** Decides on all bytes so far: true when they were enough. The socket is paused meanwhile and stays so after true. */
  bytes(bytes: Buffer): boolean;
  /** Nothing (more) came in time; `bytes` is what did. The socket is paused. */
  silent(bytes: Buffer): void;
  /** The peer closed or failed before enough came. */
  closed(): void;
}

/** More than any protocol needs to show itself (a ClientHello has 16 KiB at most here). */
const MAX_BYTES = 65_536;
const EMPTY = Buffer.alloc(0);

/**
 * Reads from an accepted socket until its protocol is known, then lets go of it. Whoever takes over gets the bytes
 * handed on: nothing is lost and nothing is read twice.
 */
export class FirstBytes {
  readonly #socket: Socket;
  readonly #receiver: FirstBytesReceiver;
  readonly #timer: Timer;
  #bytes: Buffer = EMPTY;

  constructor(socket: Socket, receiver: FirstBytesReceiver, timers: TimerWheel, timeoutMs: number) {
    this.#socket = socket;
    this.#receiver = receiver;
    this.#timer = timers.schedule(timeoutMs, this.#onTimeout);
    socket.on("data", this.#onData);
    socket.on("end", this.#onClosed);
    socket.on("close", this.#onClosed);
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
    this.#socket.pause();
    if (this.#bytes.length > MAX_BYTES) {
      this.#timer.cancel();
      this.#release();
      this.#receiver.silent(this.#bytes);
      return;
    }
    // Let go first: the receiver may hand the socket to its next owner within the call.
    this.#release();
    if (this.#receiver.bytes(this.#bytes)) {
      this.#timer.cancel();
      return;
    }
    this.#socket.on("data", this.#onData);
    this.#socket.on("end", this.#onClosed);
    this.#socket.on("close", this.#onClosed);
    this.#socket.resume();
  };

  readonly #onTimeout = (): void => {
    this.#release();
    this.#socket.pause();
    this.#receiver.silent(this.#bytes);
  };

  readonly #onClosed = (): void => {
    this.#timer.cancel();
    this.#release();
    this.#receiver.closed();
  };

  #release(): void {
    this.#socket.off("data", this.#onData);
    this.#socket.off("end", this.#onClosed);
    this.#socket.off("close", this.#onClosed);
  }
}
