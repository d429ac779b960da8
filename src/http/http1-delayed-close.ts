import type { Socket } from "node:net";
import { resetConnection } from "../core/reset-connection.ts";
import type { Http1Deadline } from "./http1-deadline.ts";

/** After our last byte: how long, and how much, a peer is listened to before the connection is destroyed. */
const LINGER_MS = 1_000;
const MAX_LINGER_BYTES = 64 * 1024;
/** How long a peer may take to read the last of what we sent before. */
const FLUSH_MS = 60_000;

/**
 * The end of a connection that has more to hear from its peer than it wants (Envoy's delayed close, RFC 9112 section
 * 9.6): FIN after what was written, then a while of reading. Closing with bytes unread would send RST, and that can
 * take our answer from a peer that has not read it yet.
 */
export class Http1DelayedClose {
  readonly #socket: Socket;
  readonly #deadline: Http1Deadline;
  #discardedBytes = 0;

  constructor(socket: Socket, deadline: Http1Deadline) {
    this.#socket = socket;
    this.#deadline = deadline;
  }

  /** Sends FIN. The owner calls `finish` when the deadline expires. */
  begin(): void {
    this.#deadline.set(FLUSH_MS);
    this.#socket.end(() => {
      if (!this.#socket.destroyed) this.#deadline.set(LINGER_MS);
    });
  }

  /** Waits no longer. A peer that has not taken all we sent must not take it for all there was. */
  finish(): void {
    if (this.#socket.writableFinished) this.#socket.destroy();
    else resetConnection(this.#socket);
  }

  /** Counts what came and is not wanted; a peer that goes on sending is no longer read. */
  discard(chunk: Buffer): void {
    this.#discardedBytes += chunk.length;
    if (this.#discardedBytes > MAX_LINGER_BYTES) this.#socket.pause();
  }
}
