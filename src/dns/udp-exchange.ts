import { createSocket, type Socket } from "node:dgram";
import { isIPv6 } from "node:net";
import type { DnsQuery } from "./dns-query.ts";
import { type ExchangeListener, ForwardedQuery, type NameServer, type UpstreamExchange } from "./upstream-exchange.ts";

/** Datagrams that answer something else before the server is given up; a guesser needs far more. */
const MAX_STRAY = 64;

/**
 * A query by UDP, on a socket of its own: its port is chosen anew by the kernel, and being connected it hears nobody but
 * the server. That nothing listens there is known at once.
 */
export class UdpExchange implements UpstreamExchange {
  readonly #listener: ExchangeListener;
  readonly #forwarded: ForwardedQuery;
  readonly #socket: Socket;
  #stray = 0;
  #port: number | null = null;
  #isOver = false;

  constructor(query: DnsQuery, server: NameServer, listener: ExchangeListener) {
    this.#listener = listener;
    this.#forwarded = new ForwardedQuery(query);
    this.#socket = createSocket(isIPv6(server.address) ? "udp6" : "udp4");
    this.#socket.on("error", (error) => this.#fail(error.message));
    this.#socket.on("message", (reply) => this.#onMessage(reply));
    this.#socket.on("connect", () => this.#send());
    this.#socket.connect(server.port, server.address);
  }

  get localPort(): number | null {
    return this.#port;
  }

  get message(): Buffer {
    return this.#forwarded.message;
  }

  cancel(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#socket.close();
  }

  #send(): void {
    if (this.#isOver) return;
    this.#port = this.#socket.address().port;
    this.#socket.send(this.#forwarded.message, (error) => {
      if (error !== null) this.#fail(error.message);
    });
  }

  #onMessage(message: Buffer): void {
    if (this.#isOver) return;
    const reply = this.#forwarded.acceptReply(message);
    if (reply !== null) {
      this.cancel();
      this.#listener.answered(reply);
    } else if (++this.#stray >= MAX_STRAY) {
      this.#fail("answers to other questions");
    }
  }

  #fail(reason: string): void {
    if (this.#isOver) return;
    this.cancel();
    this.#listener.failed(reason);
  }
}
