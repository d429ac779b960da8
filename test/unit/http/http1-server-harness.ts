import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { type Clock, systemClock } from "../../../src/core/clock.ts";
import { TimerWheel } from "../../../src/core/timer-wheel.ts";
import { Http1Server } from "../../../src/http/http1-server.ts";
import { DEFAULT_HTTP1_SERVER_LIMITS, type Http1ServerLimits } from "../../../src/http/http1-server-limits.ts";
import type { ConnectionFacts } from "../../../src/message/connection-facts.ts";
import { type RequestHead, ResponseHead } from "../../../src/message/head.ts";
import { HeaderList } from "../../../src/message/header-list.ts";
import type { ProxyError } from "../../../src/message/proxy-error.ts";
import type { DownstreamStream, HttpHandler, RequestReceiver } from "../../../src/message/stream.ts";

/** One request as the handler saw it. */
export class Seen implements RequestReceiver {
  readonly head: RequestHead;
  readonly endsAtHead: boolean;
  readonly stream: DownstreamStream;
  readonly #handler: RecordingHandler;
  body = "";
  bytes = 0;
  trailers: HeaderList | null = null;
  hasEnded = false;
  drains = 0;
  error: ProxyError | null = null;

  constructor(head: RequestHead, end: boolean, stream: DownstreamStream, handler: RecordingHandler) {
    this.head = head;
    this.endsAtHead = end;
    this.stream = stream;
    this.#handler = handler;
  }

  data(chunk: Buffer): void {
    this.bytes += chunk.length;
    if (this.body.length < 100_000) this.body += chunk.toString("latin1");
    this.#handler.onData(this, chunk);
    this.#handler.changed();
  }

  end(trailers: HeaderList | null): void {
    this.trailers = trailers;
    this.hasEnded = true;
    this.#handler.onEnd(this);
    this.#handler.changed();
  }

  drain(): void {
    this.drains++;
    this.#handler.onDrain(this);
  }

  reset(error: ProxyError): void {
    this.error = error;
    this.#handler.changed();
  }

  /** Answers 200 with `body`. */
  answer(body = "", status = 200): void {
    respond(this.stream, body, status);
  }
}

/** Answers with `body` and its length. */
export function respond(stream: DownstreamStream, body = "", status = 200): void {
  stream.respond(new ResponseHead(status, "OK", new HeaderList(), body.length), body === "");
  if (body === "") return;
  stream.write(Buffer.from(body, "latin1"));
  stream.end(null);
}

/** Records what the codec says; what it answers is set by the test. */
export class RecordingHandler implements HttpHandler {
  readonly seen: Seen[] = [];
  readonly malformedErrors: ProxyError[] = [];
  isClosed = false;
  onRequest: (seen: Seen) => void = () => undefined;
  onData: (seen: Seen, chunk: Buffer) => void = () => undefined;
  onEnd: (seen: Seen) => void = () => undefined;
  onDrain: (seen: Seen) => void = () => undefined;
  #waiting: (() => void)[] = [];

  request(head: RequestHead, end: boolean, stream: DownstreamStream): RequestReceiver {
    const seen = new Seen(head, end, stream, this);
    this.seen.push(seen);
    this.onRequest(seen);
    this.changed();
    return seen;
  }

  malformed(error: ProxyError): void {
    this.malformedErrors.push(error);
    this.changed();
  }

  closed(): void {
    this.isClosed = true;
    this.changed();
  }

  changed(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  /** Resolves when `condition` holds after some event. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }
}

/** A raw client that remembers all it read. */
export class RawClient {
  readonly socket: Socket;
  received = "";
  receivedBytes = 0;
  hasEnded = false;
  error: NodeJS.ErrnoException | null = null;
  isClosed = false;
  #waiting: (() => void)[] = [];

  constructor(port: number) {
    this.socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    this.socket.on("data", (chunk: Buffer) => {
      this.receivedBytes += chunk.length;
      if (this.received.length < 1_000_000) this.received += chunk.toString("latin1");
      this.#wake();
    });
    this.socket.on("end", () => {
      this.hasEnded = true;
      this.#wake();
    });
    this.socket.on("error", (error) => {
      this.error = error;
    });
    this.socket.on("close", () => {
      this.isClosed = true;
      this.#wake();
    });
  }

  send(text: string): void {
    this.socket.write(text, "latin1");
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** All that was read until our peer ended or broke the connection. */
  async untilEnd(): Promise<string> {
    await this.until(() => this.hasEnded || this.isClosed);
    return this.received;
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

const FACTS: ConnectionFacts = {
  isCaptured: false, remote: { address: "127.0.0.1", port: 1 }, local: { address: "192.0.2.1", port: 80 }, tls: null,
};

/** A listening socket served by `Http1Server`, its handler and a client connected to it. */
export class ServerHarness {
  readonly handler = new RecordingHandler();
  readonly timers: TimerWheel;
  readonly servers: Http1Server[] = [];
  readonly sockets: Socket[] = [];
  readonly clients: RawClient[] = [];
  readonly #server: Server;
  readonly #limits: Http1ServerLimits;
  #firstBytes: string | null = null;

  constructor(limits: Partial<Http1ServerLimits> = {}, clock: Clock = systemClock, timers = new TimerWheel(clock)) {
    this.#limits = { ...DEFAULT_HTTP1_SERVER_LIMITS, ...limits };
    this.timers = timers;
    this.#server = createServer({ noDelay: true }, (socket) => {
      const server = new Http1Server(socket, FACTS, this.handler, { clock, timers, limits: this.#limits });
      this.servers.push(server);
      this.sockets.push(socket);
      server.start(this.#firstBytes === null ? undefined : Buffer.from(this.#firstBytes, "latin1"));
    });
  }

  async listen(firstBytes: string | null = null): Promise<RawClient> {
    this.#firstBytes = firstBytes;
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return this.connect();
  }

  connect(): RawClient {
    const client = new RawClient((this.#server.address() as AddressInfo).port);
    this.clients.push(client);
    return client;
  }

  close(): void {
    for (const client of this.clients) client.socket.destroy();
    for (const server of this.servers) server.destroy();
    this.#server.close();
  }
}
