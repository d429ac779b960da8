import { connect, type Socket } from "node:net";
import type { DnsQuery } from "./dns-query.ts";
import { frame, MessageFrames } from "./message-frames.ts";
import { type ExchangeListener, ForwardedQuery, type NameServer, type UpstreamExchange } from "./upstream-exchange.ts";

const MAX_REPLY_BYTES = 65_535;

/** A query by TCP, on a connection of its own. */
export class TcpExchange implements UpstreamExchange {
  readonly #listener: ExchangeListener;
  readonly #forwarded: ForwardedQuery;
  readonly #frames = new MessageFrames(MAX_REPLY_BYTES);
  readonly #socket: Socket;
  #port: number | null = null;
  #isOver = false;

  constructor(query: DnsQuery, server: NameServer, listener: ExchangeListener) {
    this.#listener = listener;
    this.#forwarded = new ForwardedQuery(query);
    this.#socket = connect({ host: server.address, port: server.port, noDelay: true });
    this.#socket.on("connect", () => {
      this.#port = this.#socket.localPort ?? null;
      this.#socket.write(frame(this.#forwarded.message));
    });
    this.#socket.on("data", (chunk: Buffer) => this.#onData(chunk));
    this.#socket.on("error", (error) => this.#fail(error.message));
    this.#socket.on("close", () => this.#fail("connection closed without an answer"));
  }

  get localPort(): number | null {
    return this.#port;
  }

  get message(): Buffer {
    return this.#forwarded.message;
  }

  cancel(): void {
    this.#isOver = true;
    this.#socket.destroy();
  }

  #onData(chunk: Buffer): void {
    if (this.#isOver) return;
    this.#frames.add(chunk);
    const message = this.#frames.next();
    if (message === null || message === undefined) return;
    const reply = this.#forwarded.acceptReply(message);
    if (reply === null) {
      this.#fail("an answer to another question");
      return;
    }
    this.cancel();
    this.#listener.answered(reply);
  }

  #fail(reason: string): void {
    if (this.#isOver) return;
    this.cancel();
    this.#listener.failed(reason);
  }
}
