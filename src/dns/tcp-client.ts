import type { Socket } from "node:net";
import type { Timer, TimerWheel } from "../core/timer-wheel.ts";
import { frame, MessageFrames } from "./message-frames.ts";
import type { NameResolver } from "./name-resolver.ts";

/** A connection without a query under way is closed after this time. */
const IDLE_MS = 10_000;
/** Queries of one connection under way at the same time; further ones wait in its socket. */
const MAX_PENDING = 16;
/** Bytes of answers the client did not take yet before no more queries are read. */
const MAX_UNREAD_BYTES = 128 * 1024;

/** One client's connection: many queries, answered in the order in which answers come (RFC 7766 6.2.1.1). */
export class TcpClient {
  readonly #socket: Socket;
  readonly #resolver: NameResolver;
  readonly #timers: TimerWheel;
  readonly #frames: MessageFrames;
  #idle: Timer;
  #pending = 0;
  #hasEnded = false;
  #isReading = false;

  /** `maxBytes`: longest query; `onClose` is called once. */
  constructor(socket: Socket, resolver: NameResolver, timers: TimerWheel, maxBytes: number, onClose: () => void) {
    this.#socket = socket;
    this.#resolver = resolver;
    this.#timers = timers;
    this.#frames = new MessageFrames(maxBytes);
    this.#idle = this.#awaitNext();
    socket.on("data", (chunk: Buffer) => {
      this.#frames.add(chunk);
      this.#read();
    });
    socket.on("end", () => {
      this.#hasEnded = true;
      this.#read();
    });
    socket.on("drain", () => this.#read());
    socket.on("error", () => undefined);
    socket.on("close", () => {
      this.#idle.cancel();
      onClose();
    });
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Answers what has arrived, as far as there is room. */
  #read(): void {
    // An answer that is there at once comes in the middle of this.
    if (this.#isReading) return;
    this.#isReading = true;
    while (!this.#socket.destroyed && this.#hasRoom()) {
      const message = this.#frames.next();
      if (message === undefined) this.destroy();
      if (message === null || message === undefined) break;
      this.#pending++;
      this.#resolver.answer(message, "tcp", this.#socket.remotePort ?? 0, (reply) => this.#reply(reply));
    }
    this.#isReading = false;
    if (!this.#hasRoom()) {
      this.#socket.pause();
      return;
    }
    this.#socket.resume();
    if (this.#hasEnded && this.#pending === 0) this.#socket.end();
  }

  #hasRoom(): boolean {
    return this.#pending < MAX_PENDING && this.#socket.writableLength < MAX_UNREAD_BYTES;
  }

  #reply(reply: Buffer | null): void {
    this.#pending--;
    if (this.#socket.destroyed) return;
    // Who sends what is no query cannot be expected to send one next.
    if (reply === null) {
      this.destroy();
      return;
    }
    this.#socket.write(frame(reply));
    this.#idle.cancel();
    this.#idle = this.#awaitNext();
    this.#read();
  }

  #awaitNext(): Timer {
    return this.#timers.schedule(IDLE_MS, () => {
      if (this.#pending === 0) this.destroy();
      else this.#idle = this.#awaitNext();
    });
  }
}
