import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { Socket } from "node:net";

/**
 * Every TCP socket of this process from its making on, the proxy's own included, which no interface shows: how much they
 * hold unwritten, whether any is left open, whether any could end the process for lack of an 'error' listener.
 */
export class SocketWatch {
  readonly sockets = new Set<Socket>();
  readonly #onSocket = (message: unknown): void => {
    this.sockets.add((message as { socket: Socket }).socket);
  };

  constructor() {
    subscribe("net.server.socket", this.#onSocket);
    subscribe("net.client.socket", this.#onSocket);
  }

  /** Sockets that are not destroyed, those of `except` left out. */
  open(except: (socket: Socket) => boolean = () => false): Socket[] {
    return [...this.sockets].filter((socket) => !socket.destroyed && !except(socket));
  }

  /** The most any open socket holds unwritten, in bytes. */
  maxWritableLength(except: (socket: Socket) => boolean = () => false): number {
    return Math.max(0, ...this.open(except).map((socket) => socket.writableLength));
  }

  /** Open sockets that nobody listens to for errors. */
  deaf(): Socket[] {
    return this.open().filter((socket) => socket.listenerCount("error") === 0);
  }

  stop(): void {
    unsubscribe("net.server.socket", this.#onSocket);
    unsubscribe("net.client.socket", this.#onSocket);
    this.sockets.clear();
  }
}
