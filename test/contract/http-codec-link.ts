import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { expect } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { TimerWheel } from "../../src/core/timer-wheel.ts";
import type { ConnectionFacts } from "../../src/message/connection-facts.ts";
import type { RequestHead, ResponseHead } from "../../src/message/head.ts";
import type { HeaderList } from "../../src/message/header-list.ts";
import type { ProxyError } from "../../src/message/proxy-error.ts";
import type { DownstreamStream, HttpHandler, RequestReceiver, ResponseReceiver, UpstreamConnection, UpstreamStream } from "../../src/message/stream.ts";

/** A codec: both sides of one protocol on a socket. */
export interface Codec {
  readonly name: string;
  /** Another stream goes on when one is cut. */
  readonly isMultiplexed: boolean;
  serve(socket: Socket, facts: ConnectionFacts, handler: HttpHandler, timers: TimerWheel): { destroy(): void; drain(): void };
  /** `told` hears of what the connection says to its owner: `idle`, `capacity`, `away`, `closed`. */
  open(socket: Socket, told: (what: string) => void, timers: TimerWheel): UpstreamConnection;
}

const FACTS: ConnectionFacts = {
  isCaptured: false, remote: { address: "127.0.0.1", port: 1 }, local: { address: "192.0.2.1", port: 80 }, tls: null,
};

/** Wakes who waits when something has changed. */
class Waiting {
  #wakes: (() => void)[] = [];

  changed(): void {
    for (const wake of this.#wakes.splice(0)) wake();
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#wakes.push(resolve));
  }
}

/** A receiver that writes down what it hears and insists on the order of the seam. */
export class Heard implements RequestReceiver, ResponseReceiver {
  readonly #waiting: Waiting;
  response: ResponseHead | null = null;
  readonly informationals: number[] = [];
  body = "";
  bytes = 0;
  trailers: HeaderList | null = null;
  hasEnded = false;
  error: ProxyError | null = null;
  drains = 0;

  constructor(waiting: Waiting) {
    this.#waiting = waiting;
  }

  informational(head: ResponseHead): void {
    this.#expectOpen();
    this.informationals.push(head.status);
    this.#waiting.changed();
  }

  head(head: ResponseHead, end: boolean): void {
    this.#expectOpen();
    expect(this.response).toBeNull();
    this.response = head;
    this.hasEnded = end;
    this.#waiting.changed();
  }

  data(chunk: Buffer): void {
    this.#expectOpen();
    expect(chunk.length).toBeGreaterThan(0);
    this.bytes += chunk.length;
    if (this.body.length < 10_000) this.body += chunk.toString("latin1");
    this.#waiting.changed();
  }

  end(trailers: HeaderList | null): void {
    this.#expectOpen();
    this.trailers = trailers;
    this.hasEnded = true;
    this.#waiting.changed();
  }

  drain(): void {
    this.drains++;
    this.#waiting.changed();
  }

  reset(error: ProxyError): void {
    this.#expectOpen();
    this.error = error;
    this.#waiting.changed();
  }

  #expectOpen(): void {
    expect(this.hasEnded).toBe(false);
    expect(this.error).toBeNull();
  }
}

export interface Exchange {
  readonly head: RequestHead;
  readonly end: boolean;
  readonly stream: DownstreamStream;
  readonly heard: Heard;
}

/** Both sides of a codec on one connection. */
export class Link implements HttpHandler {
  readonly waiting = new Waiting();
  readonly exchanges: Exchange[] = [];
  readonly malformedErrors: ProxyError[] = [];
  readonly told: string[] = [];
  readonly timers = new TimerWheel(systemClock);
  isClosed = false;
  client!: UpstreamConnection;
  server!: { destroy(): void; drain(): void };
  clientSocket!: Socket;
  serverSocket!: Socket;
  onRequest: (exchange: Exchange) => void = () => undefined;
  readonly #listener: Server;
  readonly #codec: Codec;

  constructor(codec: Codec) {
    this.#codec = codec;
    this.#listener = createServer({ noDelay: true });
  }

  async open(): Promise<void> {
    const accepted = new Promise<Socket>((resolve) => this.#listener.once("connection", resolve));
    await new Promise<void>((resolve) => this.#listener.listen(0, "127.0.0.1", resolve));
    this.clientSocket = connect({ port: (this.#listener.address() as AddressInfo).port, host: "127.0.0.1", noDelay: true });
    await new Promise<void>((resolve) => this.clientSocket.once("connect", () => resolve()));
    this.serverSocket = await accepted;
    this.server = this.#codec.serve(this.serverSocket, FACTS, this, this.timers);
    this.client = this.#codec.open(this.clientSocket, (what) => {
      this.told.push(what);
      this.waiting.changed();
    }, this.timers);
  }

  close(): void {
    this.client.destroy();
    this.server.destroy();
    this.#listener.close();
  }

  request(head: RequestHead, end: boolean, stream: DownstreamStream): RequestReceiver {
    const exchange = { head, end, stream, heard: new Heard(this.waiting) };
    this.exchanges.push(exchange);
    this.onRequest(exchange);
    this.waiting.changed();
    return exchange.heard;
  }

  malformed(error: ProxyError): void {
    this.malformedErrors.push(error);
    this.waiting.changed();
  }

  closed(): void {
    this.isClosed = true;
    this.waiting.changed();
  }

  /** Sends a request and waits until its head has come. */
  async send(head: RequestHead, end: boolean): Promise<{ stream: UpstreamStream; heard: Heard; exchange: Exchange }> {
    const count = this.exchanges.length;
    const heard = new Heard(this.waiting);
    const stream = this.client.request(head, end, heard);
    await this.waiting.until(() => this.exchanges.length > count);
    return { stream, heard, exchange: this.exchanges[count] as Exchange };
  }

  async until(condition: () => boolean): Promise<void> {
    await this.waiting.until(condition);
  }
}
