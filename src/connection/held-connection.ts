import type { Socket } from "node:net";
import { ByteQueue } from "../core/byte-queue.ts";
import { TunnelSocket } from "./tunnel-socket.ts";

/** As much as waits for a verdict; more stays with the sender. */
const MAX_BYTES = 65_536;

/**
 * A connection about which somebody is asked: what it sends is kept, so that it is noticed when its peer goes away, and
 * nothing is said to it.
 */
export class HeldConnection {
  readonly #socket: Socket;
  readonly #gone: () => void;
  readonly #waiting = new ByteQueue();

  /** The socket is paused. `gone` is told once if it closes before `release`. */
  constructor(socket: Socket, firstBytes: Buffer | null, gone: () => void) {
    this.#socket = socket;
    this.#gone = gone;
    if (firstBytes !== null && firstBytes.length > 0) this.#waiting.push(firstBytes);
    socket.on("data", this.#onData);
    socket.on("close", this.#onClosed);
    // A tunnel tells that it is over without being read, and is not accepted before somebody reads from it.
    if (this.#waiting.bytes < MAX_BYTES && !(socket instanceof TunnelSocket)) socket.resume();
  }

  /** Lets go of the socket, paused, and gives all that was read; empty for nothing. */
  release(): Buffer {
    this.#letGo();
    return this.#waiting.peek(Infinity);
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#waiting.push(chunk);
    if (this.#waiting.bytes >= MAX_BYTES) this.#socket.pause();
  };

  readonly #onClosed = (): void => {
    this.#letGo();
    this.#waiting.clear();
    this.#gone();
  };

  #letGo(): void {
    this.#socket.pause();
    this.#socket.off("data", this.#onData);
    this.#socket.off("close", this.#onClosed);
  }
}
